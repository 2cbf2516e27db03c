// SPDX-License-Identifier: Apache-2.0

package budget_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/embedded-user-operator/embedded-user-operator/internal/budget"
)

func named(name string) types.NamespacedName {
	namespace, name, _ := strings.Cut(name, "/")
	return types.NamespacedName{Namespace: namespace, Name: name}
}

func TestBudget_NamespacesTakeTurns(t *testing.T) {
	t.Parallel()
	var woken []string
	b := budget.New(10, func(name types.NamespacedName) { woken = append(woken, name.String()) })
	first := b.Acquire(named("a/0"), 10)
	for _, name := range []string{"a/1", "a/2", "a/3", "a/1", "b/1", "c/1", "b/2"} {
		if b.Acquire(named(name), 10) != nil {
			t.Fatalf("%s got memory that was not free", name)
		}
	}
	first.Release()
	first.Release()
	for range 10 {
		if len(woken) > 0 {
			b.Acquire(named(woken[len(woken)-1]), 10).Release()
		}
	}
	want := []string{"a/1", "b/1", "c/1", "a/2", "b/2", "a/3"}
	if !slices.Equal(woken, want) {
		t.Errorf("served %v, want %v", woken, want)
	}
}

func TestBudget_WhoGivesUpStopsNobody(t *testing.T) {
	t.Parallel()
	var woken []string
	b := budget.New(10, func(name types.NamespacedName) { woken = append(woken, name.String()) })
	first := b.Acquire(named("a/0"), 8)
	for _, name := range []string{"a/1", "b/1", "c/1"} {
		b.Acquire(named(name), 8)
	}
	b.Cancel(named("a/1")) // it waits
	first.Shrink(2)
	b.Cancel(named("b/1")) // memory is kept for it
	if !slices.Equal(woken, []string{"b/1", "c/1"}) {
		t.Errorf("served %v", woken)
	}
}

// TestBudget_IsNeverExceeded makes random calls and checks the sum of what is held.
func TestBudget_IsNeverExceeded(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		chance := rand.New(rand.NewPCG(seed, 0))
		var woken []types.NamespacedName
		b := budget.New(100, func(name types.NamespacedName) { woken = append(woken, name) })
		held := map[types.NamespacedName]*budget.Hold{}
		bytes := map[types.NamespacedName]int64{}
		for range 300 {
			name := named(fmt.Sprintf("%d/%d", chance.IntN(3), chance.IntN(4)))
			switch hold := held[name]; {
			case hold == nil && chance.IntN(5) == 0:
				b.Cancel(name)
			case hold == nil:
				if hold := b.Acquire(name, 40); hold != nil {
					held[name], bytes[name] = hold, 40
				}
			case chance.IntN(2) == 0:
				bytes[name] = min(bytes[name], chance.Int64N(40))
				hold.Shrink(bytes[name])
			default:
				hold.Release()
				delete(held, name)
				delete(bytes, name)
			}
			sum := int64(0)
			for _, n := range bytes {
				sum += n
			}
			if sum > 100 {
				t.Fatalf("seed %d: %d bytes are held", seed, sum)
			}
		}
		for name, hold := range held {
			hold.Release()
			delete(held, name)
		}
		for len(woken) > 0 { // some of them gave up or were served
			name := woken[0]
			woken = woken[1:]
			if hold := b.Acquire(name, 40); hold != nil {
				hold.Release()
			}
			b.Cancel(name)
		}
		if hold := b.Acquire(named("x/last"), 100); hold == nil {
			t.Fatalf("seed %d: memory is lost", seed)
		}
	}
}

func TestBudget_SaysHowMuchIsInUse(t *testing.T) {
	t.Parallel()
	b := budget.New(10, func(types.NamespacedName) {})
	check := func(when string, used int64, waiting int) {
		t.Helper()
		if got, want := b.Usage(), (budget.Usage{Total: 10, Used: used, Waiting: waiting}); got != want {
			t.Errorf("%s: %+v, want %+v", when, got, want)
		}
	}
	check("at first", 0, 0)
	first := b.Acquire(named("a/0"), 8)
	b.Acquire(named("a/1"), 8)
	b.Acquire(named("b/1"), 8)
	check("while two wait", 8, 2)
	first.Shrink(1)
	check("while another cannot be served", 1+8, 1)
	b.Cancel(named("a/1"))
	b.Cancel(named("b/1"))
	check("after they gave up", 1, 0)
	first.Release()
	check("at last", 0, 0)
}
