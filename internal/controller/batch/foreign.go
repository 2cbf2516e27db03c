// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
)

// foreignPatience is how long another batch's slice may have the label before it is reported: a batch repairs the labels of its
// slices, and the garbage collector removes those of a batch that is gone, about 20 a second.
const foreignPatience = time.Minute

// reports remembers which foreign slices were reported. What is lost with the process is reported again. The zero value is ready to
// use; it is safe for concurrent use.
type reports struct {
	mu    sync.Mutex
	known map[types.NamespacedName]map[types.UID]report // by batch and by slice
}

// report is what is known of a foreign slice.
type report struct {
	since  time.Time
	isMade bool
}

// reportForeign records an event for each foreign slice that was not reported yet. It returns the time until another may be due; 0
// for never.
func (r *Reconciler) reportForeign(v view) time.Duration {
	due, wait := r.reports.due(v.name(), v.foreign)
	for i := range due {
		r.Recorder.Eventf(v.batch, &due[i], corev1.EventTypeWarning, v1alpha1.ReasonForeignSlice, actionCreateUsers,
			"%s", foreignNote(&due[i], v.batch))
	}
	return wait
}

// foreignNote says why a slice is not the batch's, and how to remove it.
func foreignNote(slice *cached.Slice, batch *cached.Batch) string {
	owner := metav1.GetControllerOf(slice)
	why := fmt.Sprintf("nothing controls it and its name is not %s-<8 hex digits>-<number>", batch.Name)
	switch {
	case isOfBatch(slice) && owner.Name == batch.Name:
		why = "an earlier batch of this name controls it"
	case owner != nil:
		why = fmt.Sprintf("%s %q controls it", owner.Kind, owner.Name)
	}
	return fmt.Sprintf("EmbeddedUserSlice %q has the label of this batch, and is ignored because %s; "+
		"unless it is needed there, remove it: kubectl delete eus %s -n %s",
		slice.Name, why, slice.Name, slice.Namespace)
}

// due returns the slices that are to be reported now, and the time until others may be. It forgets those that are gone.
func (r *reports) due(batch types.NamespacedName, foreign []cached.Slice) (due []cached.Slice, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := make(map[types.UID]report, len(foreign))
	for i := range foreign {
		slice := &foreign[i]
		state, isKnown := r.known[batch][slice.UID]
		if !isKnown {
			state.since = time.Now()
		}
		if left := foreignPatience - time.Since(state.since); isOfBatch(slice) && left > 0 {
			wait = soonest(wait, left)
		} else if !state.isMade {
			state.isMade = true
			due = append(due, *slice)
		}
		known[slice.UID] = state
	}
	delete(r.known, batch)
	if len(known) > 0 {
		if r.known == nil {
			r.known = map[types.NamespacedName]map[types.UID]report{}
		}
		r.known[batch] = known
	}
	return due, wait
}

// forget drops what is known of the slices of a batch that is gone.
func (r *reports) forget(batch types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, batch)
}

// isOfBatch reports whether a batch controls a slice.
func isOfBatch(slice *cached.Slice) bool {
	owner := metav1.GetControllerOf(slice)
	return owner != nil && owner.Kind == v1alpha1.EmbeddedUserBatchKind
}
