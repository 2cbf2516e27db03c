package slice

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/embedded-user-operator/embedded-user-operator/internal/budget"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
)

// fewUsers is the number of users below which a slice needs no place: they take little memory, and share requests.
const fewUsers = 100

// window bounds how many slices of many users are with the sender, because users that wait there take memory. Each batch has one
// place, so that no other batch stops it, and all slices of a key share some more, in turn by namespace.
type window struct {
	wake func(types.NamespacedName)

	mu     sync.Mutex
	pools  map[string]*pool // by UID of a batch, and by fingerprint of a key
	places map[types.NamespacedName]place
}

type pool struct {
	*budget.Budget

	slices int // that have a place or wait for one
}

// place is the place of a slice.
type place struct {
	pools [2]string    // in which it may have one
	hold  *budget.Hold // nil while it waits
}

// enter reports whether pending users of a slice may be submitted. Else wake is called when they may.
func (w *window) enter(name types.NamespacedName, batch types.UID, fingerprint string, users int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, known := w.places[name]
	if pools := [2]string{string(batch), fingerprint}; users < fewUsers || at.pools != pools {
		w.leaveLocked(name)
		at, known = place{pools: pools}, false
	}
	if users < fewUsers || at.hold != nil {
		return true
	}
	for k, id := range at.pools {
		if at.hold == nil {
			at.hold = w.pool(id, []int64{1, ledger.MaxSubmitted}[k], !known).Acquire(name, 1)
		} else {
			w.pool(id, ledger.MaxSubmitted, !known)
		}
	}
	if w.places[name] = at; at.hold != nil {
		for _, id := range at.pools {
			w.pools[id].Cancel(name)
		}
	}
	return at.hold != nil
}

// waits reports whether a slice waits for a place that it does not get yet.
func (w *window) waits(name types.NamespacedName) bool {
	w.mu.Lock()
	at, known := w.places[name]
	w.mu.Unlock()
	return known && at.hold == nil && !w.enter(name, types.UID(at.pools[0]), at.pools[1], fewUsers)
}

// pool returns a pool, which is made if it is not there yet. It counts a slice that is new there.
func (w *window) pool(id string, size int64, isNew bool) *pool {
	if w.pools == nil {
		w.pools, w.places = map[string]*pool{}, map[types.NamespacedName]place{}
	}
	p := w.pools[id]
	if p == nil {
		p = &pool{Budget: budget.New(size, w.wake)}
		w.pools[id] = p
	}
	if isNew {
		p.slices++
	}
	return p
}

// leave gives the place of a slice to another one.
func (w *window) leave(name types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leaveLocked(name)
}

func (w *window) leaveLocked(name types.NamespacedName) {
	at, known := w.places[name]
	if !known {
		return
	}
	delete(w.places, name)
	at.hold.Release()
	for _, id := range at.pools {
		p := w.pools[id]
		p.Cancel(name)
		if p.slices--; p.slices == 0 {
			delete(w.pools, id)
		}
	}
}
