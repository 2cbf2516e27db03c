package cached

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// recentTTL is how long an object with pending work stays in memory after a watch event. Within that time the object is
	// nearly always reconciled, which saves reading it again.
	recentTTL = 5 * time.Second
	// maxRecentUsers bounds the total number of users; each takes about 100 bytes.
	maxRecentUsers = 100_000
)

// recent is shared by all caches of the process.
var recent = recentObjects{objects: map[types.UID]recentObject{}}

// recentObjects holds whole objects of which the cache keeps a part.
type recentObjects struct {
	mu       sync.Mutex
	objects  map[types.UID]recentObject
	order    []recentEntry // oldest first; entries of replaced objects remain until they expire
	users    int
	expiring bool // a timer for expire is set
}

type recentObject struct {
	client.Object
	users int
	at    time.Time
}

type recentEntry struct {
	uid types.UID
	at  time.Time
}

// put keeps an object with a number of users, and replaces an earlier version of it.
func (r *recentObjects) put(object client.Object, users int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	uid, now := object.GetUID(), time.Now()
	r.users += users - r.objects[uid].users
	r.objects[uid] = recentObject{object, users, now}
	r.order = append(r.order, recentEntry{uid, now})
	for r.users > maxRecentUsers {
		r.evictOldest()
	}
	if !r.expiring {
		r.expiring = true
		time.AfterFunc(recentTTL, r.expire)
	}
}

// get returns a version of an object; nil if it is not there.
func (r *recentObjects) get(uid types.UID, version string) client.Object {
	r.mu.Lock()
	defer r.mu.Unlock()
	if kept, ok := r.objects[uid]; ok && kept.GetResourceVersion() == version {
		return kept.Object
	}
	return nil
}

// expire evicts expired entries and reschedules itself while any are left.
func (r *recentObjects) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.order) > 0 {
		if age := time.Since(r.order[0].at); age < recentTTL {
			time.AfterFunc(recentTTL-age, r.expire)
			return
		}
		r.evictOldest()
	}
	r.order, r.expiring = nil, false
}

// evictOldest removes the oldest entry, and its object unless a newer one replaced it.
func (r *recentObjects) evictOldest() {
	oldest := r.order[0]
	r.order = r.order[1:]
	if kept := r.objects[oldest.uid]; kept.at.Equal(oldest.at) {
		r.users -= kept.users
		delete(r.objects, oldest.uid)
	}
}
