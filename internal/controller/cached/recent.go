package cached

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

const (
	// recentTTL is how long the lists of an object with pending work stay in memory after a watch event. Within that time the
	// object is nearly always reconciled, which saves reading it again.
	recentTTL = 5 * time.Second
	// maxRecentUsers bounds the total number of users; each takes about 100 bytes.
	maxRecentUsers = 100_000
)

// recent is shared by all caches of the process.
var recent = recentLists{lists: map[types.UID]lists{}}

// recentLists caches the lists that Transform removed from objects.
type recentLists struct {
	mu       sync.Mutex
	lists    map[types.UID]lists
	order    []recentEntry // oldest first; entries of replaced lists remain until they expire
	users    int
	expiring bool // a timer for expire is set
}

type recentEntry struct {
	uid types.UID
	at  time.Time
}

// lists are the lists of one version of an object.
type lists struct {
	version string
	at      time.Time
	users   []v1alpha1.User
	results []v1alpha1.UserResult
	counts  v1alpha1.UserCounts // as stored in the API server
}

// put caches the lists of an object, replacing those of an earlier version.
func (b *recentLists) put(uid types.UID, l lists) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.at = time.Now()
	b.users += len(l.users) - len(b.lists[uid].users)
	b.lists[uid] = l
	b.order = append(b.order, recentEntry{uid, l.at})
	for b.users > maxRecentUsers {
		b.evictOldest()
	}
	if !b.expiring {
		b.expiring = true
		time.AfterFunc(recentTTL, b.expire)
	}
}

// get returns the lists of a version of an object. The caller must not modify them.
func (b *recentLists) get(uid types.UID, version string) (lists, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, ok := b.lists[uid]
	return l, ok && l.version == version
}

// expire evicts expired entries and reschedules itself while any are left.
func (b *recentLists) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.order) > 0 {
		if age := time.Since(b.order[0].at); age < recentTTL {
			time.AfterFunc(recentTTL-age, b.expire)
			return
		}
		b.evictOldest()
	}
	b.order, b.expiring = nil, false
}

// evictOldest removes the oldest entry, and its lists unless newer ones replaced them.
func (b *recentLists) evictOldest() {
	oldest := b.order[0]
	b.order = b.order[1:]
	if l := b.lists[oldest.uid]; l.at.Equal(oldest.at) {
		b.users -= len(l.users)
		delete(b.lists, oldest.uid)
	}
}
