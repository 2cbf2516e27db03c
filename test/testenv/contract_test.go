package testenv

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// TestContract_EachViolationIsFound breaks a valid status in each way.
func TestContract_EachViolationIsFound(t *testing.T) {
	valid := v1alpha1.EmbeddedUserBatchStatus{ObservedGeneration: 2, Counts: v1alpha1.UserCounts{Total: 1, Created: 1}}
	for _, conditionType := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionUsersCreated, v1alpha1.ConditionUsersInvalid, v1alpha1.ConditionCredentialsValid} {
		valid.Conditions = append(valid.Conditions, metav1.Condition{
			Type: conditionType, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSucceeded, Message: "fine", ObservedGeneration: 2,
		})
	}
	stalled := metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonRetrying, Message: "other", ObservedGeneration: 2}
	for name, violate := range map[string]func(*v1alpha1.EmbeddedUserBatchStatus){
		"":                         func(*v1alpha1.EmbeddedUserBatchStatus) {},
		"do not add up":            func(s *v1alpha1.EmbeddedUserBatchStatus) { s.Counts.Total++ },
		"are invalid, and":         func(s *v1alpha1.EmbeddedUserBatchStatus) { s.InvalidUsersOmitted++ },
		"is missing":               func(s *v1alpha1.EmbeddedUserBatchStatus) { s.Conditions = s.Conditions[:3] },
		"describes generation":     func(s *v1alpha1.EmbeddedUserBatchStatus) { s.Conditions[1].ObservedGeneration-- },
		"not a valid combination":  func(s *v1alpha1.EmbeddedUserBatchStatus) { s.Conditions[0].Status = metav1.ConditionFalse },
		"Stalled says":             func(s *v1alpha1.EmbeddedUserBatchStatus) { s.Conditions = append(s.Conditions, stalled) },
		"the message of Ready has": func(s *v1alpha1.EmbeddedUserBatchStatus) { s.Conditions[0].Message = strings.Repeat("x", 1025) },
	} {
		status := valid.DeepCopy()
		violate(status)
		violations := batchViolations(status)
		found := slices.ContainsFunc(violations, func(err error) bool { return strings.Contains(err.Error(), name) })
		if found != (name != "") {
			t.Errorf("%q: %v", name, violations)
		}
	}
}
