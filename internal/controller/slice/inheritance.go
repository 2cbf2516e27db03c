// SPDX-License-Identifier: Apache-2.0

package slice

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// gathering is how much longer a slice may wait, so that slices that are noted one after the other wait until the same time: their
// users share requests.
const gathering = time.Second

// inheritance remembers the slices that were there before this process led, or had rights in their namespace. Another process may
// have sent their pending users, and may even be about to get the answer, so these users are in doubt and wait for one request timeout.
type inheritance struct {
	mu     sync.Mutex
	until  time.Time // when the slices that were noted last may be sent
	slices map[types.UID]inherited
}

type inherited struct {
	until   time.Time
	claimed bool // its users have been handed over as in doubt
}

// add notes a slice that was there before, and waits until a time or a little longer.
func (i *inheritance) add(uid types.UID, until time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.slices == nil {
		i.slices = map[types.UID]inherited{}
	}
	if until.After(i.until) {
		i.until = until.Add(gathering)
	}
	i.slices[uid] = inherited{until: i.until}
}

// claim is asked before users of a slice are handed over: whether they are in doubt, and when they may be sent. next is when
// the earlier process would have tried them again.
func (i *inheritance) claim(uid types.UID, next time.Time) (inDoubt bool, notBefore time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	known, ok := i.slices[uid]
	if !ok {
		return false, time.Time{}
	}
	until := known.until
	if next.After(until) {
		until = next
	}
	if known.claimed && time.Now().After(until) {
		delete(i.slices, uid)
		return false, time.Time{}
	}
	i.slices[uid] = inherited{known.until, true}
	return !known.claimed, until
}

// drop forgets a slice in which nothing is in doubt.
func (i *inheritance) drop(uid types.UID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.slices, uid)
}
