package batch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/redact"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

const (
	// pageSize is the number of slices in a page of a list call. A slice has at most 400 KB, so a page has at most 8 MB.
	pageSize = 20
	// writers is the number of slices of a batch that are written concurrently. More would delay the first slices, whose users
	// can be sent as soon as they are written.
	writers = 2
)

// loadBatch replaces the batch of a state by one with its list, or marks it as gone.
func (r *Reconciler) loadBatch(ctx context.Context, s *state) error {
	if whole, ok := cached.WholeBatch(s.batch); ok {
		s.batch = whole
		return nil
	}
	batch := &v1alpha1.EmbeddedUserBatch{}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(s.batch), batch); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading the batch: %w", err)
	}
	if batch.UID != s.batch.UID || !batch.DeletionTimestamp.IsZero() {
		s.gone = true
		return nil
	}
	s.batch = batch
	return nil
}

// plan reads the list and the slices from the API server and writes the slices that must change. If it has to wait for another
// long list, it returns the time until the next attempt.
func (r *Reconciler) plan(ctx context.Context, s *state) (wait time.Duration, err error) {
	read, err := r.read(ctx, s)
	defer read.release()
	switch {
	case err != nil || s.gone:
		return 0, err
	case read.busy:
		return requeueDelay, nil
	}
	if read.problem == nil {
		plan, err := r.buildPlan(ctx, s, &read.list)
		if err != nil {
			return 0, err
		}
		s.listing = newListing(s.batch, &read.list, s.slices)
		read.list = users.List{} // free it during the writes, which take long
		if err := r.applyPlan(ctx, s, plan); err != nil {
			return 0, err
		}
	}
	s.listing.problem, s.listing.digest = read.problem, digest(s.batch, read.versions, s.slices)
	r.memory.learn(s.batch, s.listing, read.took)
	return 0, nil
}

// buildPlan returns a plan. It uses the cache if that has every slice with its lists, which is safe because the writes have
// preconditions; otherwise it reads the slices from the API server page by page.
func (r *Reconciler) buildPlan(ctx context.Context, s *state, list *users.List) (plan, error) {
	if !s.any(func(slice *v1alpha1.EmbeddedUserSlice) bool { return !cached.IsWhole(slice) }) {
		return newPlan(s.batch, list.Valid, s.slices), nil
	}
	filter := newFilter(s.batch, list)
	kept := map[string]v1alpha1.EmbeddedUserSlice{}
	var views []v1alpha1.EmbeddedUserSlice
	err := r.eachSlice(ctx, s, func(slice *v1alpha1.EmbeddedUserSlice) {
		if !filter.add(slice) {
			kept[slice.Name] = *slice
		}
		views = append(views, cached.View(slice))
	})
	if err != nil {
		return plan{}, err
	}
	rest := filter.rest()
	var skipped []string
	for _, seen := range filter.seen {
		if _, isKept := kept[seen.name]; seen.skip {
			skipped = append(skipped, seen.name)
		} else if !isKept {
			var slice v1alpha1.EmbeddedUserSlice
			if err := r.Live.Get(ctx, client.ObjectKey{Namespace: s.batch.Namespace, Name: seen.name}, &slice); err != nil {
				return plan{}, fmt.Errorf("reading slice %q: %w", seen.name, err)
			}
			kept[seen.name] = slice
		}
	}
	s.slices = views
	slices.SortFunc(s.slices, byName)
	return newPlan(s.batch, rest, slices.SortedFunc(maps.Values(kept), byName), skipped...), nil
}

