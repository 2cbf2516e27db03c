// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/conditions"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/rejection"
)

// write writes the status of a batch if it has changed, and records events. Updates that only show progress are rate limited:
// the result is the time until such an update is due.
func (r *Reconciler) write(
	ctx context.Context, batch *cached.Batch, status v1alpha1.EmbeddedUserBatchStatus,
) (wait time.Duration, err error) {
	if equality.Semantic.DeepEqual(batch.Status, status) {
		return 0, nil
	}
	if wait := r.unfinished.pace(batch, status); wait > 0 {
		return wait, nil
	}
	return r.writeNow(ctx, batch, status)
}

// writeNow writes a status, or what the API server accepts of it. Then the result is the time until the next attempt.
func (r *Reconciler) writeNow(
	ctx context.Context, batch *cached.Batch, status v1alpha1.EmbeddedUserBatchStatus,
) (retry time.Duration, err error) {
	err = r.applyStatus(ctx, batch, status)
	switch {
	case apierrors.IsNotFound(err), apierrors.IsConflict(err): // deleted, or recreated under the same name
		return 0, nil
	case err != nil && (isTooLarge(err) || rejection.Is(err)):
		return r.writeLess(ctx, batch, status, err)
	case err != nil:
		return 0, fmt.Errorf("writing the status: %w", rejection.Redact(err))
	}
	r.unwritten.Forget(client.ObjectKeyFromObject(batch))
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	log.FromContext(ctx).Info("Updated status of EmbeddedUserBatch", "reason", ready.Reason,
		"created", status.Counts.Created, "existing", status.Counts.Existing,
		"invalid", status.Counts.Invalid, "pending", status.Counts.Pending, "slices", status.Slices.Total)
	return 0, nil
}

// writeLess writes what fits of a status that the API server refuses, and says why.
func (r *Reconciler) writeLess(
	ctx context.Context, batch *cached.Batch, status v1alpha1.EmbeddedUserBatchStatus, refusal error,
) (retry time.Duration, err error) {
	event, note := v1alpha1.ReasonStatusTooLarge, "The status does not fit beside the list within etcd's limit of 1.5 MiB for an object; "+
		"split the list into two batches. Until then see the EmbeddedUserSlices"
	status.InvalidUsers, status.InvalidUsersOmitted = nil, status.Counts.Invalid
	if !isTooLarge(refusal) {
		event, note = v1alpha1.ReasonStatusRejected, "The API server refuses the status; "+
			"see the admission policies, and whether the operator's CRDs are up to date"
		verdict := conditions.Failing(v1alpha1.ReasonPlanRejected, "The API server refused the whole status: "+refusal.Error()+
			"; see the admission policies, and whether the operator's CRDs are up to date")
		isVerdict := func(c metav1.Condition) bool {
			return slices.Contains([]string{v1alpha1.ConditionReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled}, c.Type)
		}
		shown := conditions.Replace(batch.Status.Conditions, verdict.Conditions(), batch.Generation, time.Now())
		status.Plan, status.Conditions = nil, slices.Concat(shown, slices.DeleteFunc(slices.Clone(status.Conditions), isVerdict))
	}
	retry = r.unwritten.When(client.ObjectKeyFromObject(batch))
	r.unfinished.update(batch, func(m *memo) { m.status = time.Now().Add(retry) })
	if equality.Semantic.DeepEqual(batch.Status, status) {
		return retry, nil
	}
	r.Recorder.Eventf(batch, nil, corev1.EventTypeWarning, event, actionCreateUsers, "%s", note)
	if err := r.applyStatus(ctx, batch, status); err != nil {
		log.FromContext(ctx).Info("The API server refused a status", "reason", apierrors.ReasonForError(err), "retry", retry)
	}
	return retry, nil
}

// applyStatus writes a status, and records the events for its conditions. The API server answers with metadata only, because
// encoding and decoding a list of 10,000 users takes nearly a third of the whole request (measured).
func (r *Reconciler) applyStatus(ctx context.Context, batch *cached.Batch, status v1alpha1.EmbeddedUserBatchStatus) error {
	object := cached.Metadata(v1alpha1.SchemeGroupVersion.WithKind(v1alpha1.EmbeddedUserBatchKind))
	object.ObjectMeta = metav1.ObjectMeta{Namespace: batch.Namespace, Name: batch.Name, UID: batch.UID}
	encoded, err := json.Marshal(struct {
		*metav1.PartialObjectMetadata

		Status v1alpha1.EmbeddedUserBatchStatus `json:"status"`
	}{object, status})
	if err != nil {
		return fmt.Errorf("encoding the status: %w", err)
	}
	patch := client.RawPatch(types.ApplyPatchType, encoded)
	if err := r.Client.Status().Patch(ctx, object, patch, fieldOwner, client.ForceOwnership); err != nil {
		return err //nolint:wrapcheck // the caller says what failed
	}
	written := *batch
	written.ResourceVersion = object.ResourceVersion
	r.versions.Note(client.ObjectKeyFromObject(batch), &written)
	for _, n := range notices(batch.Status.Conditions, status.Conditions) {
		r.Recorder.Eventf(batch, nil, n.kind, n.reason, actionCreateUsers, "%s", n.message)
	}
	return nil
}

// isTooLarge reports whether etcd refused an object for its size. The API server may return that as an untyped error.
func isTooLarge(err error) bool {
	return apierrors.IsRequestEntityTooLargeError(err) || strings.Contains(err.Error(), "request is too large")
}
