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
	planningInterval = 3 * time.Second
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
}

// of returns the memo of a batch. The caller must hold u.mu.
func (u *unfinished) of(batch *cached.Batch) *memo {
	if u.batches == nil {
		u.batches = map[types.NamespacedName]*memo{}
	}
	name := client.ObjectKeyFromObject(batch)
	if u.batches[name] == nil || u.batches[name].uid != batch.UID {
		u.batches[name] = &memo{uid: batch.UID}
	}
	return u.batches[name]
}

// forget drops what is known of a batch that is finished or gone.
func (u *unfinished) forget(name types.NamespacedName) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.batches, name)
}

// listing returns what is known of the list of a batch.
func (u *unfinished) listing(batch *cached.Batch) listing {
	u.mu.Lock()
	defer u.mu.Unlock()
	if known := u.batches[client.ObjectKeyFromObject(batch)]; known != nil && known.uid == batch.UID && known.listing != nil {
		return *known.listing
	}
	return storedListing(batch.Status)
}

// learn keeps a listing until the status has it. took is the time it took to read the list.
func (u *unfinished) learn(batch *cached.Batch, l listing, took time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	known := u.of(batch)
	known.listing, known.relist = &l, time.Now().Add(listShare*took)
}

// refuse keeps what the API server refused; nil for nothing.
func (u *unfinished) refuse(batch *cached.Batch, what *refusal) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if known := u.batches[client.ObjectKeyFromObject(batch)]; known != nil || what != nil {
		u.of(batch).refusal = what
	}
}

// refuseStatus notes until when a status is not written that the API server refuses.
func (u *unfinished) refuseStatus(batch *cached.Batch, until time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.of(batch).status = until
}

// refusal returns what the API server refused of the list of a view; nil for nothing.
func (u *unfinished) refusal(v view) *refusal {
	u.mu.Lock()
	defer u.mu.Unlock()
	known := u.batches[v.name()]
	if known == nil || known.uid != v.batch.UID || known.refusal == nil {
		return nil
	}
	if plan := known.refusal.plan; plan.Generation != v.batch.Generation || plan.Sources != v.sources {
		return nil
	}
	return known.refusal
}

// relistWait returns the time until the list may be read again only to find the rows of rejected users.
func (u *unfinished) relistWait(batch *cached.Batch) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	return time.Until(u.of(batch).relist)
}

// pace returns the time until the status may be written: 0 unless it only shows progress.
func (u *unfinished) pace(batch *cached.Batch, status v1alpha1.EmbeddedUserBatchStatus) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	before := meta.FindStatusCondition(batch.Status.Conditions, v1alpha1.ConditionReady)
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	known, now := u.of(batch), time.Now()
	switch {
	case now.Before(known.status):
		return known.status.Sub(now)
	case ready.Reason != v1alpha1.ReasonProgressing && (before == nil || before.Reason != ready.Reason || status.Counts.Pending == 0):
	case known.progress.IsZero():
		known.progress = now.Add(progressDelay)
		return progressDelay
	case now.Before(known.progress):
		return known.progress.Sub(now)
	}
	known.progress = now.Add(progressInterval)
	return 0
}
