// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

const (
	// creators is the number of goroutines that create batches before the operator starts.
	creators = 8
	// observed is how long e observes the restarted operator.
	observed = 15 * time.Second
)

// runMany runs c1 or c2, in which n batches of one user each exist when the operator starts. After the last of them it runs e.
func (b *bench) runMany(ctx context.Context, name string, n int) error {
	r := &result{name: name, users: b.scaled(n)}
	r.batches = r.users
	a, err := b.prepareMany(ctx, r)
	if err != nil {
		return err
	}
	before, err := b.mark(ctx, a)
	if err != nil {
		return err
	}
	say("%s: starting the operator", r.name)
	ready := make(chan error, 1)
	go func() { ready <- b.awaitAll(ctx, a, r.batches) }()
	if err := b.startOperator(ctx); err != nil {
		return err
	}
	started := b.operator.Started
	finish := func() error { return nil }
	if name == "c2" {
		finish = b.startProfile(ctx, r.name)
	}
	if err := <-ready; err != nil {
		return err
	}
	r.wall, r.fromStart = time.Since(b.tally.of(a.key).first), time.Since(started)
	if err := b.measure(ctx, a, before, 0, r); err != nil {
		return err
	}
	final, err := b.sum(ctx, a)
	if err != nil {
		return err
	}
	if err := b.finish(r, final); err != nil {
		return err
	}
	if err := finish(); err != nil {
		return err
	}
	if !b.wants("e") || name == "c1" && b.wants("c2") {
		return nil
	}
	return b.runRestart(ctx, a)
}

// prepareMany creates the batches and measures the bare loop.
func (b *bench) prepareMany(ctx context.Context, r *result) (*account, error) {
	a, err := b.newAccount(ctx, r.name, r.users)
	if err != nil {
		return nil, err
	}
	say("%s: creating %d batches", r.name, r.batches)
	err = inParallel(r.batches, creators, func(i int) error {
		body, err := batch(fmt.Sprintf("batch-%05d", i), inline([]users.User{user(a.name, i)}))
		if err != nil {
			return err
		}
		return b.create(ctx, a.namespace, body)
	})
	if err != nil {
		return nil, err
	}
	r.bare, err = b.bareLoop(ctx, r.name, r.users, false)
	return a, err
}

// sum adds up the counts of all batches of an account.
func (b *bench) sum(ctx context.Context, a *account) (row, error) {
	var list v1alpha1.EmbeddedUserBatchList
	if err := b.plane.Client.List(ctx, &list, client.InNamespace(a.namespace)); err != nil {
		return row{}, fmt.Errorf("listing batches: %w", err)
	}
	var sum row
	for i := range list.Items {
		counts := list.Items[i].Status.Counts
		sum.created += int(counts.Created)
		sum.existing += int(counts.Existing)
		sum.invalid += int(counts.Invalid)
		sum.pending += int(counts.Pending)
	}
	return sum, nil
}

// runRestart runs e: the operator restarts and finds nothing to do.
func (b *bench) runRestart(ctx context.Context, a *account) error {
	r := &result{name: "e", users: a.users, batches: a.users}
	if err := b.stopOperator(); err != nil {
		return err
	}
	before, err := b.mark(ctx, a)
	if err != nil {
		return err
	}
	all := b.tally.total()
	say("%s: starting the operator again", r.name)
	if err := b.startOperator(ctx); err != nil {
		return err
	}
	if err := b.settleOperator(ctx); err != nil { // until the caches are synced and each batch is reconciled
		return err
	}
	if !pause(ctx, observed) {
		return context.Cause(ctx) //nolint:wrapcheck // the cause is descriptive
	}
	if err := b.measure(ctx, a, before, 0, r); err != nil {
		return err
	}
	if now := b.tally.total().minus(all); now.posts != r.posts || now.others != r.others {
		return fmt.Errorf("case e: requests went to other accounts: %d POST, %d others", now.posts, now.others)
	}
	final, err := b.sum(ctx, a)
	if err != nil {
		return err
	}
	return b.finish(r, final)
}
