// SPDX-License-Identifier: Apache-2.0

package status

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// State is the situation of a batch in a word.
type State string

// States of a batch. A batch in one of the last three does not go on before somebody changes something; see State.Ends.
const (
	Unseen    State = "Unseen"    // no operator has looked at it, or at its last change
	Working   State = "Working"   // users are being planned, sent or looked up, or the operator waits and tries again
	Ready     State = "Ready"     // all users exist that must
	Stalled   State = "Stalled"   // a person is needed
	Suspended State = "Suspended" // users are pending, and spec.suspend is true
	Observed  State = "Observed"  // users are pending, and spec.mode is Observe
)

// Ends reports whether nothing more happens to a batch by itself.
func (s State) Ends() bool { return s == Ready || s.NeedsPerson() }

// NeedsPerson reports whether a batch is not Ready, and does not become so by itself.
func (s State) NeedsPerson() bool { return s == Stalled || s == Suspended || s == Observed }

// StateOf returns the situation of a batch. A status of an older generation does not count.
func StateOf(batch *v1alpha1.EmbeddedUserBatch) State {
	conditions := batch.Status.Conditions
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil || batch.Status.ObservedGeneration != batch.Generation:
		return Unseen
	case ready.Status == metav1.ConditionTrue:
		return Ready
	case meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionStalled):
		return Stalled
	case ready.Reason == v1alpha1.ReasonSuspended:
		return Suspended
	case ready.Reason == v1alpha1.ReasonObserved:
		return Observed
	default:
		return Working
	}
}

// dependsOnLists reports whether the state of a batch may be another once the operator has read lists that have changed. A status that says
// that a list cannot be read does not say which version of it.
func dependsOnLists(batch *v1alpha1.EmbeddedUserBatch) bool {
	if batch.Status.Plan == nil || !meta.IsStatusConditionTrue(batch.Status.Conditions, v1alpha1.ConditionSourcesRead) {
		return false
	}
	state := StateOf(batch)
	return state.Ends() && (state != Stalled || ReasonOf(batch) == v1alpha1.ReasonInvalidUsers)
}

// isAsked reports whether somebody has asked for a look-up of the users that the operator has not done yet, and does in this state.
func isAsked(batch *v1alpha1.EmbeddedUserBatch) bool {
	value, state := batch.Annotations[v1alpha1.AnnotationReconcileAt], StateOf(batch)
	return value != "" && len(value) <= v1alpha1.MaxReconcileAt && value != batch.Status.LastHandledReconcileAt && !batch.Spec.Suspend &&
		(state == Ready || state == Observed || state == Stalled && ReasonOf(batch) == v1alpha1.ReasonInvalidUsers)
}

// lacksKey reports whether the API key of a batch is missing or was rejected, so that nobody is looked up.
func lacksKey(batch *v1alpha1.EmbeddedUserBatch) bool {
	return meta.IsStatusConditionFalse(batch.Status.Conditions, v1alpha1.ConditionCredentialsValid)
}

// Reasons that another Secret ends, and those that another list does.
var (
	waitsForKey = []string{
		v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonInvalidCredentials, v1alpha1.ReasonUnauthorized, v1alpha1.ReasonAccountChanged,
	}
	waitsForList = []string{v1alpha1.ReasonSourceNotFound, v1alpha1.ReasonSourceUnreadable, v1alpha1.ReasonListTooLarge}
)

// Settling is how long a batch that waits for another Secret or list is watched before that counts. The operator needs a moment to see one
// that was just mended, and nothing in the status says which one it has seen.
const Settling = 5 * time.Second

// WaitsForKey reports whether a batch goes on only with another Secret: it is stalled because of that, or a look-up of its users is due.
func WaitsForKey(batch *v1alpha1.EmbeddedUserBatch) bool {
	return StateOf(batch) == Stalled && slices.Contains(waitsForKey, ReasonOf(batch)) || isAsked(batch) && lacksKey(batch)
}

// isMendable reports whether a batch goes on only with another Secret or another list.
func isMendable(batch *v1alpha1.EmbeddedUserBatch) bool {
	return WaitsForKey(batch) || StateOf(batch) == Stalled && slices.Contains(waitsForList, ReasonOf(batch))
}

// ReasonOf returns the reason of the condition Ready; empty if there is none.
func ReasonOf(batch *v1alpha1.EmbeddedUserBatch) string {
	if ready := meta.FindStatusCondition(batch.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		return ready.Reason
	}
	return ""
}
