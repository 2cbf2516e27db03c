// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// waiting is how long g observes users that wait.
const waiting = time.Minute

// runRejected runs g: a batch of a million users waits, because the API rejects the key.
func (b *bench) runRejected(ctx context.Context) error {
	r := &result{name: "g", users: b.scaled(1_000_000), batches: 1}
	if err := b.startOperator(ctx); err != nil {
		return err
	}
	a := &account{name: r.name, namespace: "bench-" + r.name, key: "wrong-key", users: r.users}
	if err := b.writeKey(ctx, a); err != nil {
		return err
	}
	if err := b.putFiles(ctx, a); err != nil {
		return err
	}
	before, err := b.mark(ctx, a)
	if err != nil {
		return err
	}
	body, err := batch(batchName, fromFiles(files(r.users)))
	if err != nil {
		return err
	}
	say("g: creating a batch of %d users with a key that the API rejects", r.users)
	if err := b.create(ctx, a.namespace, body); err != nil {
		return err
	}
	var last row
	err = b.watch(ctx, a.namespace, batchName, func(seen row) bool {
		last = seen
		return seen.ready == string(metav1.ConditionFalse) && seen.pending == r.users
	})
	if err != nil {
		return fmt.Errorf("waiting for the batch to be %s, which says %s: %w", v1alpha1.ReasonUnauthorized, last, err)
	}
	if !pause(ctx, waiting) {
		return errors.Join(context.Cause(ctx))
	}
	if err := b.measure(ctx, a, before, 1, r); err != nil {
		return err
	}
	b.results = append(b.results, r)
	say("g: %s; %d POST, peak %.0f MiB", last, r.posts, float64(r.peak)/mib)
	return nil
}
