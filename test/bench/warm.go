// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"
)

const (
	// idleWithin is how long the operator has to release memory after b2; the wait ends early below idleEnough.
	idleWithin = 150 * time.Second
	idleEnough = 100 * mib
)

// runWarm runs the cases in which the operator is warm: a, f, b1 and d.
func (b *bench) runWarm(ctx context.Context) error {
	b1 := &result{name: "b1", users: b.scaled(100_000), batches: 1}
	var err error
	if b.wants("b1") {
		if b1.slicesAlone, err = b.slicesAlone(ctx, b1.name, b1.users); err != nil {
			return err
		}
	}
	if err := b.startOperator(ctx); err != nil {
		return err
	}
	if b.wants("a", "f") {
		if err := b.rehearse(ctx, b.scaled(10_000)); err != nil {
			return err
		}
	}
	for _, r := range []*result{{name: "a"}, {name: "f", seeded: true}} {
		if !b.wants(r.name) {
			continue
		}
		r.users, r.batches = b.scaled(10_000), 1
		if _, err := b.runOne(ctx, r, inline(chunk(r.name, 0, r.users))); err != nil {
			return err
		}
	}
	if !b.wants("b1") {
		return nil
	}
	a, err := b.runOne(ctx, b1, fromFiles(files(b1.users)))
	if err != nil || !b.wants("d") {
		return err
	}
	return b.runAppend(ctx, a)
}

// rehearse creates a batch without measuring it, because an API server is slower right after its start.
func (b *bench) rehearse(ctx context.Context, users int) error {
	const name = "rehearsal"
	a, err := b.newAccount(ctx, name, users)
	if err != nil {
		return err
	}
	if err := b.warm(ctx, a); err != nil {
		return err
	}
	return b.createAndAwait(ctx, a, batchName, chunk(name, 0, users))
}

// runOne runs a case with one batch.
func (b *bench) runOne(ctx context.Context, r *result, spec object) (*account, error) {
	a, err := b.prepare(ctx, r, spec)
	if err != nil {
		return nil, err
	}
	if err := b.apply(ctx, a, r, spec); err != nil {
		return nil, err
	}
	return a, b.measureSizes(ctx, a, r)
}

// runLarge runs b2 and r with a new operator.
func (b *bench) runLarge(ctx context.Context) error {
	r := &result{name: "b2", users: b.scaled(1_000_000), batches: 1}
	var err error
	if r.slicesAlone, err = b.slicesAlone(ctx, r.name, r.users); err != nil {
		return err
	}
	if err := b.startOperator(ctx); err != nil {
		return err
	}
	spec := fromFiles(files(r.users))
	a, err := b.prepare(ctx, r, spec)
	if err != nil {
		return err
	}
	finish := b.startProfile(ctx, r.name)
	if err := b.apply(ctx, a, r, spec); err != nil {
		return err
	}
	if r.idle, err = b.idle(ctx, idleWithin, idleEnough); err != nil {
		return err
	}
	say("%s: idle at %.0f MiB", r.name, float64(r.idle)/mib)
	if err := finish(); err != nil {
		return err
	}
	if err := b.measureSizes(ctx, a, r); err != nil || !b.wants("r") {
		return err
	}
	return b.runLookup(ctx, a)
}

// prepare creates the account and the ConfigMaps of a case with one batch, and measures the bare loop.
func (b *bench) prepare(ctx context.Context, r *result, spec object) (*account, error) {
	a, err := b.newAccount(ctx, r.name, r.users)
	if err != nil {
		return nil, err
	}
	if a.seeded = r.seeded; a.seeded {
		b.seed(a.key, a.name, a.users)
	}
	if err := b.warm(ctx, a); err != nil {
		return nil, err
	}
	if _, ok := spec["usersFrom"]; ok {
		if err := b.putFiles(ctx, a); err != nil {
			return nil, err
		}
	}
	r.bare, err = b.bareLoop(ctx, r.name, r.users, r.seeded)
	return a, err
}

// apply creates the batch of a case and measures the time until it is Ready.
func (b *bench) apply(ctx context.Context, a *account, r *result, spec object) error {
	body, err := batch(batchName, spec)
	if err != nil {
		return err
	}
	before, err := b.mark(ctx, a)
	if err != nil {
		return err
	}
	say("%s: creating a batch of %d users", r.name, r.users)
	begin := time.Now()
	if err := b.create(ctx, a.namespace, body); err != nil {
		return err
	}
	start := time.Now()
	r.stored = start.Sub(begin)
	final, err := b.awaitBatch(ctx, a.namespace, batchName, r.users)
	if err != nil {
		return err
	}
	r.wall = time.Since(start)
	if err := b.measure(ctx, a, before, 1, r); err != nil {
		return err
	}
	return b.finish(r, final)
}

// measureSizes measures the largest objects of a case.
func (b *bench) measureSizes(ctx context.Context, a *account, r *result) (err error) {
	if r.largestSlice, err = b.largest(ctx, a.namespace, sliceResource); err != nil {
		return err
	}
	r.largestBatch, err = b.largest(ctx, a.namespace, batchResource)
	return err
}

// runAppend runs d: it appends one user to the last ConfigMap of b1.
func (b *bench) runAppend(ctx context.Context, a *account) error {
	r := &result{name: "d", users: 1, batches: 1}
	slices, err := b.versions(ctx, a.namespace)
	if err != nil {
		return err
	}
	if err := b.settleOperator(ctx); err != nil {
		return err
	}
	before, err := b.mark(ctx, a)
	if err != nil {
		return err
	}
	last := files(a.users) - 1
	say("%s: appending one user", r.name)
	start := time.Now()
	if err := b.putFile(ctx, a, last, last*rowsPerFile, a.users+1); err != nil {
		return err
	}
	a.users++
	final, err := b.awaitBatch(ctx, a.namespace, batchName, a.users)
	if err != nil {
		return err
	}
	r.wall = time.Since(start)
	if err := b.measure(ctx, a, before, 0, r); err != nil {
		return err
	}
	after, err := b.versions(ctx, a.namespace)
	if err != nil {
		return err
	}
	r.slicesWritten = changed(slices, after)
	if final.created != a.users {
		return fmt.Errorf("case d: the batch says %s", final)
	}
	return b.finish(r, row{created: 1})
}

// finish checks the summed counts of the batches of a case and stores its result.
func (b *bench) finish(r *result, final row) error {
	r.bound = max(b.latency, time.Duration(requestsFor(r.users))*b.latency/time.Duration(b.concurrency))
	wanted := row{name: final.name, ready: final.ready, message: final.message, created: r.users}
	if r.seeded {
		wanted.created, wanted.existing = 0, r.users
	}
	if final != wanted {
		return fmt.Errorf("case %s: in the end %s", r.name, final)
	}
	b.results = append(b.results, r)
	say("%s: %s, %d POST, %d other requests, peak %.0f MiB, CPU %s, %d API writes",
		r.name, seconds(r.wall), r.posts, r.others, float64(r.peak)/mib, seconds(r.cpu), r.writes)
	return nil
}
