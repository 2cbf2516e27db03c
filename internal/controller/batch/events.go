package batch

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// actionCreateUsers is what the operator was doing when an event happened.
const actionCreateUsers = "CreateUsers"

// notice is an event worth telling a person. Its reason is that of a condition, or the type of one that became true.
type notice struct {
	kind    string
	reason  string
	message string
}

// notices compares two statuses: an event is for what has changed, a condition for what is.
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
		// Not the condition's message: it names users, and events are logged.
		news = append(news, notice{corev1.EventTypeWarning, c.Reason, "Some users are invalid, see status.invalidUsers"})
	}
	if c := became(v1alpha1.ConditionReady, metav1.ConditionFalse); c != nil && c.Reason != v1alpha1.ReasonInvalidUsers {
		news = append(news, notice{corev1.EventTypeWarning, c.Reason, whatHappened(c)})
	}
	// While other things decide Ready, a bad key or list does not show there, but whoever manages it wants to know.
	ready := meta.FindStatusCondition(current, v1alpha1.ConditionReady)
	for _, conditionType := range []string{v1alpha1.ConditionCredentialsValid, v1alpha1.ConditionSourcesRead} {
		if c := became(conditionType, metav1.ConditionFalse); c != nil && c.Reason != ready.Reason {
			news = append(news, notice{corev1.EventTypeWarning, c.Reason, whatHappened(c)})
		}
	}
	return news
}

// whatHappened is the message of a condition, unless it holds the API's own words: they may name users, and events are logged.
func whatHappened(c *metav1.Condition) string {
	switch c.Reason {
	case v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonInvalidCredentials, v1alpha1.ReasonSourceNotFound, v1alpha1.ReasonSourceUnreadable:
		return c.Message
	case v1alpha1.ReasonUnauthorized:
		return "The Alloy API rejected the key; see the message of the condition " + c.Type
	case v1alpha1.ReasonRetrying:
		return "An attempt failed and will be repeated; see the message of the condition " + c.Type
	default:
		return "The Alloy API did not take the request; see the message of the condition " + c.Type
	}
}
