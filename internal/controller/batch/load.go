// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/index"
	"github.com/embedded-user-operator/embedded-user-operator/internal/digest"
	"github.com/embedded-user-operator/embedded-user-operator/internal/plan"
	"github.com/embedded-user-operator/embedded-user-operator/internal/usersource"
)

var (
	// errGone says that the batch is deleted or being deleted. The garbage collector deletes its slices, and its users stay.
	errGone = errors.New("the batch is gone")
	// errCacheBehind says that the cache lacks what this process has written or read. An event arrives when it has that.
	errCacheBehind = errors.New("the cache is behind")
)

// view is what is known of a batch without its list.
type view struct {
	batch   *cached.Batch
	slices  []cached.Slice // that the batch controls, in the order of their indexes
	orphans []cached.Slice // that it may adopt
	foreign []cached.Slice // others with its label
	sources string         // digest of the versions of its sources
}

func (v view) name() types.NamespacedName { return client.ObjectKeyFromObject(v.batch) }

// load returns the view of the cache. The error is errGone or errCacheBehind, unless reading failed.
func (r *Reconciler) load(ctx context.Context, name types.NamespacedName) (view, error) {
	v, err := r.peek(ctx, name)
	if err != nil {
		return view{}, err
	}
	objects := make([]client.Object, 0, len(v.slices)+1)
	for i := range v.slices {
		objects = append(objects, &v.slices[i])
	}
	r.versions.Expire(name)
	if r.versions.AreAhead(name, append(objects, v.batch)...) {
		return view{}, errCacheBehind
	}
	return v, nil
}

// peek returns the view of the cache, even if that is behind.
func (r *Reconciler) peek(ctx context.Context, name types.NamespacedName) (view, error) {
	v := view{batch: &cached.Batch{}}
	err := client.IgnoreNotFound(r.Cache.Get(ctx, name, v.batch))
	switch {
	case err != nil:
		return view{}, fmt.Errorf("reading the batch: %w", err)
	case v.batch.UID == "", !v.batch.DeletionTimestamp.IsZero():
		return view{}, errGone
	}
	var list cached.SliceList
	if err := r.Cache.List(ctx, &list, client.InNamespace(name.Namespace), client.MatchingFields{index.Batch: name.Name}); err != nil {
		return view{}, fmt.Errorf("listing the slices: %w", err)
	}
	v.divide(list.Items)
	versions := make([]string, len(v.batch.UsersFrom))
	for i := range v.batch.UsersFrom {
		if versions[i], err = r.cachedVersion(ctx, name.Namespace, &v.batch.UsersFrom[i]); err != nil {
			return view{}, err
		}
	}
	v.sources = digest.Of(versions...)
	return v, nil
}

// divide tells the slices that name the batch apart.
func (v *view) divide(list []cached.Slice) {
	v.slices = make([]cached.Slice, 0, len(list))
	for i := range list {
		switch slice := &list[i]; {
		case metav1.IsControlledBy(slice, v.batch):
			v.slices = append(v.slices, *slice)
		case isOrphan(slice, v.batch.Name):
			v.orphans = append(v.orphans, *slice)
		case slice.Labels[v1alpha1.LabelBatch] == v.batch.Name && slice.DeletionTimestamp.IsZero():
			v.foreign = append(v.foreign, *slice)
		}
	}
	slices.SortFunc(v.slices, byName)
}

// cachedVersion returns the version of a source; "" if it does not exist.
func (r *Reconciler) cachedVersion(ctx context.Context, namespace string, source *v1alpha1.UsersSource) (string, error) {
	kind, ref := usersource.Reference(source)
	metadata := cached.Metadata(corev1.SchemeGroupVersion.WithKind(kind))
	err := r.Cache.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, metadata)
	if client.IgnoreNotFound(err) != nil {
		return "", fmt.Errorf("looking up %s %q: %w", kind, ref.Name, err)
	}
	return usersource.Version(metadata), nil
}

// planVersion changes when a release reads lists or distributes users in another way, so that every batch is planned again. Since
// version 2 rows that are repeated are counted, more rows are invalid, and a text that has no row of a user's shape is no list.
const planVersion = 2

// plan returns the plan that the view fulfills, if it was made from the list as it is now. It does not know the invalid rows.
func (v view) plan() v1alpha1.PlanStatus {
	var specs, rejected []string
	for i := range v.slices {
		slice := &v.slices[i]
		if !slice.DeletionTimestamp.IsZero() {
			continue
		}
		specs = append(specs, slice.Name, slice.SpecDigest)
		for _, result := range slice.Rejected {
			rejected = append(rejected, result.Username, result.Message)
		}
	}
	return v1alpha1.PlanStatus{
		Version: planVersion, Generation: v.batch.Generation, Sources: v.sources,
		Slices: digest.Of(append(specs, string(v.batch.UID))...), Rejected: digest.Of(rejected...),
	}
}

// isSamePlan reports whether two plans are for the same list and the same slices, whoever of their users was rejected.
func isSamePlan(a, b v1alpha1.PlanStatus) bool {
	a.Rejected, a.InvalidRows = b.Rejected, b.InvalidRows
	return a == b
}

// hasRemovable reports whether a slice is to be deleted.
func (v view) hasRemovable() bool {
	return slices.ContainsFunc(v.slices, func(slice cached.Slice) bool {
		return slice.DeletionTimestamp.IsZero() && slice.IsRemovable
	})
}

func byName(a, b cached.Slice) int { return plan.CompareNames(a.Name, b.Name) }
