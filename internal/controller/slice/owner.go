// SPDX-License-Identifier: Apache-2.0

package slice

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
)

// owner returns the batch to which a slice belongs; nil if there is none. Such a slice is left alone: somebody made it by hand, or the
// garbage collector is about to take it.
func (r *Reconciler) owner(ctx context.Context, slice *v1alpha1.EmbeddedUserSlice) (*cached.Batch, error) {
	owner := metav1.GetControllerOf(slice)
	if owner == nil || owner.Kind != v1alpha1.EmbeddedUserBatchKind || !slice.DeletionTimestamp.IsZero() {
		return nil, nil //nolint:nilnil // it has no owner
	}
	batch, err := r.cachedOwner(ctx, slice)
	if err != nil || batch != nil {
		return batch, err
	}
	// The cache may know the slice before the batch.
	var live v1alpha1.EmbeddedUserBatch
	if err := r.Client.Get(ctx, types.NamespacedName{Namespace: slice.Namespace, Name: owner.Name}, &live); err != nil {
		return nil, client.IgnoreNotFound(err) //nolint:wrapcheck // the client says what it read
	}
	if live.UID != owner.UID || !live.DeletionTimestamp.IsZero() {
		return nil, nil //nolint:nilnil // it is another one, or going
	}
	found := cached.BatchOf(&live)
	return &found, nil
}

// cachedOwner returns the batch that controls a slice if the cache has it, and it is not being deleted.
func (r *Reconciler) cachedOwner(ctx context.Context, slice metav1.Object) (*cached.Batch, error) {
	owner := metav1.GetControllerOf(slice)
	if owner == nil {
		return nil, nil //nolint:nilnil // it has no owner
	}
	var known cached.Batch
	err := r.Cache.Get(ctx, types.NamespacedName{Namespace: slice.GetNamespace(), Name: owner.Name}, &known)
	if err != nil || known.UID != owner.UID || !known.DeletionTimestamp.IsZero() {
		return nil, client.IgnoreNotFound(err) //nolint:wrapcheck // the client says what it read
	}
	return &known, nil
}

// isStopped reports whether the batch of a slice is known to send nothing.
func (r *Reconciler) isStopped(ctx context.Context, slice *cached.Slice) bool {
	batch, err := r.cachedOwner(ctx, slice)
	return err == nil && batch != nil && batch.SendsNothing()
}
