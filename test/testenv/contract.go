// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// slicesPerPage bounds the memory for reading slices, which are large.
const slicesPerPage = 50

// CheckContract returns an error for each status in a namespace that violates the invariants of statuses, on which kstatus, Argo CD
// and people rely.
func CheckContract(ctx context.Context, reader client.Reader, namespace string) error {
	var batches v1alpha1.EmbeddedUserBatchList
	list := func(into client.ObjectList, options ...client.ListOption) error { // another test may restart the API server
		return Await(ctx, func(ctx context.Context) error {
			return reader.List(ctx, into, append(options, client.InNamespace(namespace))...)
		})
	}
	if err := list(&batches); err != nil {
		return fmt.Errorf("listing the batches: %w", err)
	}
	var violations []error
	for i := range batches.Items {
		for _, violation := range batchViolations(&batches.Items[i], time.Now()) {
			violations = append(violations, fmt.Errorf("batch %s: %w", batches.Items[i].Name, violation))
		}
	}
	for next := ""; ; {
		var page v1alpha1.EmbeddedUserSliceList
		if err := list(&page, client.Limit(slicesPerPage), client.Continue(next)); err != nil {
			return fmt.Errorf("listing the slices: %w", err)
		}
		for i := range page.Items {
			if status := &page.Items[i].Status; status.ObservedGeneration != -1 {
				for _, violation := range verdictViolations(status.Conditions, sliceReasons) {
					violations = append(violations, fmt.Errorf("slice %s: %w", page.Items[i].Name, violation))
				}
			}
		}
		if next = page.Continue; next == "" {
			return errors.Join(violations...)
		}
	}
}

func batchViolations(batch *v1alpha1.EmbeddedUserBatch, now time.Time) []error {
	status := &batch.Status
	if status.ObservedGeneration == -1 {
		return nil
	}
	violations := slices.Concat(verdictViolations(status.Conditions, batchReasons), missingViolations(status, now),
		pauseViolations(batch), accountViolations(status))
	c := status.Counts
	if c.Total != c.Created+c.Existing+c.Invalid+c.Pending {
		violations = append(violations, fmt.Errorf("the counts do not add up: %+v", c))
	}
	if int(c.Invalid) != len(status.InvalidUsers)+int(status.InvalidUsersOmitted) {
		violations = append(violations, fmt.Errorf("%d users are invalid, and %d are listed", c.Invalid, len(status.InvalidUsers)))
	}
	for _, conditionType := range []string{
		v1alpha1.ConditionUsersCreated, v1alpha1.ConditionUsersInvalid, v1alpha1.ConditionCredentialsValid,
	} {
		if Condition(status.Conditions, conditionType).Type == "" {
			violations = append(violations, fmt.Errorf("%s is missing", conditionType))
		}
	}
	for _, condition := range status.Conditions {
		if condition.ObservedGeneration != status.ObservedGeneration {
			violations = append(violations, fmt.Errorf("%s describes generation %d, the status %d",
				condition.Type, condition.ObservedGeneration, status.ObservedGeneration))
		}
	}
	return violations
}

// verdict is a combination of Ready, Reconciling and Stalled.
type verdict struct {
	ready                metav1.ConditionStatus
	reconciling, stalled bool
}

// The valid verdicts, and the reasons that each may have. A slice whose Secret is missing is never stalled: its batch is.
var (
	batchReasons = map[verdict][]string{
		{metav1.ConditionUnknown, true, false}:  {v1alpha1.ReasonProgressing},
		{metav1.ConditionUnknown, false, false}: {v1alpha1.ReasonSuspended, v1alpha1.ReasonObserved},
		{metav1.ConditionFalse, true, false}: {
			v1alpha1.ReasonRetrying, v1alpha1.ReasonPlanRejected, v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonSourceNotFound,
			v1alpha1.ReasonListUnavailable,
		},
		{metav1.ConditionTrue, false, false}: {v1alpha1.ReasonSucceeded, v1alpha1.ReasonSucceededWithInvalidUsers},
		{metav1.ConditionFalse, false, true}: {
			v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonInvalidCredentials, v1alpha1.ReasonUnauthorized,
			v1alpha1.ReasonRequestRejected, v1alpha1.ReasonUnexpectedRedirect, v1alpha1.ReasonInvalidUsers,
			v1alpha1.ReasonSourceNotFound, v1alpha1.ReasonSourceUnreadable, v1alpha1.ReasonListTooLarge, v1alpha1.ReasonAccountChanged,
		},
	}
	sliceReasons = map[verdict][]string{
		{metav1.ConditionUnknown, true, false}: {v1alpha1.ReasonProgressing},
		{metav1.ConditionFalse, true, false}:   {v1alpha1.ReasonRetrying, v1alpha1.ReasonSecretNotFound},
		{metav1.ConditionTrue, false, false}:   {v1alpha1.ReasonSucceeded, v1alpha1.ReasonSucceededWithInvalidUsers},
		{metav1.ConditionFalse, false, true}: {
			v1alpha1.ReasonInvalidCredentials, v1alpha1.ReasonUnauthorized, v1alpha1.ReasonRequestRejected, v1alpha1.ReasonUnexpectedRedirect,
		},
	}
)

// stalledAfter is how long a Secret or a list is missing before a batch is stalled.
const stalledAfter = 2 * time.Minute

