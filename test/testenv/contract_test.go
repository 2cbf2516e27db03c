// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// validBatch returns a batch whose only user exists.
func validBatch() *v1alpha1.EmbeddedUserBatch {
	batch := &v1alpha1.EmbeddedUserBatch{ObjectMeta: metav1.ObjectMeta{Generation: 2}}
	batch.Status = v1alpha1.EmbeddedUserBatchStatus{ObservedGeneration: 2, Counts: v1alpha1.UserCounts{Total: 1, Created: 1}}
	for _, conditionType := range []string{
		v1alpha1.ConditionReady, v1alpha1.ConditionUsersCreated, v1alpha1.ConditionUsersInvalid, v1alpha1.ConditionCredentialsValid,
	} {
		add(&batch.Status, conditionType, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	}
	return batch
}

// add adds a condition to a status.
func add(s *v1alpha1.EmbeddedUserBatchStatus, conditionType string, status metav1.ConditionStatus, reason string) {
	s.Conditions = append(s.Conditions, metav1.Condition{
		Type: conditionType, Status: status, Reason: reason, Message: "fine", ObservedGeneration: 2,
	})
}

// pause makes a valid batch one whose only user is not sent for a reason.
func pause(b *v1alpha1.EmbeddedUserBatch, reason string) {
	b.Status.Counts = v1alpha1.UserCounts{Total: 1, Pending: 1}
	b.Status.Conditions[0].Status, b.Status.Conditions[0].Reason = metav1.ConditionUnknown, reason
}

// suspend suspends a valid batch.
func suspend(b *v1alpha1.EmbeddedUserBatch) {
	b.Spec.Suspend = true
	add(&b.Status, v1alpha1.ConditionSuspended, metav1.ConditionTrue, v1alpha1.ReasonSuspended)
}

func suspendPending(b *v1alpha1.EmbeddedUserBatch) { suspend(b); pause(b, v1alpha1.ReasonSuspended) }

func observe(b *v1alpha1.EmbeddedUserBatch) {
	b.Spec.Mode = v1alpha1.ModeObserve
	pause(b, v1alpha1.ReasonObserved)
}

// changeAccount makes a valid batch one whose key is another account's.
func changeAccount(b *v1alpha1.EmbeddedUserBatch) {
	s := &b.Status
	s.Approval, s.Conditions[0].Status, s.Conditions[0].Reason = "digest", metav1.ConditionFalse, v1alpha1.ReasonAccountChanged
	add(s, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonAccountChanged)
	add(s, v1alpha1.ConditionUsersConfirmed, metav1.ConditionFalse, v1alpha1.ReasonAccountChanged)
}

// TestContract_EachViolationOfAPauseIsFound breaks statuses of batches whose users are not sent because somebody wants it so.
func TestContract_EachViolationOfAPauseIsFound(t *testing.T) {
	for name, tolerate := range map[string]func(*v1alpha1.EmbeddedUserBatch){
		"suspended with something pending":   suspendPending,
		"suspended with nothing pending":     suspend,
		"observed":                           observe,
		"the suspension was not yet seen":    func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Suspend = true; b.Generation++ },
		"another account's key":              changeAccount,
		"suspended while a plan is rejected": func(b *v1alpha1.EmbeddedUserBatch) { suspendPending(b); fail(b, v1alpha1.ReasonPlanRejected) },
	} {
		batch := validBatch()
		tolerate(batch)
		if violations := batchViolations(batch, time.Now()); len(violations) > 0 {
			t.Errorf("%s: %v", name, violations)
		}
	}
	for name, violate := range map[string]func(*v1alpha1.EmbeddedUserBatch){
		"not a valid combination": func(b *v1alpha1.EmbeddedUserBatch) {
			suspendPending(b)
			add(&b.Status, v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonSuspended)
		},
		"stalled:true} with reason \"Suspended\"": func(b *v1alpha1.EmbeddedUserBatch) {
			suspendPending(b)
			b.Status.Conditions[0].Status = metav1.ConditionFalse
			add(&b.Status, v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonSuspended)
		},
		"stalled:false} with reason \"AccountChanged\"": func(b *v1alpha1.EmbeddedUserBatch) {
			changeAccount(b)
			b.Status.Conditions = slices.Delete(b.Status.Conditions, 4, 5)
		},
		"Suspended is False": func(b *v1alpha1.EmbeddedUserBatch) {
			suspend(b)
			b.Status.Conditions[4].Status = metav1.ConditionFalse
		},
		"spec.suspend is true":          func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Suspend = true },
		"spec.suspend is false":         func(b *v1alpha1.EmbeddedUserBatch) { suspend(b); b.Spec.Suspend = false },
		"is Suspended, and nobody":      func(b *v1alpha1.EmbeddedUserBatch) { suspendPending(b); b.Status.Counts = validBatch().Status.Counts },
		"is Observed, and nobody":       func(b *v1alpha1.EmbeddedUserBatch) { observe(b); b.Status.Counts = validBatch().Status.Counts },
		"there is no condition":         func(b *v1alpha1.EmbeddedUserBatch) { pause(b, v1alpha1.ReasonSuspended) },
		"Ready is RequestRejected":      func(b *v1alpha1.EmbeddedUserBatch) { suspendPending(b); fail(b, v1alpha1.ReasonRequestRejected) },
		"and the mode is":               func(b *v1alpha1.EmbeddedUserBatch) { observe(b); b.Spec.Mode = "" },
		"status.approval is \"\"":       func(b *v1alpha1.EmbeddedUserBatch) { changeAccount(b); b.Status.Approval = "" },
		"status.approval is \"digest\"": func(b *v1alpha1.EmbeddedUserBatch) { b.Status.Approval = "digest" },
		"and UsersConfirmed is":         func(b *v1alpha1.EmbeddedUserBatch) { changeAccount(b); b.Status.Conditions = b.Status.Conditions[:5] },
	} {
		batch := validBatch()
		violate(batch)
		checkFound(t, name, batchViolations(batch, time.Now()))
	}
}

