// SPDX-License-Identifier: Apache-2.0

package budget_test

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/embedded-user-operator/embedded-user-operator/internal/budget"
)

func numbered(namespace, batch string, index int) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: fmt.Sprintf("%s-%d", batch, index)}
}

func TestWindow_ABatchDoesNotWaitForAnother(t *testing.T) {
	t.Parallel()
	var woken []types.NamespacedName
	const shared = 50
	w := budget.NewWindow(shared, func(name types.NamespacedName) { woken = append(woken, name) })
	inside := 0
	for i := range 200 {
		if w.Enter(numbered("a", "large", i), "large", "key") {
			inside++
		}
	}
	if inside != shared+1 {
		t.Errorf("%d slices of a batch are inside", inside)
	}
	for _, batch := range []string{"other", "another"} {
		if !w.Enter(numbered("a", batch, 0), batch, "key") {
			t.Errorf("the first slice of %s waits", batch)
		}
	}
	if w.Enter(numbered("b", "large", 0), "b", "key"); w.Enter(numbered("b", "large", 1), "b", "key") {
		t.Error("the second slice of a batch has a place of its own")
	}
	woken = nil
	w.Leave(numbered("a", "large", 10)) // it has one of the key's places
	w.Leave(numbered("a", "large", 11))
	if want := []types.NamespacedName{numbered("a", "large", inside), numbered("b", "large", 1)}; !slices.Equal(woken, want) {
		t.Errorf("served %v, want %v", woken, want)
	}
	for _, name := range woken {
		if batch := map[string]string{"a": "large", "b": "b"}[name.Namespace]; !w.Enter(name, batch, "key") {
			t.Errorf("%v does not get its place", name)
		}
	}
}

func TestWindow_WhoLeavesWaitsForNothing(t *testing.T) {
	t.Parallel()
	w := budget.NewWindow(2, func(types.NamespacedName) {})
	for round := range 3 {
		for i := range 200 {
			w.Enter(numbered("a", "b", i), "b", fmt.Sprintf("key %d", i%3))
		}
		for i := range 200 { // some with another key
			if i%3 == round {
				w.Enter(numbered("a", "b", i), "b", "another")
			}
			w.Leave(numbered("a", "b", i))
		}
	}
	for i := range 3 {
		if !w.Enter(numbered("a", "b", i), "b", "key 0") {
			t.Errorf("place %d is lost", i)
		}
	}
}
