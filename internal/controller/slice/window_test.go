package slice

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
)

func named(namespace, batch string, index int) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: fmt.Sprintf("%s-%d", batch, index)}
}

func TestWindow_ABatchDoesNotWaitForAnother(t *testing.T) {
	t.Parallel()
	var woken []types.NamespacedName
	w := window{wake: func(name types.NamespacedName) { woken = append(woken, name) }}
	inside := 0
	for i := range 200 {
		if w.enter(named("a", "large", i), "large", "key", 1000) {
			inside++
		}
	}
	if inside != ledger.MaxSubmitted+1 {
		t.Errorf("%d slices of a batch are inside", inside)
	}
	for _, batch := range []types.UID{"other", "another"} {
		if !w.enter(named("a", string(batch), 0), batch, "key", 1000) {
			t.Errorf("the first slice of %s waits", batch)
		}
	}
	if !w.enter(named("a", "small", 0), "small", "key", 1) || !w.enter(named("a", "small", 1), "small", "key", fewUsers-1) {
		t.Error("a slice of few users waits")
	}
	if w.enter(named("b", "large", 0), "b", "key", 1000); w.enter(named("b", "large", 1), "b", "key", 1000) {
		t.Error("the second slice of a batch has a place of its own")
	}
	woken = nil
	w.leave(named("a", "large", 10)) // it has one of the key's places
	w.leave(named("a", "large", 11))
	if want := []types.NamespacedName{named("a", "large", inside), named("b", "large", 1)}; !slices.Equal(woken, want) {
		t.Errorf("served %v, want %v", woken, want)
	}
	for _, name := range woken {
		if batch := map[string]types.UID{"a": "large", "b": "b"}[name.Namespace]; !w.enter(name, batch, "key", 1000) {
			t.Errorf("%v does not get its place", name)
		}
	}
}

func TestWindow_ForgetsWhoLeft(t *testing.T) {
	t.Parallel()
	w := window{wake: func(types.NamespacedName) {}}
	for i := range 200 {
		w.enter(named("a", "b", i), "b", fmt.Sprintf("key %d", i%3), 1000)
	}
	for i := range 200 { // with another key, or few users, or not at all
		switch i % 3 {
		case 0:
			w.enter(named("a", "b", i), "b", "another", 1000)
		case 1:
			w.enter(named("a", "b", i), "b", "key 1", 5)
		}
		w.leave(named("a", "b", i))
	}
	if len(w.pools) > 0 || len(w.places) > 0 {
		t.Errorf("%d pools and %d places are left", len(w.pools), len(w.places))
	}
}