// fail gives Ready of a batch a reason that is not a pause.
func fail(b *v1alpha1.EmbeddedUserBatch, reason string) {
	b.Status.Conditions[0].Status, b.Status.Conditions[0].Reason = metav1.ConditionFalse, reason
	also := v1alpha1.ConditionStalled
	if reason == v1alpha1.ReasonPlanRejected {
		also = v1alpha1.ConditionReconciling
	}
	add(&b.Status, also, metav1.ConditionTrue, reason)
}

// checkFound checks that one of some violations has a text.
func checkFound(t *testing.T, text string, violations []error) {
	t.Helper()
	if !slices.ContainsFunc(violations, func(err error) bool { return strings.Contains(err.Error(), text) }) {
		t.Errorf("%q: %v", text, violations)
	}
}

// TestContract_EachViolationIsFound breaks a valid status in each way.
func TestContract_EachViolationIsFound(t *testing.T) {
	valid := validBatch()
	now := time.Now()
	// missing makes the status that of a batch that misses its Secret, and has one of the conditions besides Ready.
	missing := func(s *v1alpha1.EmbeddedUserBatchStatus, conditionType string, since time.Duration) {
		s.Counts = v1alpha1.UserCounts{Total: 1, Pending: 1}
		for _, i := range []int{0, 3} {
			s.Conditions[i].Status, s.Conditions[i].Reason = metav1.ConditionFalse, v1alpha1.ReasonSecretNotFound
			s.Conditions[i].LastTransitionTime = metav1.NewTime(now.Add(-since))
		}
		also := s.Conditions[0]
		also.Type, also.Status = conditionType, metav1.ConditionTrue
		s.Conditions = append(s.Conditions, also)
	}
	stalled := metav1.Condition{
		Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonRetrying, Message: "other",
		ObservedGeneration: 2,
	}
	for name, tolerate := range map[string]func(*v1alpha1.EmbeddedUserBatchStatus){
		"everybody exists":            func(*v1alpha1.EmbeddedUserBatchStatus) {},
		"the Secret is missing":       func(s *v1alpha1.EmbeddedUserBatchStatus) { missing(s, v1alpha1.ConditionReconciling, 0) },
		"it has been for two minutes": func(s *v1alpha1.EmbeddedUserBatchStatus) { missing(s, v1alpha1.ConditionStalled, stalledAfter) },
	} {
		batch := valid.DeepCopy()
		tolerate(&batch.Status)
		if violations := batchViolations(batch, now); len(violations) > 0 {
			t.Errorf("%s: %v", name, violations)
		}
	}
	for name, violate := range map[string]func(*v1alpha1.EmbeddedUserBatchStatus){
		"do not add up":            func(s *v1alpha1.EmbeddedUserBatchStatus) { s.Counts.Total++ },
		"are invalid, and":         func(s *v1alpha1.EmbeddedUserBatchStatus) { s.InvalidUsersOmitted++ },
		"is missing":               func(s *v1alpha1.EmbeddedUserBatchStatus) { s.Conditions = s.Conditions[:3] },
		"describes generation":     func(s *v1alpha1.EmbeddedUserBatchStatus) { s.Conditions[1].ObservedGeneration-- },
		"not a valid combination":  func(s *v1alpha1.EmbeddedUserBatchStatus) { s.Conditions[0].Status = metav1.ConditionFalse },
		"Stalled says":             func(s *v1alpha1.EmbeddedUserBatchStatus) { s.Conditions = append(s.Conditions, stalled) },
		"the message of Ready has": func(s *v1alpha1.EmbeddedUserBatchStatus) { s.Conditions[0].Message = strings.Repeat("x", 1025) },
		"stalled with SecretNotFound after": func(s *v1alpha1.EmbeddedUserBatchStatus) {
			missing(s, v1alpha1.ConditionStalled, stalledAfter-time.Second)
		},
		"and CredentialsValid is False": func(s *v1alpha1.EmbeddedUserBatchStatus) {
			missing(s, v1alpha1.ConditionReconciling, 0)
			s.Conditions[3].Reason = v1alpha1.ReasonUnauthorized
		},
		"that nobody needs": func(s *v1alpha1.EmbeddedUserBatchStatus) {
			missing(s, v1alpha1.ConditionReconciling, 0)
			s.Counts = valid.Status.Counts
		},
	} {
		batch := valid.DeepCopy()
		violate(&batch.Status)
		checkFound(t, name, batchViolations(batch, now))
	}
}

// TestContract_ASliceWithoutASecretIsNotStalled shows the two verdicts on a slice.
func TestContract_ASliceWithoutASecretIsNotStalled(t *testing.T) {
	for also, isValid := range map[string]bool{v1alpha1.ConditionReconciling: true, v1alpha1.ConditionStalled: false} {
		shown := []metav1.Condition{
			{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonSecretNotFound, Message: "missing"},
			{Type: also, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSecretNotFound, Message: "missing"},
		}
		if violations := verdictViolations(shown, sliceReasons); (len(violations) == 0) != isValid {
			t.Errorf("%s: %v", also, violations)
		}
	}
}
