// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// Window bounds how many things of several groups are somewhere, because what waits there takes memory. Each group has one place,
// so that no other group stops it, and all that share a key have some more, in turn by namespace. It is safe for concurrent use.
type Window struct {
	shared int64
	wake   func(types.NamespacedName)

	mu     sync.Mutex
	pools  map[string]*pool // by group, and by key
	places map[types.NamespacedName]place
}

// NewWindow returns a window with so many shared places for each key. It calls wake when somebody who waits gets a place.
func NewWindow(shared int64, wake func(types.NamespacedName)) *Window {
	return &Window{shared: shared, wake: wake, pools: map[string]*pool{}, places: map[types.NamespacedName]place{}}
}

type pool struct {
	*Budget

	members int // that have a place or wait for one
}

// place is a place, or that somebody waits for one.
type place struct {
	pools [2]string // in which it may have one
	hold  *Hold     // nil while it waits
}

// Enter reports whether a name has a place in the window. Else wake is called when it gets one.
func (w *Window) Enter(name types.NamespacedName, group, key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, known := w.places[name]
	if pools := [2]string{group, key}; at.pools != pools {
		w.leave(name)
		at, known = place{pools: pools}, false
	}
	if at.hold != nil {
		return true
	}
	for k, id := range at.pools {
		if p := w.pool(id, []int64{1, w.shared}[k], !known); at.hold == nil {
			at.hold = p.Acquire(name, 1)
		}
	}
	if w.places[name] = at; at.hold != nil {
		for _, id := range at.pools {
			w.pools[id].Cancel(name)
		}
	}
	return at.hold != nil
}

// Waits reports whether a name waits for a place that it does not get yet.
func (w *Window) Waits(name types.NamespacedName) bool {
	w.mu.Lock()
	at, known := w.places[name]
	w.mu.Unlock()
	return known && at.hold == nil && !w.Enter(name, at.pools[0], at.pools[1])
}

// pool returns a pool, which is made if it is not there yet. It counts a member that is new there.
func (w *Window) pool(id string, size int64, isNew bool) *pool {
	p := w.pools[id]
	if p == nil {
		p = &pool{Budget: New(size, w.wake)}
		w.pools[id] = p
	}
	if isNew {
		p.members++
	}
	return p
}

// Leave gives a place to somebody else.
func (w *Window) Leave(name types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leave(name)
}

func (w *Window) leave(name types.NamespacedName) {
	at, known := w.places[name]
	if !known {
		return
	}
	delete(w.places, name)
	at.hold.Release()
	for _, id := range at.pools {
		p := w.pools[id]
		p.Cancel(name)
		if p.members--; p.members == 0 {
			delete(w.pools, id)
		}
	}
}
