// Package conditions writes the conditions that kstatus reads: Ready, and while they apply Reconciling or Stalled. An object
// is described by one verdict, so that the three never contradict each other.
package conditions

import (
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// maxMessage is the most bytes of a message: enough for `kubectl describe`, and little enough to be read.
const maxMessage = 1024

// Verdict says where an object stands and what comes next. Make one with Succeeded, Progressing, Retrying or Stalled.
type Verdict struct {
	ready   metav1.ConditionStatus
	next    string // the type of the condition that is present beside Ready, if any
	Reason  string
	Message string
}

// Succeeded says that nothing is left to do.
func Succeeded(reason, message string) Verdict {
	return Verdict{ready: metav1.ConditionTrue, Reason: reason, Message: message}
}

// Progressing says that work is under way.
func Progressing(message string) Verdict {
	return Verdict{ready: metav1.ConditionUnknown, next: v1alpha1.ConditionReconciling, Reason: v1alpha1.ReasonProgressing, Message: message}
}

// Retrying says that an attempt failed and another one follows by itself.
func Retrying(message string) Verdict {
	return Verdict{ready: metav1.ConditionFalse, next: v1alpha1.ConditionReconciling, Reason: v1alpha1.ReasonRetrying, Message: message}
}

// Stalled says that somebody has to change something.
func Stalled(reason, message string) Verdict {
	return Verdict{ready: metav1.ConditionFalse, next: v1alpha1.ConditionStalled, Reason: reason, Message: message}
}

// IsStalled tells whether the verdict is that somebody has to change something.
func (v Verdict) IsStalled() bool { return v.next == v1alpha1.ConditionStalled }

// Conditions are those that show the verdict.
func (v Verdict) Conditions() []metav1.Condition {
	shown := []metav1.Condition{New(v1alpha1.ConditionReady, v.ready, v.Reason, v.Message)}
	if v.next != "" {
		shown = append(shown, New(v.next, metav1.ConditionTrue, v.Reason, v.Message))
	}
	return shown
}

// New makes a condition; a message that is too long is cut.
func New(conditionType string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: conditionType, Status: status, Reason: reason, Message: Cut(message, maxMessage)}
}

// Cut shortens a text to so many bytes, with an ellipsis at its end.
func Cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	cut := most - len("…")
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// Replace gives the new conditions in place of the old ones: those that are not among the new ones end, and the time of a
// transition stays while the status does.
func Replace(old, replacement []metav1.Condition, generation int64) []metav1.Condition {
	var replaced []metav1.Condition
	for _, condition := range replacement {
		condition.ObservedGeneration = generation
		if before := meta.FindStatusCondition(old, condition.Type); before != nil && before.Status == condition.Status {
			condition.LastTransitionTime = before.LastTransitionTime
		}
		meta.SetStatusCondition(&replaced, condition)
	}
	return replaced
}
