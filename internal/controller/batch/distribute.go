// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"context"
	"errors"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/embedded-user-operator/embedded-user-operator/internal/budget"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/rejection"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// distribute brings the slices of a batch in line with its list, unless they are, and the listing in line with both. It returns
// the batch and its slices as they are then. later is when the list is to be read again, only to find the rows of rejected users.
func (r *Reconciler) distribute(ctx context.Context, v view) (_ view, l listing, later time.Duration, err error) {
	known := r.unfinished.listingOf(v.batch)
	v, undecided, err := r.adopt(ctx, v)
	if err != nil {
		return v, known, 0, err
	}
	current := v.plan()
	if isPlanned := known.isFor(current) && !v.hasRemovable(); isPlanned {
		if !known.namesRejected(current) {
			later = time.Until(r.unfinished.get(v.batch).relist)
		}
		if known.namesRejected(current) || later > 0 && count(v.slices).Pending > 0 {
			return v, known, later, nil
		}
	}
	if undecided != nil {
		return v, known, 0, undecided
	}
	read, hold, err := r.read(ctx, v)
	var problem *listError
	switch {
	case errors.As(err, &problem):
		current.Sources = problem.plan.Sources
		problem.plan, known.problem = current, problem
		r.unfinished.update(v.batch, func(m *memo) { m.listing = &known })
		return v, known, 0, nil
	case err != nil:
		return v, known, 0, err
	}
	defer hold.Release()
	kept := cached.BatchOf(read.batch)
	v.batch, v.sources = &kept, read.sources
	l = newListing(read.batch, &read.list, v.slices, v.plan())
	if !known.isFor(v.plan()) || v.hasRemovable() {
		l.total = int32(len(read.list.Valid) + read.list.FlawedCount) //nolint:gosec // bounded by the size of a list
		stored, err := r.replan(ctx, v, read, hold, l)
		if err != nil {
			known.total = l.total
			return v, known, 0, err
		}
		v.slices = stored
		l.total, l.plan.Slices = 0, v.plan().Slices
	}
	r.unfinished.update(v.batch, func(m *memo) { m.listing, m.relist = &l, time.Now().Add(listShare*read.took) })
	return v, l, 0, nil
}

// replan plans a list and writes the slices, and returns them. While it writes, the status shows the progress.
func (r *Reconciler) replan(ctx context.Context, v view, read *reading, hold *budget.Hold, l listing) ([]cached.Slice, error) {
	p, slices, err := r.makePlan(ctx, v, read)
	if err == nil && p.IsEmpty() && p.IsPartial {
		err = errCacheBehind
	}
	if err != nil || p.IsEmpty() {
		return slices, err
	}
	read.list = users.List{} // free it during the writes, which take long
	v.slices = slices
	done := make(chan struct{})
	go func() {
		defer close(done)
		slices, err = r.apply(ctx, v, p, hold)
	}()
	ticker := time.NewTicker(planningInterval)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			if err == nil && p.IsPartial {
				err = errCacheBehind // the rest is planned once the cache has these slices
			}
			return slices, err
		case <-ticker.C:
			if err := r.showProgress(ctx, v.batch, l); err != nil {
				log.FromContext(ctx).Info("Failed to show the progress of planning", "error", rejection.Redact(err).Error())
			}
		}
	}
}

// showProgress writes the status of a batch while its slices are written.
func (r *Reconciler) showProgress(ctx context.Context, batch *cached.Batch, l listing) error {
	seen, err := r.peek(ctx, view{batch: batch}.name())
	if err != nil || seen.batch.UID != batch.UID || seen.batch.Generation != batch.Generation || r.unfinished.refusalOf(seen) != nil {
		return err // after a refusal the status shows that until the plan is written
	}
	key, err := r.readKey(ctx, seen.batch)
	if err != nil {
		return err
	}
	_, err = r.writeNow(ctx, seen.batch, summarize(facts{view: seen, listing: l, key: key, now: time.Now()}))
	return err
}
