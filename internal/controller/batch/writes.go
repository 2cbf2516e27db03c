package batch

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// writes remembers which status this process wrote last, until the cache has it. Compared with an older copy everything
// would look new once more, and be told as an event again.
type writes struct {
	mu       sync.Mutex
	versions map[types.UID]string
}

func (w *writes) note(uid types.UID, resourceVersion string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.versions == nil {
		w.versions = map[types.UID]string{}
	}
	w.versions[uid] = resourceVersion
}

// isAhead tells whether the object is older than what was written. Once it is not, the write is forgotten.
func (w *writes) isAhead(object client.Object) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	version, noted := w.versions[object.GetUID()]
	if !noted {
		return false
	}
	if order, err := resourceversion.CompareResourceVersion(object.GetResourceVersion(), version); err == nil && order < 0 {
		return true
	}
	delete(w.versions, object.GetUID())
	return false
}
