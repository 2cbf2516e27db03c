// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/conditions"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/credentials"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
)

// maxNamed is the maximum number of invalid users that a condition's message names.
const maxNamed = 3

// facts are everything that the status of a batch depends on.
type facts struct {
	view

	listing  listing
	obstacle *conditions.Verdict // what keeps the list from being read or planned; nil for nothing
	key      keyFacts
	found    confirmation
	now      time.Time
}

// keyFacts are what is known of the API key.
type keyFacts struct {
	key         alloy.Key
	isUnread    bool                 // the Secret could not be read
	problem     *credentials.Problem // why there is none
	fingerprint string               // of the key, if there is one
}

// summarize returns the status that a batch should have. It is built from scratch so that nothing stale remains.
func summarize(f facts) v1alpha1.EmbeddedUserBatchStatus {
	counts := count(f.slices)
	counts.Total += f.listing.plan.InvalidRows
	counts.Invalid += f.listing.plan.InvalidRows
	if unplanned := f.listing.total - counts.Total; unplanned > 0 {
		counts.Total += unplanned
		counts.Pending += unplanned
	}
	status := v1alpha1.EmbeddedUserBatchStatus{
		ObservedGeneration: f.batch.Generation,
		Counts:             counts,
		InvalidUsers:       f.listing.invalid[:min(len(f.listing.invalid), int(counts.Invalid))],
		RepeatedRows:       f.listing.repeats,
		Plan:               f.batch.Status.Plan,

		KeyFingerprint:         f.keyFingerprint(),
		LastHandledReconcileAt: f.batch.Status.LastHandledReconcileAt,
		LastResyncTime:         f.batch.Status.LastResyncTime,
	}
	f.found.apply(&status)
	if f.listing.total == 0 && f.listing.plan != (v1alpha1.PlanStatus{}) {
		status.Plan = &f.listing.plan
	}
	status.InvalidUsersOmitted = counts.Invalid - int32(len(status.InvalidUsers)) //nolint:gosec // at most MaxInvalidUsers
	for i := range f.slices {
		status.Slices.Total++
		if isReady(&f.slices[i]) {
			status.Slices.Ready++
		}
	}
	others := []metav1.Condition{f.usersCreated(counts), usersInvalid(counts, status.InvalidUsers), f.credentialsValid()}
	if len(f.batch.UsersFrom) > 0 {
		others = append(others, f.sourcesRead())
	}
	if c := cmp.Or(f.found.condition, meta.FindStatusCondition(f.batch.Status.Conditions, v1alpha1.ConditionUsersConfirmed)); c != nil {
		others = append(others, *c)
	}
	if f.batch.Suspend {
		others = append(others, conditions.New(v1alpha1.ConditionSuspended, metav1.ConditionTrue, v1alpha1.ReasonSuspended,
			"spec.suspend is true, so that nothing is sent"))
	}
	others = conditions.Replace(f.continued(others), others, f.batch.Generation, f.now)
	verdict := patient(f.verdict(counts), others, f.now)
	status.Conditions = append(conditions.Replace(f.batch.Status.Conditions, verdict.Conditions(), f.batch.Generation, f.now), others...)
	return status
}

// keyFingerprint returns which key the users exist under. It is that in the Secret once the API has accepted it, and a later one
// only if no user is known to exist; else the users are looked up first.
func (f facts) keyFingerprint() string {
	before := f.batch.Status.KeyFingerprint
	switch {
	case f.key.isUnread || f.key.problem != nil:
		return before
	case before == "" && slices.ContainsFunc(f.slices, func(slice cached.Slice) bool {
		return slice.KeyCheck != nil && slice.KeyCheck.Fingerprint == f.key.fingerprint && slice.KeyCheck.Result == v1alpha1.KeyAccepted
	}):
		return f.key.fingerprint
	case before != "" && countKnown(f.slices) == 0:
		return f.key.fingerprint
	default:
		return before
	}
}

// count counts the users of some slices by state. Results of an older generation of a slice count, because they still hold. A
// slice that is being deleted does not, because its users are planned into another one.
func count(list []cached.Slice) (counts v1alpha1.UserCounts) {
	for i := range list {
		if !list[i].DeletionTimestamp.IsZero() {
			continue
		}
		c := list[i].Counts
		counts.Total += c.Total
		counts.Created += c.Created
		counts.Existing += c.Existing
		counts.Invalid += c.Invalid
		counts.Pending += c.Pending
		counts.NotOwned += c.NotOwned
	}
	return counts
}

// isReady reports whether no user of a slice is pending.
func isReady(slice *cached.Slice) bool {
	return slice.ObservedGeneration == slice.Generation && slice.Ready != nil && slice.Ready.Status == metav1.ConditionTrue
}

func (f facts) usersCreated(counts v1alpha1.UserCounts) metav1.Condition {
	status, reason, message := metav1.ConditionFalse, v1alpha1.ReasonUsersPending, ledger.Describe(counts)
	switch problem := f.listing.problem; {
	case problem != nil:
		reason, message = problem.Reason, message+" of the list as it was last read"
	case f.obstacle != nil:
		reason = f.obstacle.Reason
	case counts.Pending == 0 && f.listing.total == 0:
		status, reason = metav1.ConditionTrue, v1alpha1.ReasonAllUsersExist
	}
	return conditions.New(v1alpha1.ConditionUsersCreated, status, reason, message)
}

