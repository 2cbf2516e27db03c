package slice

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/embedded-user-operator/embedded-user-operator/internal/budget"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
)

// fewUsers is the number of users below which a slice is not counted: they take little memory, and share requests.
const fewUsers = 100

// window bounds how many slices of many users are with the sender under one key, because users that wait there take memory. The
// other slices wait in turn with those of other namespaces.
type window struct {
	wake func(types.NamespacedName)

	mu     sync.Mutex
	keys   map[string]*keyWindow // by fingerprint
	places map[types.NamespacedName]place
}

type keyWindow struct {
	*budget.Budget

	slices int // inside or waiting
}

// place is the place of a slice in a window, or before it.
type place struct {
	fingerprint string
	hold        *budget.Hold // nil if it waits
}

// enter reports whether pending users of a slice may be submitted. Else wake is called when they may.
func (w *window) enter(name types.NamespacedName, fingerprint string, users int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, known := w.places[name]
	if known && (at.fingerprint != fingerprint || users < fewUsers) {
		w.leaveLocked(name)
		at, known = place{fingerprint: fingerprint}, false
	}
	if users < fewUsers || at.hold != nil {
		return true
	}
	if w.keys == nil {
		w.keys, w.places = map[string]*keyWindow{}, map[types.NamespacedName]place{}
	}
	key := w.keys[fingerprint]
	if key == nil {
		key = &keyWindow{Budget: budget.New(ledger.MaxSubmitted, w.wake)}
		w.keys[fingerprint] = key
	}
	if !known {
		key.slices++
	}
	hold := key.Acquire(name, 1)
	w.places[name] = place{fingerprint, hold}
	return hold != nil
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
	key := w.keys[at.fingerprint]
	key.Cancel(name)
	at.hold.Release()
	if key.slices--; key.slices == 0 {
		delete(w.keys, at.fingerprint)
	}
}
