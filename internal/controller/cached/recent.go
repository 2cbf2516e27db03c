package cached

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

const (
	// arrivalTime is how long the lists of an object are kept that has just arrived and has work on it: until then it is nearly
	// always reconciled, and need not be read again.
	arrivalTime = 5 * time.Second
	// arrivalUsers bounds them all together; a user takes about 100 bytes.
	arrivalUsers = 100_000
)

// arrivals are shared by all caches of the process.
var arrivals = arrivalBoard{lists: map[types.UID]lists{}}

// arrivalBoard keeps the lists that were cut off objects, for a moment.
type arrivalBoard struct {
	mu       sync.Mutex
	lists    map[types.UID]lists
	order    []arrival // the oldest first; for each of lists one, and perhaps some that are gone
	users    int
	sweeping bool
}

type arrival struct {
	uid types.UID
	at  time.Time
}

// lists of one version of an object.
type lists struct {
	version string
	at      time.Time
	users   []v1alpha1.User
	results []v1alpha1.UserResult
	counts  v1alpha1.UserCounts // as they are stored
}

// put keeps the lists of an object, in place of those of an earlier version.
func (b *arrivalBoard) put(uid types.UID, l lists) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.at = time.Now()
	b.users += len(l.users) - len(b.lists[uid].users)
	b.lists[uid] = l
	b.order = append(b.order, arrival{uid, l.at})
	for b.users > arrivalUsers {
		b.dropOldest()
	}
	if !b.sweeping {
		b.sweeping = true
		time.AfterFunc(arrivalTime, b.sweep)
	}
}

// take returns the lists of a version of an object. They must not be changed.
func (b *arrivalBoard) take(uid types.UID, version string) (lists, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, ok := b.lists[uid]
	return l, ok && l.version == version
}

// sweep drops what is too old, and comes again while there is anything.
func (b *arrivalBoard) sweep() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.order) > 0 {
		if age := time.Since(b.order[0].at); age < arrivalTime {
			time.AfterFunc(arrivalTime-age, b.sweep)
			return
		}
		b.dropOldest()
	}
	b.order, b.sweeping = nil, false
}

// dropOldest drops the oldest entry, and the lists if they are still those.
func (b *arrivalBoard) dropOldest() {
	oldest := b.order[0]
	b.order = b.order[1:]
	if l := b.lists[oldest.uid]; l.at.Equal(oldest.at) {
		b.users -= len(l.users)
		delete(b.lists, oldest.uid)
	}
}
