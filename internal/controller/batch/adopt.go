// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/credentials"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/internal/plan"
)

// isOrphan reports whether a batch of this name may adopt a slice: the slice is from a backup, which does not keep the owner, or its
// batch was deleted without it.
func isOrphan(slice metav1.Object, batch string) bool {
	return metav1.GetControllerOfNoCopy(slice) == nil && slice.GetDeletionTimestamp().IsZero() &&
		slice.GetLabels()[v1alpha1.LabelBatch] == batch && plan.IsName(slice.GetName(), batch)
}

// undecidedError says that there is a slice that the batch may adopt, and no API key to tell whether its results are of the same
// account. The batch is not planned until then, because users of that slice would be sent again.
type undecidedError struct{ key *credentials.Problem }

func (e *undecidedError) Error() string { return e.key.Message }

// adopt has the batch adopt its orphans, and returns the view with them. undecided is not nil if some must wait.
func (r *Reconciler) adopt(ctx context.Context, v view) (_ view, undecided *undecidedError, err error) {
	if len(v.orphans) == 0 {
		return v, nil, nil
	}
	key, err := r.readKey(ctx, v.batch)
	if err != nil {
		return v, nil, err
	}
	ready := slices.DeleteFunc(slices.Clone(v.orphans), func(orphan cached.Slice) bool {
		hasResults := orphan.KeyCheck != nil && orphan.Counts.Pending < orphan.Counts.Total
		return hasResults && key.problem != nil
	})
	if len(ready) < len(v.orphans) {
		undecided = &undecidedError{key.problem}
	}
	if len(ready) == 0 {
		return v, undecided, nil
	}
	if err := r.stillExists(ctx, v.batch); err != nil {
		return v, nil, err
	}
	v.slices = slices.Clone(v.slices)
	for i := range ready {
		adopted, err := r.adoptOne(ctx, v, &ready[i], key.fingerprint)
		if err != nil {
			return v, nil, fmt.Errorf("adopting slice %q: %w", ready[i].Name, err)
		}
		v.slices = append(v.slices, adopted)
	}
	slices.SortFunc(v.slices, byName)
	log.FromContext(ctx).Info("Adopted EmbeddedUserSlices without a controller", "slices", len(ready))
	return v, undecided, nil
}

// stillExists asks the API server whether a batch exists; the error is errGone if not. When a batch is deleted with --cascade=orphan,
// its slices lose their owner, and if they were given to it again the garbage collector would delete them.
func (r *Reconciler) stillExists(ctx context.Context, batch *cached.Batch) error {
	live := cached.Metadata(v1alpha1.SchemeGroupVersion.WithKind(v1alpha1.EmbeddedUserBatchKind))
	switch err := r.Client.Get(ctx, client.ObjectKeyFromObject(batch), live); {
	case client.IgnoreNotFound(err) != nil:
		return fmt.Errorf("reading the batch: %w", err)
	case live.UID != batch.UID, !live.DeletionTimestamp.IsZero():
		return errGone
	}
	return nil
}

// adoptOne makes a batch the controller of an orphan. Before, it rewrites the status, so that the slice never claims more than it
// proves, whatever happens between the two writes. The slice keeps only users with a result: the list may not have the others any
// more, and if it has, they are planned like new ones. Each write requires the version that was read.
func (r *Reconciler) adoptOne(ctx context.Context, v view, orphan *cached.Slice, fingerprint string) (cached.Slice, error) {
	var slice v1alpha1.EmbeddedUserSlice
	if err := r.Client.Get(ctx, client.ObjectKeyFromObject(orphan), &slice); client.IgnoreNotFound(err) != nil {
		return cached.Slice{}, fmt.Errorf("reading it: %w", err)
	}
	if slice.UID != orphan.UID || slice.ResourceVersion != orphan.ResourceVersion {
		return cached.Slice{}, errCacheBehind // nothing is known of this version
	}
	if restored := ledger.Restored(&slice, fingerprint); !equality.Semantic.DeepEqual(slice.Status, restored) {
		slice.Status = restored
		if err := r.Client.Status().Update(ctx, &slice); err != nil {
			return cached.Slice{}, fmt.Errorf("rewriting its status: %w", err)
		}
	}
	slice.Spec.Users = ledger.KnownUsers(&slice)
	slice.OwnerReferences = append(slice.OwnerReferences,
		*metav1.NewControllerRef(v.batch, v1alpha1.SchemeGroupVersion.WithKind(v1alpha1.EmbeddedUserBatchKind)))
	if err := r.Client.Update(ctx, &slice); err != nil {
		return cached.Slice{}, fmt.Errorf("becoming its controller: %w", err)
	}
	r.versions.Note(v.name(), &slice)
	return cached.SliceOf(&slice).WithoutLists(), nil
}
