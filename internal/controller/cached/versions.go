package cached

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Allowance is how long an object that was created may be missing in the cache, or one that was deleted be there. A watch delivers within seconds, or it is
// broken and begins anew with a list; what is missing then was deleted by somebody else.
const Allowance = 10 * time.Second

// Writes remembers what this process wrote until the cache has it: a decision on an older copy would be one that was made
// already. What is written for one owner is remembered together. The zero value is ready. It is safe for concurrent use.
type Writes struct {
	mu      sync.Mutex
	written map[types.NamespacedName]map[string]write // by owner and by name
}

// write is the version that an object got; of one that was deleted it is empty.
type write struct {
	uid     types.UID
	version string
	at      time.Time
}

// Note remembers that an object has the resource version that it got by a write, or that it was deleted, if that is empty.
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

// AreAhead tells whether something was written for an owner that the cache does not have yet; objects are those that it has.
// What it has is forgotten.
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

// Forget drops what was written for an owner that is gone.
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
