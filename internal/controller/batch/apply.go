// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/budget"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/plan"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

const (
	// pageSize is the number of slices in a page of a list call. A slice has at most 400 KB, so a page has at most 8 MB.
	pageSize = 20
	// writers is the number of slices of a batch that are written concurrently. More would delay the first slices, whose users
	// can be sent as soon as they are written.
	writers = 2
	// maxChanged is the maximum number of stored slices that a plan changes, which bounds its memory. Another plan follows.
	maxChanged = 100
)

// makePlan returns a plan for a list, and the batch's slices, which it reads from the API server page by page.
func (r *Reconciler) makePlan(ctx context.Context, v view, read *reading) (plan.Writes, []cached.Slice, error) {
	planner := plan.New(read.batch, &read.list, maxChanged)
	var seen []cached.Slice
	if len(v.slices)+len(v.foreign) > 0 { // a foreign slice may have become an orphan since
		if err := r.eachSlice(ctx, v, func(slice *v1alpha1.EmbeddedUserSlice) {
			planner.Add(slice)
			seen = append(seen, cached.SliceOf(slice).WithoutLists())
		}); err != nil {
			return plan.Writes{}, nil, err
		}
	}
	for _, name := range planner.Missing() {
		var slice v1alpha1.EmbeddedUserSlice
		if err := r.Client.Get(ctx, client.ObjectKey{Namespace: read.batch.Namespace, Name: name}, &slice); err != nil {
			return plan.Writes{}, nil, fmt.Errorf("reading slice %q: %w", name, err)
		}
		planner.Restore(&slice)
	}
	slices.SortFunc(seen, byName)
	return planner.Writes(), seen, nil
}

// eachSlice visits the slices that a batch controls, read from the API server: it lists them by label, and gets those that have
// lost the label one by one. The error is errCacheBehind if there is a slice to be adopted first.
func (r *Reconciler) eachSlice(ctx context.Context, v view, visit func(*v1alpha1.EmbeddedUserSlice)) error {
	seen := map[string]struct{}{}
	for next := ""; ; {
		var page v1alpha1.EmbeddedUserSliceList
		if err := r.Client.List(ctx, &page, client.InNamespace(v.batch.Namespace), client.MatchingLabels{v1alpha1.LabelBatch: v.batch.Name},
			client.Limit(pageSize), client.Continue(next)); err != nil {
			return fmt.Errorf("listing the slices: %w", err)
		}
		for i := range page.Items {
			switch slice := &page.Items[i]; {
			case metav1.IsControlledBy(slice, v.batch):
				seen[slice.Name] = struct{}{}
				visit(slice)
			case isOrphan(slice, v.batch.Name):
				return errCacheBehind
			}
		}
		if next = page.Continue; next == "" {
			break
		}
	}
	for i := range v.slices {
		name := v.slices[i].Name
		if _, done := seen[name]; done {
			continue
		}
		var unlabelled v1alpha1.EmbeddedUserSlice
		if err := r.Client.Get(ctx, client.ObjectKeyFromObject(&v.slices[i]), &unlabelled); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("reading slice %q: %w", name, err)
		} else if err == nil && metav1.IsControlledBy(&unlabelled, v.batch) {
			visit(&unlabelled)
		}
	}
	return nil
}

// apply writes a plan, and returns the slices as they are then. Each write has preconditions, so that a plan made from stale
// slices fails. The hold shrinks to what is still to be written.
func (r *Reconciler) apply(ctx context.Context, v view, p plan.Writes, hold *budget.Hold) ([]cached.Slice, error) {
	writes := slices.Concat(p.Update, p.Create)
	written, failed := make([]cached.Slice, len(writes)), make([]error, len(writes))
	var left atomic.Int64
	for _, slice := range writes {
		left.Add(size(slice))
	}
	hold.Shrink(left.Load())
	var hasFailed atomic.Bool
	var group errgroup.Group
	group.SetLimit(writers)
	for i, slice := range writes {
		group.Go(func() error {
			if hasFailed.Load() {
				return nil
			}
			before := size(slice)
			err := r.store(ctx, v, slice)
			if failed[i] = err; err != nil {
				hasFailed.Store(true)
				return nil //nolint:nilerr // the first failure in the order of the slices counts
			}
			r.versions.Note(v.name(), slice)
			written[i] = cached.SliceOf(slice).WithoutLists()
			slice.Spec.Users = nil // free the memory
			hold.Shrink(left.Add(-before))
			return nil
		})
	}
	_ = group.Wait() // the first failure, in the order of the slices, makes a stable message
	for _, err := range failed {
		if err != nil {
			return nil, err
		}
	}
	current := make(map[string]cached.Slice, len(v.slices)+len(written))
	for _, slice := range slices.Concat(v.slices, written) {
		current[slice.Name] = slice
	}
	for _, slice := range p.Remove {
		expected := client.Preconditions{UID: &slice.UID, ResourceVersion: &slice.ResourceVersion}
		if err := r.Client.Delete(ctx, slice, expected); client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("deleting slice %q: %w", slice.Name, err)
		}
		r.versions.NoteDeleted(v.name(), slice)
		delete(current, slice.Name)
	}
	log.FromContext(ctx).V(1).Info("Planned EmbeddedUserSlices", "created", len(p.Create), "updated", len(p.Update), "deleted", len(p.Remove))
	return slices.SortedFunc(maps.Values(current), byName), nil
}

// size returns the memory that the users of a slice take.
func size(slice *v1alpha1.EmbeddedUserSlice) int64 {
	bytes := int64(0)
	for _, user := range slice.Spec.Users {
		bytes += int64(users.Size(users.User(user)))
	}
	return bytes
}

// store updates a slice, or creates it under its name or the next free one. It fails if the batch has a slice of this name that
// the plan does not know, or may adopt one.
func (r *Reconciler) store(ctx context.Context, v view, slice *v1alpha1.EmbeddedUserSlice) error {
	if slice.UID != "" {
		if err := r.Client.Update(ctx, slice); err != nil {
			return fmt.Errorf("updating slice %q: %w", slice.Name, err)
		}
		return nil
	}
	for ; ; slice.Name = plan.NextName(slice.Name) {
		if slices.ContainsFunc(v.slices, func(other cached.Slice) bool { return other.Name == slice.Name }) {
			continue
		}
		err := r.Client.Create(ctx, slice)
		if err == nil {
			return nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("creating slice %q: %w", slice.Name, err)
		}
		var other v1alpha1.EmbeddedUserSlice
		if err := r.Client.Get(ctx, client.ObjectKeyFromObject(slice), &other); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("reading slice %q: %w", slice.Name, err)
		} else if err != nil || metav1.IsControlledBy(&other, v.batch) || isOrphan(&other, v.batch.Name) {
			return fmt.Errorf("creating slice %q: %w", slice.Name, errCacheBehind)
		}
	}
}
