// SPDX-License-Identifier: Apache-2.0

package cached

import (
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Allowance is how long the cache may lag behind. A watch delivers within seconds or starts again with a list. What the cache
// does not have by then was undone by somebody else: an object was deleted, or etcd restored from a backup.
const Allowance = 10 * time.Second

// Versions holds the versions of objects that this process has last written or read from the API server, by owner, until the
// cache has them: no decision is made on an older object. The zero value is ready to use. Versions is safe for concurrent use.
type Versions struct {
	mu    sync.Mutex
	known map[types.NamespacedName]map[string]noted // by owner and by name
}

type noted struct {
	version // without a number if the object was deleted

	at time.Time
}

// Note records the version of an object that was written or read.
func (v *Versions) Note(owner types.NamespacedName, object client.Object) {
	v.note(owner, object.GetName(), versionOf(object))
}

// NoteDeleted records that an object was deleted.
func (v *Versions) NoteDeleted(owner types.NamespacedName, object client.Object) {
	v.note(owner, object.GetName(), version{uid: object.GetUID()})
}

func (v *Versions) note(owner types.NamespacedName, name string, is version) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known == nil {
		v.known = map[types.NamespacedName]map[string]noted{}
	}
	if v.known[owner] == nil {
		v.known[owner] = map[string]noted{}
	}
	v.known[owner][name] = noted{is, time.Now()}
}

// Expire drops what was noted of an owner's objects longer than Allowance ago.
func (v *Versions) Expire(owner types.NamespacedName) {
	v.mu.Lock()
	defer v.mu.Unlock()
	maps.DeleteFunc(v.known[owner], func(_ string, is noted) bool { return time.Since(is.at) > Allowance })
}

// AreAhead reports whether the cache lacks what was written or read of an owner's objects, given these objects as cached. It
// drops what the cache has.
func (v *Versions) AreAhead(owner types.NamespacedName, cached ...client.Object) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	known := v.known[owner]
	has := make(map[string]client.Object, len(cached))
	for _, object := range cached {
		has[object.GetName()] = object
	}
	for name, is := range known {
		if !is.isAheadOf(has[name]) {
			delete(known, name)
		}
	}
	if len(known) == 0 {
		delete(v.known, owner)
	}
	return len(known) > 0
}

// Forget drops what is known of an owner that is gone.
func (v *Versions) Forget(owner types.NamespacedName) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.known, owner)
}

func (v version) isAheadOf(object client.Object) bool {
	switch {
	case object == nil:
		return v.number != ""
	case object.GetUID() != v.uid:
		return false
	case v.number == "":
		return object.GetDeletionTimestamp().IsZero()
	}
	order, err := resourceversion.CompareResourceVersion(object.GetResourceVersion(), v.number)
	return err == nil && order < 0
}
