package main

import (
	"context"
	"fmt"
	"time"
)

// awaitBatch waits until a batch says that all of its users exist, and returns what it says.
func (w *world) awaitBatch(ctx context.Context, namespace, name string, users int) (row, error) {
	var last row
	told := time.Now()
	err := w.watch(ctx, namespace, name, func(r row) bool {
		last = r
		if time.Since(told) > tellInterval {
			told = time.Now()
			say("  %s", r)
		}
		return r.done(users)
	})
	if err != nil {
		return last, fmt.Errorf("waiting for %s/%s, which says %s: %w", namespace, name, last, err)
	}
	return last, nil
}

// awaitAll waits until n batches of one user each say that it exists.
func (w *world) awaitAll(ctx context.Context, a *account, n int) error {
	done := make(map[string]bool, n)
	told := time.Now()
	err := w.watch(ctx, a.namespace, "", func(r row) bool {
		if r.done(1) {
			done[r.name] = true
		}
		if time.Since(told) > tellInterval {
			told = time.Now()
			say("  %d of %d batches are done, after %d POST", len(done), n, w.tally.of(a.key).posts)
		}
		return len(done) == n
	})
	if err != nil {
		return fmt.Errorf("waiting for %d batches, of which %d are done: %w", n, len(done), err)
	}
	return nil
}
