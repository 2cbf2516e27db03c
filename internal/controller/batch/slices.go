package batch

import (
	"context"
	"fmt"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/index"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/redact"
)

// slicesOf returns the slices that a batch controls, in the order of their names. The cache finds them by their owner; the
// API server by their label, and one by one those that have lost it.
func (r *Reconciler) slicesOf(ctx context.Context, reader client.Reader, batch *v1alpha1.EmbeddedUserBatch) ([]v1alpha1.EmbeddedUserSlice, error) {
	var list v1alpha1.EmbeddedUserSliceList
	if err := r.List(ctx, &list, client.InNamespace(batch.Namespace), client.MatchingFields{index.Owner: string(batch.UID)}); err != nil {
		return nil, fmt.Errorf("listing the slices: %w", err)
	}
	if reader != r.Client {
		cached := list.Items
		list = v1alpha1.EmbeddedUserSliceList{}
		if err := reader.List(ctx, &list, client.InNamespace(batch.Namespace), client.MatchingLabels{v1alpha1.LabelBatch: batch.Name}); err != nil {
			return nil, fmt.Errorf("listing the slices: %w", err)
		}
		for i := range cached {
			name := cached[i].Name
			if slices.ContainsFunc(list.Items, func(s v1alpha1.EmbeddedUserSlice) bool { return s.Name == name }) {
				continue
			}
			var unlabelled v1alpha1.EmbeddedUserSlice
			if err := reader.Get(ctx, client.ObjectKeyFromObject(&cached[i]), &unlabelled); err == nil {
				list.Items = append(list.Items, unlabelled)
			} else if !apierrors.IsNotFound(err) {
				return nil, fmt.Errorf("reading slice %q: %w", name, err)
			}
		}
	}
	owned := slices.DeleteFunc(list.Items, func(slice v1alpha1.EmbeddedUserSlice) bool { return !metav1.IsControlledBy(&slice, batch) })
	slices.SortFunc(owned, byName)
	return owned, nil
}

// carryOut writes a plan, and puts what was written into the state. Each write says what it expects to find, so that a plan
// made from an old view fails instead of doing harm.
func (r *Reconciler) carryOut(ctx context.Context, s *state, p plan) error {
	current := map[string]v1alpha1.EmbeddedUserSlice{}
	for _, slice := range s.slices {
		current[slice.Name] = slice
	}
	for _, slice := range p.update {
		if err := r.Update(ctx, slice); err != nil {
			return fmt.Errorf("updating slice %q: %w", slice.Name, redact.Error(err))
		}
		current[slice.Name] = *slice
	}
	for _, slice := range p.create {
		err := r.Create(ctx, slice)
		for apierrors.IsAlreadyExists(err) { // somebody else's object has the name
			slice.Name = nextName(slice.Name)
			err = r.Create(ctx, slice)
		}
		if err != nil {
			return fmt.Errorf("creating slice %q: %w", slice.Name, redact.Error(err))
		}
		current[slice.Name] = *slice
	}
	for _, slice := range p.remove {
		expected := client.Preconditions{UID: &slice.UID, ResourceVersion: &slice.ResourceVersion}
		if err := r.Delete(ctx, slice, expected); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting slice %q: %w", slice.Name, err)
		}
		delete(current, slice.Name)
	}
	s.slices = slices.SortedFunc(maps.Values(current), byName)
	log.FromContext(ctx).V(1).Info("Planned EmbeddedUserSlices", "created", len(p.create), "updated", len(p.update), "deleted", len(p.remove))
	return nil
}

func byName(a, b v1alpha1.EmbeddedUserSlice) int { return compareNames(a.Name, b.Name) }
