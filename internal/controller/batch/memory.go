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
	// progressDelay passes before the first write of a status that only shows progress, and progressInterval between two. Most
	// batches are done before the first.
	progressDelay    = 2 * time.Second
	progressInterval = time.Second
	// listShare bounds how much of the time goes into finding the rows of refused users while others are still pending: one
	// part in so many.
	listShare = 10
)

// memory keeps what is known of the batches on which there is work.
type memory struct {
	mu      sync.Mutex
	batches map[types.NamespacedName]*memo
}

type memo struct {
	uid        types.UID
	generation int64 // that the listing speaks of
	listing    listing
	list       time.Time // when the list may be read again only to find rows
	progress   time.Time // when progress may be shown
}

// of returns the memo of a batch. The caller holds the lock.
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

// recall returns what was learned of a batch's list and may not be written yet.
func (m *memory) recall(batch *v1alpha1.EmbeddedUserBatch) (listing, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.batches[client.ObjectKeyFromObject(batch)]
	if known == nil || known.uid != batch.UID || known.listing.digest == "" {
		return listing{}, false
	}
	return known.listing, true
}

// learn keeps a listing until it is written; reading the list took so long.
func (m *memory) learn(batch *v1alpha1.EmbeddedUserBatch, l listing, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.of(batch)
	known.generation, known.listing, known.list = batch.Generation, l, time.Now().Add(listShare*took)
}

// isAhead tells whether a newer generation of a batch was planned than this copy is of.
func (m *memory) isAhead(batch *v1alpha1.EmbeddedUserBatch) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.batches[client.ObjectKeyFromObject(batch)]
	return known != nil && known.uid == batch.UID && known.generation > batch.Generation
}

// listWait returns how long to wait before the list is read again only to find rows.
func (m *memory) listWait(batch *v1alpha1.EmbeddedUserBatch) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Until(m.of(batch).list)
}

// pace returns how long a status has to wait before it is written: not at all, unless it only shows progress.
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
