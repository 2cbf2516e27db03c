// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
)

const (
	// progressDelay is the delay before the first status update that only shows progress, and progressInterval the interval
	// between two. Most batches are done before the first.
	progressDelay    = 2 * time.Second
	progressInterval = time.Second
	// planningInterval is the interval of status updates while slices are written.
	planningInterval = 2 * time.Second
	// listShare bounds the time spent on finding the rows of rejected users while others are pending, to one part in listShare.
	listShare = 10
)

// unfinished holds what is known of unfinished batches and not in their statuses. What is lost with the process is found out
// again. The zero value is ready to use; it is safe for concurrent use.
type unfinished struct {
	mu      sync.Mutex
	batches map[types.NamespacedName]*memo
}

// memo is what is known of a batch.
type memo struct {
	uid      types.UID
	listing  *listing  // nil if the status has it
	refusal  *refusal  // nil if nothing was refused
	status   time.Time // when a status may be written again that the API server refuses
	relist   time.Time // when the list may be read again only to find the rows of rejected users
	progress time.Time // when the status may show progress again
	lookup   *lookup   // nil if the users are not being looked up
}

// update changes the memo of a batch.
func (u *unfinished) update(batch *cached.Batch, change func(*memo)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.batches == nil {
		u.batches = map[types.NamespacedName]*memo{}
	}
	name := client.ObjectKeyFromObject(batch)
	if known := u.batches[name]; known == nil || known.uid != batch.UID {
		u.batches[name] = &memo{uid: batch.UID}
	}
	change(u.batches[name])
}

// get returns the memo of a batch; an empty one if there is none.
func (u *unfinished) get(batch *cached.Batch) memo {
	u.mu.Lock()
	defer u.mu.Unlock()
	if known := u.batches[client.ObjectKeyFromObject(batch)]; known != nil && known.uid == batch.UID {
		return *known
	}
	return memo{}
}

// forget drops what is known of a batch that is finished, unless its users are being looked up, or that is gone.
func (u *unfinished) forget(name types.NamespacedName) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if known := u.batches[name]; known == nil || known.lookup == nil {
		delete(u.batches, name)
	}
}

// listingOf returns what is known of the list of a batch.
func (u *unfinished) listingOf(batch *cached.Batch) listing {
	if known := u.get(batch).listing; known != nil {
		return *known
	}
	return storedListing(batch.Status)
}

// refusalOf returns what the API server refused of the list of a view; nil for nothing.
func (u *unfinished) refusalOf(v view) *refusal {
	known := u.get(v.batch).refusal
	if known == nil || known.plan.Generation != v.batch.Generation || known.plan.Sources != v.sources {
		return nil
	}
	return known
}

// pace returns the time until the status may be written: 0 unless it only shows progress.
func (u *unfinished) pace(batch *cached.Batch, status v1alpha1.EmbeddedUserBatchStatus) (wait time.Duration) {
	before := meta.FindStatusCondition(batch.Status.Conditions, v1alpha1.ConditionReady)
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	isNews := ready.Reason != v1alpha1.ReasonProgressing && (before == nil || before.Reason != ready.Reason || status.Counts.Pending == 0)
	u.update(batch, func(m *memo) {
		now := time.Now()
		if m.progress.IsZero() && !isNews {
			m.progress = now.Add(progressDelay)
		}
		if wait = m.status.Sub(now); wait <= 0 && !isNews {
			wait = m.progress.Sub(now)
		}
		if wait = max(wait, 0); wait == 0 {
			m.progress = now.Add(progressInterval)
		}
	})
	return wait
}