// eachSlice visits the slices that a batch controls, read from the API server: it lists them by label, and gets those that have
// lost the label one by one.
func (r *Reconciler) eachSlice(ctx context.Context, s *state, visit func(*v1alpha1.EmbeddedUserSlice)) error {
	seen := map[string]struct{}{}
	for next := ""; ; {
		var page v1alpha1.EmbeddedUserSliceList
		if err := r.Live.List(ctx, &page, client.InNamespace(s.batch.Namespace), client.MatchingLabels{v1alpha1.LabelBatch: s.batch.Name},
			client.Limit(pageSize), client.Continue(next)); err != nil {
			return fmt.Errorf("listing the slices: %w", err)
		}
		for i := range page.Items {
			if slice := &page.Items[i]; metav1.IsControlledBy(slice, s.batch) {
				seen[slice.Name] = struct{}{}
				visit(slice)
			}
		}
		if next = page.Continue; next == "" {
			break
		}
	}
	for i := range s.slices {
		name := s.slices[i].Name
		if _, done := seen[name]; done {
			continue
		}
		var unlabelled v1alpha1.EmbeddedUserSlice
		if err := r.Live.Get(ctx, client.ObjectKeyFromObject(&s.slices[i]), &unlabelled); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("reading slice %q: %w", name, err)
		} else if err == nil && metav1.IsControlledBy(&unlabelled, s.batch) {
			visit(&unlabelled)
		}
	}
	return nil
}

// applyPlan writes a plan and updates the state. Each write has preconditions, so that a plan made from stale slices fails.
func (r *Reconciler) applyPlan(ctx context.Context, s *state, p plan) error {
	if p.isEmpty() {
		return nil
	}
	owner := client.ObjectKeyFromObject(s.batch)
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	writes := slices.Concat(p.update, p.create)
	written := make([]v1alpha1.EmbeddedUserSlice, len(writes))
	for i, slice := range writes {
		group.Go(func() error {
			if err := r.write(groupCtx, s, slice); err != nil {
				return err
			}
			r.planned.Note(owner, slice, slice.ResourceVersion)
			written[i] = cached.View(slice)
			slice.Spec.Users = nil // free the memory
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err //nolint:wrapcheck // each says what it did
	}
	current := make(map[string]v1alpha1.EmbeddedUserSlice, len(s.slices)+len(written))
	for _, slice := range slices.Concat(s.slices, written) {
		current[slice.Name] = slice
	}
	for _, slice := range p.remove {
		expected := client.Preconditions{UID: &slice.UID, ResourceVersion: &slice.ResourceVersion}
		if err := r.Delete(ctx, slice, expected); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting slice %q: %w", slice.Name, err)
		}
		r.planned.Note(owner, slice, "")
		delete(current, slice.Name)
	}
	s.slices = slices.SortedFunc(maps.Values(current), byName)
	log.FromContext(ctx).V(1).Info("Planned EmbeddedUserSlices", "created", len(p.create), "updated", len(p.update), "deleted", len(p.remove))
	return nil
}

// write updates a slice, or creates it under its name or the next free one. It fails if the batch has a slice of this name that
// the plan does not know.
func (r *Reconciler) write(ctx context.Context, s *state, slice *v1alpha1.EmbeddedUserSlice) error {
	if slice.UID != "" {
		if err := r.Update(ctx, slice); err != nil {
			return fmt.Errorf("updating slice %q: %w", slice.Name, redact.Error(err))
		}
		return nil
	}
	for ; ; slice.Name = nextName(slice.Name) {
		if s.any(func(other *v1alpha1.EmbeddedUserSlice) bool { return other.Name == slice.Name }) {
			continue
		}
		err := r.Create(ctx, slice)
		if err == nil {
			return nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("creating slice %q: %w", slice.Name, redact.Error(err))
		}
		var other v1alpha1.EmbeddedUserSlice
		if err := r.Live.Get(ctx, client.ObjectKeyFromObject(slice), &other); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("reading slice %q: %w", slice.Name, err)
		} else if err != nil || metav1.IsControlledBy(&other, s.batch) {
			return fmt.Errorf("creating slice %q: the cache is stale", slice.Name)
		}
	}
}

// owned returns the slices that a batch controls, sorted by name. It reuses the memory of list.
func owned(list []v1alpha1.EmbeddedUserSlice, batch *v1alpha1.EmbeddedUserBatch) []v1alpha1.EmbeddedUserSlice {
	kept := list[:0]
	for i := range list {
		if metav1.IsControlledBy(&list[i], batch) {
			kept = append(kept, list[i])
		}
	}
	slices.SortFunc(kept, byName)
	return kept
}

func byName(a, b v1alpha1.EmbeddedUserSlice) int { return compareNames(a.Name, b.Name) }
