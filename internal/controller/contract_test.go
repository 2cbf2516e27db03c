package controller_test

import (
	"context"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// checkContract checks the invariants of every status, on which kstatus, Argo CD and people rely.
func (w *world) checkContract() {
	w.Helper()
	var batches v1alpha1.EmbeddedUserBatchList
	if err := w.List(context.WithoutCancel(w.Context()), &batches, client.InNamespace(w.namespace)); err != nil {
		w.Fatal(err)
	}
	for i := range batches.Items {
		batch := &batches.Items[i]
		status := batch.Status
		if status.ObservedGeneration == -1 {
			continue
		}
		w.checkVerdict(batch.Name, status.Conditions)
		c := status.Counts
		if c.Total != c.Created+c.Existing+c.Invalid+c.Pending {
			w.Errorf("%s: the counts do not add up: %+v", batch.Name, c)
		}
		if int(c.Invalid) != len(status.InvalidUsers)+int(status.InvalidUsersOmitted) {
			w.Errorf("%s: %d users are invalid, and %d are listed", batch.Name, c.Invalid, len(status.InvalidUsers))
		}
		for _, conditionType := range []string{v1alpha1.ConditionUsersCreated, v1alpha1.ConditionUsersInvalid, v1alpha1.ConditionCredentialsValid} {
			if find(status.Conditions, conditionType).Type == "" {
				w.Errorf("%s: %s is missing", batch.Name, conditionType)
			}
		}
		for _, condition := range status.Conditions {
			if condition.ObservedGeneration != status.ObservedGeneration {
				w.Errorf("%s: %s describes generation %d, the status %d", batch.Name, condition.Type, condition.ObservedGeneration, status.ObservedGeneration)
			}
		}
	}
	for _, slice := range w.slices() {
		if slice.Status.ObservedGeneration != -1 {
			w.checkVerdict(slice.Name, slice.Status.Conditions)
		}
	}
}

// checkVerdict checks that Ready, Reconciling and Stalled form a valid combination.
func (w *world) checkVerdict(name string, conditions []metav1.Condition) {
	w.Helper()
	ready, reconciling, stalled := find(conditions, v1alpha1.ConditionReady), find(conditions, v1alpha1.ConditionReconciling), find(conditions, v1alpha1.ConditionStalled)
	type combination struct {
		ready                metav1.ConditionStatus
		reconciling, stalled bool
	}
	got := combination{ready.Status, reconciling.Type != "", stalled.Type != ""}
	allowed := map[combination][]string{
		{metav1.ConditionUnknown, true, false}: {v1alpha1.ReasonProgressing},
		{metav1.ConditionFalse, true, false}:   {v1alpha1.ReasonRetrying},
		{metav1.ConditionTrue, false, false}:   {v1alpha1.ReasonSucceeded, v1alpha1.ReasonSucceededWithInvalidUsers},
		{metav1.ConditionFalse, false, true}: {
			v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonInvalidCredentials, v1alpha1.ReasonUnauthorized,
			v1alpha1.ReasonRequestRejected, v1alpha1.ReasonUnexpectedRedirect, v1alpha1.ReasonInvalidUsers,
			v1alpha1.ReasonSourceNotFound, v1alpha1.ReasonSourceUnreadable,
		},
	}
	if !slices.Contains(allowed[got], ready.Reason) {
		w.Errorf("%s: conditions %+v with reason %q are not a valid combination", name, got, ready.Reason)
	}
	for _, other := range []metav1.Condition{reconciling, stalled} {
		if other.Type != "" && (other.Status != metav1.ConditionTrue || other.Reason != ready.Reason || other.Message != ready.Message) {
			w.Errorf("%s: %s says %s %q, Ready says %q", name, other.Type, other.Status, other.Reason, ready.Reason)
		}
	}
	for _, condition := range conditions {
		if len(condition.Message) > 1024 || condition.Message == "" {
			w.Errorf("%s: the message of %s has %d bytes", name, condition.Type, len(condition.Message))
		}
	}
}