func (f facts) sourcesRead() metav1.Condition {
	switch problem := f.listing.problem; {
	case problem != nil:
		return conditions.New(v1alpha1.ConditionSourcesRead, metav1.ConditionFalse, problem.Reason, problem.Message)
	case f.obstacle != nil:
		return conditions.New(v1alpha1.ConditionSourcesRead, metav1.ConditionUnknown, f.obstacle.Reason, f.obstacle.Message)
	}
	message := "Every list that spec.usersFrom names was read"
	if n := f.listing.repeats; n > 0 {
		message += fmt.Sprintf("; %d of the batch's rows repeat an earlier row exactly and do not count", n)
	}
	return conditions.New(v1alpha1.ConditionSourcesRead, metav1.ConditionTrue, v1alpha1.ReasonSourcesRead, message)
}

func usersInvalid(counts v1alpha1.UserCounts, invalid []v1alpha1.InvalidUser) metav1.Condition {
	if counts.Invalid == 0 {
		return conditions.New(v1alpha1.ConditionUsersInvalid, metav1.ConditionFalse, v1alpha1.ReasonNoInvalidUsers, "No user is invalid")
	}
	named := make([]string, 0, maxNamed)
	for _, user := range invalid[:min(len(invalid), maxNamed)] {
		where := fmt.Sprintf("row %d", user.Row)
		if user.Source != nil {
			where += fmt.Sprintf(" of %s %s, %s", user.Source.Kind, user.Source.Name, user.Source.Key)
		}
		if user.Username != "" {
			where = fmt.Sprintf("%q in %s", user.Username, where)
		}
		named = append(named, fmt.Sprintf("%s (%s)", where, user.Reason))
	}
	message := fmt.Sprintf("%d invalid", counts.Invalid)
	if len(named) > 0 {
		message += ": " + strings.Join(named, ", ")
		if more := int(counts.Invalid) - len(named); more > 0 {
			message += fmt.Sprintf(" and %d more", more)
		}
	}
	return conditions.New(v1alpha1.ConditionUsersInvalid, metav1.ConditionTrue, v1alpha1.ReasonInvalidUsers, message)
}

// isAdopted reports whether the API has served a list of the account's users with the key that is in the Secret now.
func (f facts) isAdopted() bool {
	if f.found.done != nil {
		return f.found.done.resynced != nil
	}
	return f.batch.Status.KeyFingerprint == f.key.fingerprint &&
		meta.IsStatusConditionTrue(f.batch.Status.Conditions, v1alpha1.ConditionUsersConfirmed)
}

// credentialsValid returns the condition for the API's last verdict on the key that is in the Secret now.
func (f facts) credentialsValid() metav1.Condition {
	if old := meta.FindStatusCondition(f.batch.Status.Conditions, v1alpha1.ConditionCredentialsValid); f.key.isUnread && old != nil {
		return *old
	}
	if f.key.problem != nil {
		return conditions.New(v1alpha1.ConditionCredentialsValid, metav1.ConditionFalse, f.key.problem.Reason, f.key.problem.Message)
	}
	if v := f.found.verdict; v != nil && v.Reason == v1alpha1.ReasonUnauthorized {
		return conditions.New(v1alpha1.ConditionCredentialsValid, metav1.ConditionFalse, v.Reason, v.Message)
	}
	last := f.lastCheck()
	switch {
	case last == nil && !f.isAdopted():
		return conditions.New(v1alpha1.ConditionCredentialsValid, metav1.ConditionUnknown, v1alpha1.ReasonCredentialsNotTried,
			"The Alloy API has not answered a request with this key")
	case last == nil, last.KeyCheck.Result == v1alpha1.KeyAccepted:
		return conditions.New(v1alpha1.ConditionCredentialsValid, metav1.ConditionTrue, v1alpha1.ReasonCredentialsAccepted,
			"The Alloy API accepted the key")
	}
	message := "The Alloy API rejected the key" + credentials.RejectedHint
	if last.Ready != nil && last.Ready.Reason == v1alpha1.ReasonUnauthorized {
		message = last.Ready.Message
	}
	return conditions.New(v1alpha1.ConditionCredentialsValid, metav1.ConditionFalse, v1alpha1.ReasonUnauthorized, message)
}

// lastCheck returns the slice for which the API last judged the key that is in the Secret now; nil for none.
func (f facts) lastCheck() (last *cached.Slice) {
	for i := range f.slices {
		check := f.slices[i].KeyCheck
		if check != nil && check.Fingerprint == f.key.fingerprint && (last == nil || last.KeyCheck.Time.Before(&check.Time)) {
			last = &f.slices[i]
		}
	}
	return last
}

func progress(counts v1alpha1.UserCounts) string {
	return fmt.Sprintf("%d of %d users done: %s", counts.Total-counts.Pending, counts.Total, ledger.Describe(counts))
}
