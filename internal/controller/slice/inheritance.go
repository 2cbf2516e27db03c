package slice

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// inheritance remembers the slices that were there before this process led. An earlier process may have sent their pending
// users, and may even be about to get the answer, so these users are in doubt and wait for one request timeout.
type inheritance struct {
	mu     sync.Mutex
	until  time.Time
	slices map[types.UID]bool // true once its users have been handed over as in doubt
}

// begin starts the wait: this process leads now.
func (i *inheritance) begin(until time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.until = until
}

// add notes a slice that was there before.
func (i *inheritance) add(uid types.UID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.slices == nil {
		i.slices = map[types.UID]bool{}
	}
	i.slices[uid] = false
}

// claim is asked before users of a slice are handed over: whether they are in doubt, and when they may be sent. next is when
// the earlier process would have tried them again.
func (i *inheritance) claim(uid types.UID, next time.Time) (inDoubt bool, notBefore time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	claimed, inherited := i.slices[uid]
	if !inherited {
		return false, time.Time{}
	}
	until := i.until
	if next.After(until) {
		until = next
	}
	if claimed && time.Now().After(until) {
		delete(i.slices, uid)
		return false, time.Time{}
	}
	i.slices[uid] = true
	return !claimed, until
}

// drop forgets a slice in which nothing is in doubt.
func (i *inheritance) drop(uid types.UID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.slices, uid)
}
