// SPDX-License-Identifier: Apache-2.0

package batch

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

const actionCreateUsers = "CreateUsers"

// notice is an event. Its reason is the reason of a condition, or the type of a condition that became true.
type notice struct {
	kind    string
	reason  string
	message string
}

// notices returns the events for the changes between two sets of conditions.
func notices(old, current []metav1.Condition) []notice {
	var news []notice
	became := func(conditionType string, status metav1.ConditionStatus) *metav1.Condition {
		before, now := meta.FindStatusCondition(old, conditionType), meta.FindStatusCondition(current, conditionType)
		if now == nil || now.Status != status || before != nil && before.Status == now.Status && before.Reason == now.Reason {
			return nil
		}
		return now
	}
	if c := became(v1alpha1.ConditionUsersCreated, metav1.ConditionTrue); c != nil {
		news = append(news, notice{corev1.EventTypeNormal, c.Type, c.Message})
	}
	if c := became(v1alpha1.ConditionUsersInvalid, metav1.ConditionTrue); c != nil {
		// The condition's message names users, and events are logged.
		news = append(news, notice{corev1.EventTypeWarning, c.Reason, "Some users are invalid, see status.invalidUsers"})
	}
	if c := became(v1alpha1.ConditionReady, metav1.ConditionFalse); c != nil && c.Reason != v1alpha1.ReasonInvalidUsers {
		news = append(news, notice{corev1.EventTypeWarning, c.Reason, whatHappened(c)})
	}
	// A bad key or list deserves an event even if Ready has another reason.
	ready := meta.FindStatusCondition(current, v1alpha1.ConditionReady)
	for _, conditionType := range []string{v1alpha1.ConditionCredentialsValid, v1alpha1.ConditionSourcesRead} {
		if c := became(conditionType, metav1.ConditionFalse); c != nil && c.Reason != ready.Reason {
			news = append(news, notice{corev1.EventTypeWarning, c.Reason, whatHappened(c)})
		}
	}
	return news
}

// whatHappened returns the message of a condition, unless it quotes the API: the quote may name users, and events are logged.
func whatHappened(c *metav1.Condition) string {
	switch c.Reason {
	case v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonInvalidCredentials, v1alpha1.ReasonSourceNotFound,
		v1alpha1.ReasonSourceUnreadable, v1alpha1.ReasonListTooLarge:
		return c.Message
	case v1alpha1.ReasonAccountChanged:
		return "More than half of the users are missing under the API key that the Secret has now; nothing is sent until that is approved, " +
			"see status.approval"
	case v1alpha1.ReasonListUnavailable:
		return "The list of the account's users cannot be used; see the message of the condition " + c.Type
	case v1alpha1.ReasonUnauthorized:
		return "The Alloy API rejected the key; see the message of the condition " + c.Type
	case v1alpha1.ReasonPlanRejected:
		return "The API server refuses what is needed to distribute the list; see the message of the condition " + c.Type
	case v1alpha1.ReasonRetrying:
		return "An attempt failed and will be retried; see the message of the condition " + c.Type
	default:
		return "The Alloy API refused the request; see the message of the condition " + c.Type
	}
}
