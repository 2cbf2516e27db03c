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

// validStatus returns the status of a batch whose only user exists.
func validStatus() v1alpha1.EmbeddedUserBatchStatus {
	status := v1alpha1.EmbeddedUserBatchStatus{ObservedGeneration: 2, Counts: v1alpha1.UserCounts{Total: 1, Created: 1}}
	for _, conditionType := range []string{
		v1alpha1.ConditionReady, v1alpha1.ConditionUsersCreated, v1alpha1.ConditionUsersInvalid, v1alpha1.ConditionCredentialsValid,
	} {
		status.Conditions = append(status.Conditions, metav1.Condition{
			Type: conditionType, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded, Message: "fine", ObservedGeneration: 2,
		})
	}
	return status
}

// TestContract_EachViolationIsFound breaks a valid status in each way.
func TestContract_EachViolationIsFound(t *testing.T) {
	valid := validStatus()
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
		status := valid.DeepCopy()
		tolerate(status)
		if violations := batchViolations(status, now); len(violations) > 0 {
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
			s.Counts = valid.Counts
		},
	} {
		status := valid.DeepCopy()
		violate(status)
		violations := batchViolations(status, now)
		if !slices.ContainsFunc(violations, func(err error) bool { return strings.Contains(err.Error(), name) }) {
			t.Errorf("%q: %v", name, violations)
		}
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
