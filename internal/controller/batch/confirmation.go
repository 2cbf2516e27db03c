// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/conditions"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/credentials"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
)

// confirmation is what looking up a batch's users says for its status. The zero value changes nothing.
type confirmation struct {
	condition *metav1.Condition   // UsersConfirmed
	verdict   *conditions.Verdict // on pending users, which wait for the look-up
	approval  string              // for users under another account's key
	done      *done               // the look-up is over
	later     time.Duration       // when to look again without an event; 0 for never
}

// done is what a look-up has shown.
type done struct {
	fingerprint string       // of the key under which the users exist
	request     string       // the value of the annotation reconcile-at that was handled
	resynced    *metav1.Time // when all users were found to exist; nil if they were not looked for
}

func condition(status metav1.ConditionStatus, reason, message string) *metav1.Condition {
	return new(conditions.New(v1alpha1.ConditionUsersConfirmed, status, reason, message))
}

// confirming says that a look-up goes on. One that nobody asked for just now does not show unless it finds something.
func (w wish) confirming(message string) (c confirmation) {
	if w.cause == resync || w.cause == identifying {
		return confirmation{}
	}
	c.condition = condition(metav1.ConditionUnknown, v1alpha1.ReasonConfirming, message)
	if w.cause == otherKey || w.cause == observing {
		c.verdict = new(conditions.Progressing(message))
	}
	return c
}

// reading says that the list is still to be read.
func (l *lookup) reading() confirmation {
	c := l.wish.confirming("Reading the list of the account's users")
	if l.approval != "" {
		c = accountChanged(l.another, l.approval)
	}
	c.later = listSafetyNet
	return c
}

// over returns what a look-up has shown that is over.
func (l *lookup) over(key keyFacts, resynced *metav1.Time) *done {
	d := &done{fingerprint: key.fingerprint, resynced: resynced}
	if l.wish.cause == requested {
		d.request = l.wish.value
	}
	return d
}

// confirmed says that every user exists that should, or is pending.
func confirmed(l *lookup, key keyFacts, at time.Time) confirmation {
	return confirmation{
		condition: condition(metav1.ConditionTrue, v1alpha1.ReasonConfirmed,
			"The account's list of users was compared with the results"),
		done: l.over(key, new(metav1.NewTime(at.Truncate(time.Second)))),
	}
}

// unavailable says that there is no usable list.
func unavailable(message string) confirmation {
	return confirmation{condition: condition(metav1.ConditionFalse, v1alpha1.ReasonListUnavailable, message)}
}

// kept says that the results hold under another key, although they could not be confirmed.
func kept(l *lookup, key keyFacts) confirmation {
	c := unavailable(describe(l.list) + "; the results were kept although the API key is another one")
	c.done = l.over(key, nil)
	return c
}

// sentInstead says that each user was sent once because there is no list.
func sentInstead(l *lookup, key keyFacts, now time.Time) confirmation {
	c := unavailable(describe(l.list) + "; each user was sent once instead")
	c.done = l.over(key, new(metav1.NewTime(now.Truncate(time.Second))))
	return c
}

// retryingList is the verdict on users that cannot be observed without a list.
func retryingList(list AccountList) *conditions.Verdict {
	return new(conditions.Failing(v1alpha1.ReasonListUnavailable, describe(list)+"; trying again"))
}

// rejectedKey is the verdict on users that cannot be looked up because the API rejects the key.
func rejectedKey(list AccountList) *conditions.Verdict {
	return new(conditions.Stalled(v1alpha1.ReasonUnauthorized, list.Answer().Explain()+credentials.RejectedHint))
}

// accountChanged says that the key in the Secret seems to be another account's.
func accountChanged(t tally, approval string) confirmation {
	message := fmt.Sprintf("%d of %d users that exist are missing under the API key that the Secret has now, so it may be another "+
		"account's; put the right key into the Secret, or create them there with the annotation %s=%s",
		t.missing, t.known, v1alpha1.AnnotationApprove, approval)
	return confirmation{
		condition: condition(metav1.ConditionFalse, v1alpha1.ReasonAccountChanged, message),
		verdict:   new(conditions.Stalled(v1alpha1.ReasonAccountChanged, message)),
		approval:  approval,
	}
}

// isObserved reports whether the status shows what the mode Apply would create of the plan as it is, under the key as it is.
func isObserved(v view, fingerprint string) bool {
	ready := meta.FindStatusCondition(v.batch.Status.Conditions, v1alpha1.ConditionReady)
	planned := v.batch.Status.Plan
	return ready != nil && ready.Reason == v1alpha1.ReasonObserved && v.batch.Status.KeyFingerprint == fingerprint &&
		planned != nil && planned.Slices == v.plan().Slices
}

// observed is the verdict on a batch in the mode Observe whose users were looked up.
func observed(counts v1alpha1.UserCounts) conditions.Verdict {
	return conditions.Paused(v1alpha1.ReasonObserved, ledger.Describe(counts)+"; set spec.mode to Apply to create the pending ones")
}

// suspended is the verdict on a batch that is suspended while users are pending.
func suspended(counts v1alpha1.UserCounts) conditions.Verdict {
	return conditions.Paused(v1alpha1.ReasonSuspended, progress(counts)+"; set spec.suspend to false to go on")
}

// apply writes into a status what a look-up has shown.
func (c confirmation) apply(status *v1alpha1.EmbeddedUserBatchStatus) {
	status.Approval = c.approval
	if c.done == nil {
		return
	}
	status.KeyFingerprint = c.done.fingerprint
	if c.done.request != "" {
		status.LastHandledReconcileAt = c.done.request
	}
	if c.done.resynced != nil {
		status.LastResyncTime = c.done.resynced
	}
}
