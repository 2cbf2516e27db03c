package batch

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

const (
	// progressDelay is the delay before the first status update that only shows progress, and progressInterval the interval
	// between two. Most batches are done before the first.
	progressDelay    = 2 * time.Second
	progressInterval = time.Second
	// listShare bounds the time spent on finding the rows of refused users while others are pending, to one part in listShare.
	listShare = 10
)

// memory holds state of unfinished batches that is not in their statuses.
type memory struct {
	mu      sync.Mutex
	batches map[types.NamespacedName]*memo
}

type memo struct {
	uid        types.UID
	generation int64 // of the batch that the listing describes
	listing    listing
	list       time.Time // when refreshListing may read the list again
	progress   time.Time // when the status may show progress again
}

// of returns the memo of a batch. The caller must hold m.mu.
func (m *memory) of(batch *v1alpha1.EmbeddedUserBatch) *memo {
	if m.batches == nil {
		m.batches = map[types.NamespacedName]*memo{}
	}
	key := client.ObjectKeyFromObject(batch)
	if m.batches[key] == nil || m.batches[key].uid != batch.UID {
		m.batches[key] = &memo{uid: batch.UID}
	}
	return m.batches[key]
}

func (m *memory) forget(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.batches, key)
}

// recall returns the batch's listing, which its status may not have yet.
func (m *memory) recall(batch *v1alpha1.EmbeddedUserBatch) (listing, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.batches[client.ObjectKeyFromObject(batch)]
	if known == nil || known.uid != batch.UID || known.listing.digest == "" {
		return listing{}, false
	}
	return known.listing, true
}

// learn stores a listing until the status has it; took is the time it took to read the list.
func (m *memory) learn(batch *v1alpha1.EmbeddedUserBatch, l listing, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.of(batch)
	known.generation, known.listing, known.list = batch.Generation, l, time.Now().Add(listShare*took)
}

// isAhead reports whether a newer generation of the batch was planned.
func (m *memory) isAhead(batch *v1alpha1.EmbeddedUserBatch) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.batches[client.ObjectKeyFromObject(batch)]
	return known != nil && known.uid == batch.UID && known.generation > batch.Generation
}

// listWait returns the time until refreshListing may read the list again.
func (m *memory) listWait(batch *v1alpha1.EmbeddedUserBatch) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Until(m.of(batch).list)
}

// pace returns the time until the status may be written: 0 unless it only shows progress.
func (m *memory) pace(batch *v1alpha1.EmbeddedUserBatch, status v1alpha1.EmbeddedUserBatchStatus) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := meta.FindStatusCondition(batch.Status.Conditions, v1alpha1.ConditionReady)
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	known, now := m.of(batch), time.Now()
	switch {
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