// missingViolations checks what a batch says of a Secret or a list that is missing.
func missingViolations(status *v1alpha1.EmbeddedUserBatchStatus, now time.Time) []error {
	ready := Condition(status.Conditions, v1alpha1.ConditionReady)
	saysSince := map[string]string{
		v1alpha1.ReasonSecretNotFound: v1alpha1.ConditionCredentialsValid, v1alpha1.ReasonSourceNotFound: v1alpha1.ConditionSourcesRead,
	}[ready.Reason]
	if saysSince == "" {
		return nil
	}
	var violations []error
	since := Condition(status.Conditions, saysSince)
	if since.Status != metav1.ConditionFalse || since.Reason != ready.Reason {
		violations = append(violations, fmt.Errorf("the reason of Ready is %s, and %s is %s with %q",
			ready.Reason, saysSince, since.Status, since.Reason))
	}
	isStalled := Condition(status.Conditions, v1alpha1.ConditionStalled).Type != ""
	if waited := now.Sub(since.LastTransitionTime.Time); isStalled && waited < stalledAfter {
		violations = append(violations, fmt.Errorf("stalled with %s after %s", ready.Reason, waited))
	}
	if ready.Reason == v1alpha1.ReasonSecretNotFound && status.Counts.Pending == 0 {
		violations = append(violations, errors.New("the reason of Ready is a Secret that nobody needs"))
	}
	return violations
}

// sending are the reasons that are about users being sent.
var sending = []string{
	v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonInvalidCredentials, v1alpha1.ReasonUnauthorized, v1alpha1.ReasonRequestRejected,
	v1alpha1.ReasonUnexpectedRedirect, v1alpha1.ReasonObserved,
}

// pauseViolations checks what a batch says of users that are not sent because somebody wants it so.
func pauseViolations(batch *v1alpha1.EmbeddedUserBatch) []error {
	var violations []error
	status, isCurrent := &batch.Status, batch.Status.ObservedGeneration == batch.Generation
	ready, suspended := Condition(status.Conditions, v1alpha1.ConditionReady), Condition(status.Conditions, v1alpha1.ConditionSuspended)
	isSuspended := suspended.Type != ""
	violates := func(is bool, format string, args ...any) {
		if is {
			violations = append(violations, fmt.Errorf(format, args...)) //nolint:err113 // each says what it is
		}
	}
	violates(isSuspended && (suspended.Status != metav1.ConditionTrue || suspended.Reason != v1alpha1.ReasonSuspended),
		"the condition Suspended is %s with %q", suspended.Status, suspended.Reason)
	violates(isCurrent && batch.Spec.Suspend != isSuspended,
		"spec.suspend is %t, and the condition Suspended does not say so", batch.Spec.Suspend)
	violates(status.Counts.Pending == 0 && (ready.Reason == v1alpha1.ReasonSuspended || ready.Reason == v1alpha1.ReasonObserved),
		"the reason of Ready is %s, and nobody is pending", ready.Reason)
	violates(ready.Reason == v1alpha1.ReasonSuspended && !isSuspended,
		"the reason of Ready is Suspended, and there is no condition Suspended")
	violates(isSuspended && status.Counts.Pending > 0 && slices.Contains(sending, ready.Reason),
		"the batch is suspended, and the reason of Ready is %s", ready.Reason)
	violates(isCurrent && ready.Reason == v1alpha1.ReasonObserved && batch.Spec.Mode != v1alpha1.ModeObserve,
		"the reason of Ready is Observed, and the mode is %q", batch.Spec.Mode)
	return violations
}

// accountViolations checks what a batch says of another account's key.
func accountViolations(status *v1alpha1.EmbeddedUserBatchStatus) []error {
	ready, confirmed := Condition(status.Conditions, v1alpha1.ConditionReady), Condition(status.Conditions, v1alpha1.ConditionUsersConfirmed)
	isChanged := ready.Reason == v1alpha1.ReasonAccountChanged
	if isChanged != (status.Approval != "") {
		return []error{fmt.Errorf("the reason of Ready is %s, and status.approval is %q", ready.Reason, status.Approval)}
	}
	if isChanged && (confirmed.Status != metav1.ConditionFalse || confirmed.Reason != ready.Reason) {
		return []error{fmt.Errorf("the reason of Ready is AccountChanged, and UsersConfirmed is %s with %q", confirmed.Status, confirmed.Reason)}
	}
	return nil
}

// verdictViolations checks that Ready, Reconciling and Stalled form one of the valid combinations.
func verdictViolations(conditions []metav1.Condition, reasonsOf map[verdict][]string) []error {
	var violations []error
	ready := Condition(conditions, v1alpha1.ConditionReady)
	reconciling, stalled := Condition(conditions, v1alpha1.ConditionReconciling), Condition(conditions, v1alpha1.ConditionStalled)
	got := verdict{ready.Status, reconciling.Type != "", stalled.Type != ""}
	if !slices.Contains(reasonsOf[got], ready.Reason) {
		violations = append(violations, fmt.Errorf("conditions %+v with reason %q are not a valid combination", got, ready.Reason))
	}
	for _, other := range []metav1.Condition{reconciling, stalled} {
		if other.Type != "" && (other.Status != metav1.ConditionTrue || other.Reason != ready.Reason || other.Message != ready.Message) {
			violations = append(violations, fmt.Errorf("%s says %s %q, Ready says %q", other.Type, other.Status, other.Reason, ready.Reason))
		}
	}
	for _, condition := range conditions {
		if len(condition.Message) > 1024 || condition.Message == "" {
			violations = append(violations, fmt.Errorf("the message of %s has %d bytes", condition.Type, len(condition.Message)))
		}
	}
	return violations
}
