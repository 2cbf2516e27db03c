// SPDX-License-Identifier: Apache-2.0

// Package budget shares something, such as the memory for lists of users, between namespaces. Who does not get it at once waits in
// turn with the other namespaces, so that nobody has to poll and no namespace stops another.
package budget

import (
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// Budget is a semaphore weighted by bytes. It is safe for concurrent use.
type Budget struct {
	wake  func(types.NamespacedName)
	total int64

	mu      sync.Mutex
	free    int64
	waiting []waiter // in the order in which they are served
	granted map[types.NamespacedName]*Hold
}

type waiter struct {
	name  types.NamespacedName
	bytes int64
}

// Hold is memory that somebody may use. The zero value of its pointer holds nothing.
type Hold struct {
	budget *Budget
	bytes  int64
}

// New returns a budget of so many bytes. It calls wake when somebody who waits gets memory, without locks held.
func New(bytes int64, wake func(types.NamespacedName)) *Budget {
	return &Budget{wake: wake, total: bytes, free: bytes, granted: map[types.NamespacedName]*Hold{}}
}

// Acquire returns a hold of so many bytes, or nil if they are not free or others wait for them. Then wake is called when the
// caller's turn has come, and the memory is kept for the next Acquire under this name. The number of bytes must not be more
// than the budget has in total.
func (b *Budget) Acquire(name types.NamespacedName, bytes int64) *Hold {
	b.mu.Lock()
	defer b.mu.Unlock()
	if hold := b.granted[name]; hold != nil {
		delete(b.granted, name)
		if hold.bytes >= bytes {
			return hold
		}
		b.free += hold.bytes
	}
	if len(b.waiting) == 0 && bytes <= b.free {
		b.free -= bytes
		return &Hold{b, bytes}
	}
	if k := b.position(name); k >= 0 {
		b.waiting[k].bytes = bytes
	} else {
		b.enqueue(waiter{name, bytes})
	}
	return nil
}

// Usage says how much of a budget is in use.
type Usage struct {
	Total, Used int64 // bytes; what is kept for somebody whose turn has come is in use
	Waiting     int   // how many wait
}

// Usage returns how much of the budget is in use.
func (b *Budget) Usage() Usage {
	b.mu.Lock()
	defer b.mu.Unlock()
	return Usage{Total: b.total, Used: b.total - b.free, Waiting: len(b.waiting)}
}

// Knows reports whether a name waits for memory, or memory is kept for it.
func (b *Budget) Knows(name types.NamespacedName) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.granted[name] != nil || b.position(name) >= 0
}

// position returns where a name waits, -1 for nowhere.
func (b *Budget) position(name types.NamespacedName) int {
	return slices.IndexFunc(b.waiting, func(w waiter) bool { return w.name == name })
}

// enqueue puts a waiter behind those that have waited as long in their own namespaces: the second of one namespace comes after
// the first of every other.
func (b *Budget) enqueue(next waiter) {
	ahead := map[string]int{} // how many of each namespace are served before
	for _, w := range b.waiting {
		ahead[w.name.Namespace]++
	}
	round := ahead[next.name.Namespace]
	clear(ahead)
	at := slices.IndexFunc(b.waiting, func(w waiter) bool {
		ahead[w.name.Namespace]++
		return ahead[w.name.Namespace] > round+1
	})
	if at < 0 {
		at = len(b.waiting)
	}
	b.waiting = slices.Insert(b.waiting, at, next)
}

// Cancel drops what a name waits for, and the memory that is kept for it.
func (b *Budget) Cancel(name types.NamespacedName) {
	b.mu.Lock()
	hold := b.granted[name]
	delete(b.granted, name)
	b.waiting = slices.DeleteFunc(b.waiting, func(w waiter) bool { return w.name == name })
	b.mu.Unlock()
	hold.Release()
	b.serve()
}

// serve gives free memory to those that wait.
func (b *Budget) serve() {
	b.mu.Lock()
	served := 0
	for _, w := range b.waiting {
		if w.bytes > b.free {
			break
		}
		b.free -= w.bytes
		b.granted[w.name] = &Hold{b, w.bytes}
		served++
	}
	names := slices.Clone(b.waiting[:served])
	b.waiting = b.waiting[served:]
	b.mu.Unlock()
	for _, w := range names {
		b.wake(w.name)
	}
}

// Shrink gives back what a hold has above so many bytes. A hold that has less stays as it is.
func (h *Hold) Shrink(bytes int64) {
	if h == nil {
		return
	}
	h.budget.mu.Lock()
	if freed := h.bytes - bytes; freed > 0 {
		h.budget.free += freed
		h.bytes = bytes
	}
	h.budget.mu.Unlock()
	h.budget.serve()
}

// Release gives back all that a hold has. It may be called more than once.
func (h *Hold) Release() { h.Shrink(0) }
