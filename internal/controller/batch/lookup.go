// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"hash/fnv"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/conditions"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
)

// AccountList is the list of all users of an Alloy account, as read at one time.
type AccountList interface {
	Began() time.Time     // when the request began
	Answer() alloy.Answer // why the list is not usable
	IsUsable() bool       // absence from it proves that a user was missing
	IsPartial() bool      // a user that it lacked turned out to exist
	ledger.List
}

// cause is why the users of a batch are looked up.
type cause int

const (
	noCause     cause = iota
	otherKey          // the Secret has another key than the one under which they exist
	observing         // spec.mode is Observe
	identifying       // the userIds of users are to be learned that the operator has created
	requested         // the annotation reconcile-at has another value
	resync            // spec.resyncInterval has passed
)

// wish is that the users of a batch be looked up. Two wishes are the same if one look-up fulfills both.
type wish struct {
	cause cause
	value string // the plan and the key to look up or to observe, the value of the annotation, or the time of the last resync
}

// wishOf returns what is wished of a look-up now, and when a resync will be due if nothing is; 0 for never.
func wishOf(v view, key keyFacts, interval time.Duration, began, now time.Time) (w wish, later time.Duration) {
	batch := v.batch
	if key.isUnread || key.problem != nil || batch.Suspend {
		return wish{}, 0
	}
	known := countKnown(v.slices)
	if batch.AwaitsApproval(key.fingerprint) && known > 0 {
		return wish{otherKey, v.plan().Slices + key.fingerprint}, 0
	}
	if pending := count(v.slices).Pending; batch.Mode == v1alpha1.ModeObserve && pending > 0 && !isObserved(v, key.fingerprint) {
		return wish{observing, v.plan().Slices + key.fingerprint}, 0
	}
	if isIdentifiable(v) {
		return wish{cause: identifying}, 0
	}
	if value := request(batch); value != "" && value != batch.Status.LastHandledReconcileAt {
		return wish{requested, value}, 0
	}
	due := resyncDue(batch, key.fingerprint, interval, began)
	if due.IsZero() || known == 0 {
		return wish{}, 0
	}
	if later = due.Sub(now); later > 0 {
		return wish{}, later
	}
	return wish{resync, lastResync(batch)}, 0
}

// request returns the value of the annotation that asks for a look-up, cut to what the status can hold.
func request(batch *cached.Batch) string {
	return conditions.Shorten(batch.Annotations[v1alpha1.AnnotationReconcileAt], v1alpha1.MaxReconcileAt)
}

// countKnown counts the users of some slices that exist by their results, or did when they were last looked up.
func countKnown(slices []cached.Slice) int32 {
	counts := count(slices)
	edited := sum(slices, func(slice *cached.Slice) int32 { return slice.Unidentified + slice.Outdated })
	return counts.Created + counts.Existing + countAsked(slices) + edited
}

// countAsked counts the users of some slices that are sent again although they have a result.
func countAsked(slices []cached.Slice) int32 {
	return sum(slices, func(slice *cached.Slice) int32 { return slice.Asked })
}

// sum adds up a number of each slice that is not being deleted.
func sum(slices []cached.Slice, number func(*cached.Slice) int32) (total int32) {
	for i := range slices {
		if slices[i].DeletionTimestamp.IsZero() {
			total += number(&slices[i])
		}
	}
	return total
}

// resyncShare is the part of its interval by which a resync may come later, and by which the list that it uses may be older.
const resyncShare = 10

// resyncDue returns when the users of a batch are to be looked up again; the zero time for never. Accounts differ in a delay, so that
// a fleet does not move together; the batches of an account share a list, and so stay together.
func resyncDue(batch *cached.Batch, fingerprint string, interval time.Duration, began time.Time) time.Time {
	if interval <= 0 {
		return time.Time{}
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(fingerprint)) // a hash never fails
	delay := interval / resyncShare * time.Duration(hash.Sum32()%1000) / 1000
	if last := batch.Status.LastResyncTime; last != nil {
		return last.Add(interval + delay)
	}
	if due := batch.CreationTimestamp.Add(interval); due.After(began) {
		return due.Add(delay)
	}
	return began.Add(delay) // the interval was set, or the operator was installed, long after the batch
}

// lastResync returns when users were last found to exist, as text.
func lastResync(batch *cached.Batch) string {
	if batch.Status.LastResyncTime == nil {
		return ""
	}
	return batch.Status.LastResyncTime.UTC().Format(time.RFC3339)
}

// since returns when the list for a wish must have begun that comes up now.
func (w wish) since(now time.Time, interval time.Duration) time.Time {
	if w.cause == resync {
		return now.Add(-interval / resyncShare)
	}
	return now
}

// describe says why a list is not usable.
func describe(list AccountList) string {
	if list.IsPartial() {
		return "The Alloy API's list of users lacks users that exist"
	}
	return "The Alloy API's list of users cannot be used: " + list.Answer().Explain()
}
