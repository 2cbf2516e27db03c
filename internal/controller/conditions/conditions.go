// SPDX-License-Identifier: Apache-2.0

// Package conditions builds the conditions that kstatus reads: Ready, and Reconciling or Stalled while they apply. All three
// come from one Verdict, so that they never contradict each other.
package conditions

import (
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// maxMessage is the maximum size of a message in bytes, which keeps `kubectl describe` readable.
const maxMessage = 1024

// Verdict is the state of an object. Use Succeeded, Progressing, Paused, Retrying, Failing or Stalled to create one.
type Verdict struct {
	ready   metav1.ConditionStatus
	next    string // ConditionReconciling, ConditionStalled or empty
	Reason  string
	Message string
}

// Succeeded is the verdict that nothing is left to do.
func Succeeded(reason, message string) Verdict {
	return Verdict{ready: metav1.ConditionTrue, Reason: reason, Message: message}
}

// Progressing is the verdict that work is in progress.
func Progressing(message string) Verdict {
	return Verdict{ready: metav1.ConditionUnknown, next: v1alpha1.ConditionReconciling, Reason: v1alpha1.ReasonProgressing, Message: message}
}

// Paused is the verdict that nothing is done because somebody wants it so.
func Paused(reason, message string) Verdict {
	return Verdict{ready: metav1.ConditionUnknown, Reason: reason, Message: message}
}

// Retrying is the verdict that an attempt failed and the operator will retry.
func Retrying(message string) Verdict { return Failing(v1alpha1.ReasonRetrying, message) }

// Failing is the verdict that something is wrong, which may pass or be mended, and that the operator will retry.
func Failing(reason, message string) Verdict {
	return Verdict{ready: metav1.ConditionFalse, next: v1alpha1.ConditionReconciling, Reason: reason, Message: message}
}

// Stalled is the verdict that somebody has to change something.
func Stalled(reason, message string) Verdict {
	return Verdict{ready: metav1.ConditionFalse, next: v1alpha1.ConditionStalled, Reason: reason, Message: message}
}

// Conditions returns the conditions for the verdict.
func (v Verdict) Conditions() []metav1.Condition {
	shown := []metav1.Condition{New(v1alpha1.ConditionReady, v.ready, v.Reason, v.Message)}
	if v.next != "" {
		shown = append(shown, New(v.next, metav1.ConditionTrue, v.Reason, v.Message))
	}
	return shown
}

// New returns a condition, with the message cut to the maximum size.
func New(conditionType string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: conditionType, Status: status, Reason: reason, Message: cut(message, maxMessage)}
}

// Shorten cuts a text to at most the given number of characters, the last of which is an ellipsis if the text is longer. The schema of
// a field counts characters; the message of a condition is bounded in bytes.
func Shorten(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}

// cut shortens a text to at most the given number of bytes, ending with an ellipsis.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	cut := most - len("…")
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// Replace returns the new conditions as of now. A condition whose status has not changed keeps its transition time; old conditions
// that are not among the new ones are dropped.
func Replace(old, replacement []metav1.Condition, generation int64, now time.Time) []metav1.Condition {
	var replaced []metav1.Condition
	for _, condition := range replacement {
		condition.ObservedGeneration = generation
		condition.LastTransitionTime = metav1.NewTime(now)
		if before := meta.FindStatusCondition(old, condition.Type); before != nil && before.Status == condition.Status {
			condition.LastTransitionTime = before.LastTransitionTime
		}
		meta.SetStatusCondition(&replaced, condition)
	}
	return replaced
}
