package cached

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Allowance is how long the cache may lack a created object or still have a deleted one. A watch delivers within seconds or
// starts again with a list; an object that is still missing then was deleted by somebody else.
const Allowance = 10 * time.Second

// Writes records the writes of this process, by owner, until the cache has them, so that no decision is made again on a stale
// object. The zero value is ready to use. Writes is safe for concurrent use.
type Writes struct {
	mu      sync.Mutex
	written map[types.NamespacedName]map[string]write // by owner and by name
}

type write struct {
	uid     types.UID
	version string // empty if the object was deleted
	at      time.Time
}

// Note records the resource version of an object after a write; an empty one means that the object was deleted.
func (w *Writes) Note(owner types.NamespacedName, object client.Object, resourceVersion string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.written == nil {
		w.written = map[types.NamespacedName]map[string]write{}
	}
	if w.written[owner] == nil {
		w.written[owner] = map[string]write{}
	}
	w.written[owner][object.GetName()] = write{uid: object.GetUID(), version: resourceVersion, at: time.Now()}
}

// AreAhead reports whether the cache lacks a write for an owner, given the owner's objects in the cache. It drops the writes
// that the cache has.
func (w *Writes) AreAhead(owner types.NamespacedName, objects ...client.Object) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	noted := w.written[owner]
	if len(noted) == 0 {
		return false
	}
	has := make(map[string]client.Object, len(objects))
	for _, object := range objects {
		has[object.GetName()] = object
	}
	for name, written := range noted {
		if !written.isAheadOf(has[name]) {
			delete(noted, name)
		}
	}
	if len(noted) == 0 {
		delete(w.written, owner)
	}
	return len(noted) > 0
}

// Forget drops the writes for an owner that is gone.
func (w *Writes) Forget(owner types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.written, owner)
}

func (w write) isAheadOf(object client.Object) bool {
	switch {
	case object == nil:
		return w.version != "" && time.Since(w.at) < Allowance
	case object.GetUID() != w.uid:
		return false
	case w.version == "":
		return object.GetDeletionTimestamp().IsZero() && time.Since(w.at) < Allowance
	}
	order, err := resourceversion.CompareResourceVersion(object.GetResourceVersion(), w.version)
	return err == nil && order < 0
}
