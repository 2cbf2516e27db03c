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
	// pageSize is how many slices are read at once; with 400 KB for each, the most, they take 8 MB.
	pageSize = 20
	// writers is how many slices of a batch are written at once. With more, the first of them come later, for which requests wait
	// already.
	writers = 2
)

// whole makes the batch of a state whole, or marks it as gone.
func (r *Reconciler) whole(ctx context.Context, s *state) error {
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

// plan reads the list and the slices as the API server holds them, and writes the slices that have to be others. While another
// long list is planned it has to wait, for the time that is returned.
func (r *Reconciler) plan(ctx context.Context, s *state) (wait time.Duration, err error) {
	read, err := r.read(ctx, s)
	defer read.release()
	switch {
	case err != nil || s.gone:
		return 0, err
	case read.busy:
		return shortly, nil
	}
	if read.problem == nil {
		plan, err := r.survey(ctx, s, &read.list)
		if err != nil {
			return 0, err
		}
		s.listing = newListing(s.batch, &read.list, s.slices)
		read.list = users.List{} // the writes take long, and need it not
		if err := r.carryOut(ctx, s, plan); err != nil {
			return 0, err
		}
	}
	s.listing.problem, s.listing.digest = read.problem, digest(s.batch, read.versions, s.slices)
	r.memory.learn(s.batch, s.listing, read.took)
	return 0, nil
}

// survey makes a plan. Slices that the cache has whole, or that do not exist, are planned from there: the writes say what they
// expect to find. Others are read from the API server page by page.
func (r *Reconciler) survey(ctx context.Context, s *state, list *users.List) (plan, error) {
	if !s.any(func(slice *v1alpha1.EmbeddedUserSlice) bool { return !cached.IsWhole(slice) }) {
		return newPlan(s.batch, list.Valid, s.slices), nil
	}
	sieve := newSieve(s.batch, list)
	kept := map[string]v1alpha1.EmbeddedUserSlice{}
	var views []v1alpha1.EmbeddedUserSlice
	err := r.eachSlice(ctx, s, func(slice *v1alpha1.EmbeddedUserSlice) {
		if !sieve.pass(slice) {
			kept[slice.Name] = *slice
		}
		views = append(views, cached.View(slice))
	})
	if err != nil {
		return plan{}, err
	}
	rest := sieve.rest()
	var aside []string
	for _, seen := range sieve.seen {
		if _, isKept := kept[seen.name]; seen.aside {
			aside = append(aside, seen.name)
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
	return newPlan(s.batch, rest, slices.SortedFunc(maps.Values(kept), byName), aside...), nil
}

// eachSlice visits the slices that a batch controls, as the API server holds them: by their label, and one by one those that
// have lost it.
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

// carryOut writes a plan, and puts what was written into the state. Each write says what it expects to find, so that a plan
// made from an old view fails instead of doing harm.
func (r *Reconciler) carryOut(ctx context.Context, s *state, p plan) error {
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
			slice.Spec.Users = nil // a long list gives back what is written
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

// write updates a slice, or creates it under its name, or under the next one that is free. It fails when the batch has a slice
// of this name that the plan was made without.
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
			return fmt.Errorf("creating slice %q: the cache is behind", slice.Name)
		}
	}
}

// owned are those of some slices that a batch controls, in the order of their names.
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
