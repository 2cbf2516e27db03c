// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"
)

// awaitBatch waits until all users of a batch exist according to its status, and returns the status.
func (w *world) awaitBatch(ctx context.Context, namespace, name string, users int) (row, error) {
	var last row
	reported := time.Now()
	err := w.watch(ctx, namespace, name, func(r row) bool {
		last = r
		if time.Since(reported) > reportInterval {
			reported = time.Now()
			say("  %s", r)
		}
		return r.done(users)
	})
	if err != nil {
		return last, fmt.Errorf("waiting for %s/%s, which says %s: %w", namespace, name, last, err)
	}
	return last, nil
}

// awaitAll waits until n batches of one user each are done.
func (w *world) awaitAll(ctx context.Context, a *account, n int) error {
	done := make(map[string]bool, n)
	reported := time.Now()
	err := w.watch(ctx, a.namespace, "", func(r row) bool {
		if r.done(1) {
			done[r.name] = true
		}
		if time.Since(reported) > reportInterval {
			reported = time.Now()
			say("  %d of %d batches are done, after %d POST", len(done), n, w.tally.of(a.key).posts)
		}
		return len(done) == n
	})
	if err != nil {
		return fmt.Errorf("waiting for %d batches, of which %d are done: %w", n, len(done), err)
	}
	return nil
}
