// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// lookupPoll is the interval at which a batch is read while its users are looked up.
const lookupPoll = 200 * time.Millisecond

// runLookup runs r: it has the users of a batch looked up that all exist.
func (b *bench) runLookup(ctx context.Context, a *account) error {
	const value = "bench"
	r := &result{name: "r", users: a.users, batches: 1}
	if err := b.settleOperator(ctx); err != nil {
		return err
	}
	before, err := b.mark(ctx, a)
	if err != nil {
		return err
	}
	say("%s: having %d users looked up", r.name, r.users)
	start := time.Now()
	path := append(collection(a.namespace, batchResource), batchName)
	patch, err := json.Marshal(object{"metadata": object{"annotations": object{v1alpha1.AnnotationReconcileAt: value}}})
	if err != nil {
		return fmt.Errorf("encoding the annotation: %w", err)
	}
	if err := b.rest.Patch(types.MergePatchType).AbsPath(path...).Body(patch).Do(ctx).Error(); err != nil {
		return fmt.Errorf("asking for a look-up: %w", err)
	}
	for handled := ""; handled != value; {
		if !pause(ctx, lookupPoll) {
			return context.Cause(ctx) //nolint:wrapcheck // the cause is descriptive
		}
		body, err := b.rest.Get().AbsPath(path...).DoRaw(ctx)
		if err != nil {
			return fmt.Errorf("reading the batch: %w", err)
		}
		var seen v1alpha1.EmbeddedUserBatch
		if err := json.Unmarshal(body, &seen); err != nil {
			return fmt.Errorf("decoding the batch: %w", err)
		}
		handled = seen.Status.LastHandledReconcileAt
	}
	r.wall = time.Since(start)
	if err := b.measure(ctx, a, before, 1, r); err != nil {
		return err
	}
	final, err := b.awaitBatch(ctx, a.namespace, batchName, a.users)
	if err != nil {
		return err
	}
	return b.finish(r, final)
}
