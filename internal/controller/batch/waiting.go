// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// waiting holds the batches that wait for the list of an account, by the fingerprint of its key. The zero value is ready to use; it
// is safe for concurrent use.
type waiting struct {
	mu      sync.Mutex
	batches map[string]map[types.NamespacedName]struct{}
}

func (w *waiting) add(fingerprint string, name types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.batches == nil {
		w.batches = map[string]map[types.NamespacedName]struct{}{}
	}
	if w.batches[fingerprint] == nil {
		w.batches[fingerprint] = map[types.NamespacedName]struct{}{}
	}
	w.batches[fingerprint][name] = struct{}{}
}

func (w *waiting) remove(fingerprint string, name types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.batches[fingerprint], name)
	if len(w.batches[fingerprint]) == 0 {
		delete(w.batches, fingerprint)
	}
}

// take returns the batches that wait for a list, and forgets them.
func (w *waiting) take(fingerprint string) map[types.NamespacedName]struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := w.batches[fingerprint]
	delete(w.batches, fingerprint)
	return names
}

// Listed has the batches reconciled that wait for the list of an account, given by the fingerprint of its key.
func (r *Reconciler) Listed(fingerprint string) {
	for name := range r.waiting.take(fingerprint) {
		r.queue.Add(reconcile.Request{NamespacedName: name})
	}
}
