// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
)

// maxShown is how many batches that are not ready have series of their own. It bounds what a scrape takes, in the operator and in
// Prometheus, while every batch of a large cluster fails, and whoever may write batches.
const maxShown = 1000

// unknown is the reason of a batch whose status the operator has not written, or somebody else has overwritten.
const unknown = "Unknown"

// reasons are all reasons of the Ready condition of a batch. Others count as unknown, so that no text becomes a label.
var reasons = []string{
	unknown, v1alpha1.ReasonProgressing, v1alpha1.ReasonRetrying, v1alpha1.ReasonSucceeded, v1alpha1.ReasonSucceededWithInvalidUsers,
	v1alpha1.ReasonInvalidUsers, v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonSourceNotFound, v1alpha1.ReasonSourceUnreadable,
	v1alpha1.ReasonListTooLarge, v1alpha1.ReasonPlanRejected, v1alpha1.ReasonInvalidCredentials, v1alpha1.ReasonUnauthorized,
	v1alpha1.ReasonRequestRejected, v1alpha1.ReasonUnexpectedRedirect, v1alpha1.ReasonSuspended, v1alpha1.ReasonObserved,
	v1alpha1.ReasonAccountChanged, v1alpha1.ReasonListUnavailable,
}

// The results of users.
const (
	resultCreated  = "created"
	resultExisting = "existing"
	resultInvalid  = "invalid"
	resultPending  = "pending"
)

// Why a batch creates no users although nothing is wrong.
const (
	pauseSuspended = "suspended"
	pauseObserving = "observing"
)

// summary is what a scrape shows of the batches.
type summary struct {
	batches   map[string]int   // by reason
	users     map[string]int64 // by result
	notOwned  int64            // users that exist and whose full name is not written although their batch asks for it
	paused    map[string]int   // by why
	oldest    time.Time        // since when a batch has had pending users; zero for none
	suspended time.Time        // since when a batch has been suspended; zero for none
	overdue   int              // batches whose users should have been looked up long ago
	unready   []unready
}

// unready is a batch that is not ready.
type unready struct {
	namespace, name  string
	reason           string
	stalled          bool
	since            time.Time // it has had the status of its Ready condition
	pendingSince     time.Time // it has had pending users without a break; zero if it has none
	pending, invalid int32
	rank             int // among those of its namespace
}

func newSummary() *summary {
	s := &summary{batches: map[string]int{}, users: map[string]int64{}, paused: map[string]int{pauseSuspended: 0, pauseObserving: 0}}
	for _, reason := range reasons {
		s.batches[reason] = 0
	}
	return s
}

// add counts a batch.
func (s *summary) add(batch *cached.Batch) {
	if !batch.DeletionTimestamp.IsZero() {
		return
	}
	counts := batch.Status.Counts
	s.users[resultCreated] += int64(counts.Created)
	s.users[resultExisting] += int64(counts.Existing)
	s.users[resultInvalid] += int64(counts.Invalid)
	s.users[resultPending] += int64(counts.Pending)
	s.notOwned += int64(counts.NotOwned)
	ready := meta.FindStatusCondition(batch.Status.Conditions, v1alpha1.ConditionReady)
	one := unready{
		namespace: batch.Namespace, name: batch.Name, reason: unknown, since: batch.CreationTimestamp.Time,
		stalled: meta.IsStatusConditionTrue(batch.Status.Conditions, v1alpha1.ConditionStalled),
		pending: counts.Pending, invalid: counts.Invalid, pendingSince: pendingSince(batch),
	}
	if ready != nil {
		one.since = ready.LastTransitionTime.Time
		if slices.Contains(reasons, ready.Reason) {
			one.reason = ready.Reason
		}
	}
	s.batches[one.reason]++
	s.oldest = older(s.oldest, one.pendingSince)
	s.addPause(batch)
	if ready == nil || ready.Status != metav1.ConditionTrue {
		s.unready = append(s.unready, one)
	}
}

// addPause counts a batch that creates no users because its spec says so.
func (s *summary) addPause(batch *cached.Batch) {
	switch {
	case batch.Suspend:
		s.paused[pauseSuspended]++
	case batch.Mode == v1alpha1.ModeObserve:
		s.paused[pauseObserving]++
	}
	if c := meta.FindStatusCondition(batch.Status.Conditions, v1alpha1.ConditionSuspended); c != nil && batch.Suspend {
		s.suspended = older(s.suspended, c.LastTransitionTime.Time)
	}
}

// older returns the earlier of two times, of which the zero time is none.
func older(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// pendingSince returns since when a batch has had pending users without a break; zero if none is pending. Nobody knows since when a
// single user has been. The users of a batch that the operator has not looked at are pending.
func pendingSince(batch *cached.Batch) time.Time {
	created := meta.FindStatusCondition(batch.Status.Conditions, v1alpha1.ConditionUsersCreated)
	switch {
	case created == nil:
		return batch.CreationTimestamp.Time
	case batch.Status.Counts.Pending == 0:
		return time.Time{}
	default:
		return created.LastTransitionTime.Time
	}
}

// shown returns the batches that have series of their own, at most maxShown. In turn by namespace these are the ones that have not been
// ready for longest, so that no namespace hides the batches of another, and each keeps its series until it is ready.
func (s *summary) shown() []unready {
	slices.SortFunc(s.unready, func(a, b unready) int {
		return cmp.Or(a.since.Compare(b.since), strings.Compare(a.namespace, b.namespace), strings.Compare(a.name, b.name))
	})
	ranks := map[string]int{}
	for i := range s.unready {
		s.unready[i].rank = ranks[s.unready[i].namespace]
		ranks[s.unready[i].namespace]++
	}
	slices.SortStableFunc(s.unready, func(a, b unready) int { return cmp.Compare(a.rank, b.rank) })
	return s.unready[:min(len(s.unready), maxShown)]
}
