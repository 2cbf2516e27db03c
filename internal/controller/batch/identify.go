// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
)

// identifyTries is how many lists may be unusable before users are not owned whose userIds are still to be learned.
const identifyTries, identifyRetry = 3, 30 * time.Second

// isIdentifiable reports whether so many userIds are to be learned that a list is read, and no users are being created: all share
// the list.
func isIdentifiable(v view) bool {
	moving := sum(v.slices, func(slice *cached.Slice) int32 {
		if slice.Ready != nil && slice.Ready.Reason != v1alpha1.ReasonProgressing {
			return 0
		}
		return slice.Counts.Pending - slice.Unidentified - slice.Outdated
	})
	return moving == 0 && sum(v.slices, func(slice *cached.Slice) int32 { return slice.Unidentified }) > ledger.MaxReads
}

// identify records the userIds of users that the operator has created.
func (r *Reconciler) identify(ctx context.Context, v view, l *lookup, now time.Time) (confirmation, error) {
	if !l.list.IsUsable() {
		c := confirmation{later: identifyRetry}
		if l.list.Answer().Outcome == alloy.Unauthorized {
			c.verdict = rejectedKey(l.list)
		} else if l.tries++; l.tries >= identifyTries {
			return confirmation{}, r.rewrite(ctx, v, 0, ledger.Disown)
		}
		l.wait(now, c)
		return c, nil
	}
	l.tries = 0
	err := r.rewrite(ctx, v, 0, func(slice *v1alpha1.EmbeddedUserSlice) ([]v1alpha1.UserResult, int) {
		return ledger.Identify(slice, l.list)
	})
	if err == nil { // all that are left were created since the list began
		l.list, l.since = nil, now
		return confirmation{later: identifyRetry}, nil
	}
	return confirmation{}, err
}

// correct takes over the full names that the list shows of users that the operator owns, so that it writes those again that somebody
// else has changed. That is done once for each look-up, because the list does not show what is written meanwhile. The error is
// errCacheBehind if any differed.
func (r *Reconciler) correct(ctx context.Context, v view, l *lookup, t tally) error {
	if t.outdated == 0 || l.corrected {
		return nil
	}
	err := r.rewrite(ctx, v, 0, func(slice *v1alpha1.EmbeddedUserSlice) ([]v1alpha1.UserResult, int) {
		return ledger.Correct(slice, l.list)
	})
	l.corrected = err == nil || errors.Is(err, errCacheBehind)
	if err != nil {
		return fmt.Errorf("comparing full names: %w", err)
	}
	return nil
}

// disown ends the ownership of users whose userId was not learned before the key changed: under another key it may be another user's.
func (r *Reconciler) disown(ctx context.Context, v view, l *lookup) error {
	if l.wish.cause != otherKey || v.batch.UpdatePolicy != v1alpha1.UpdatePolicyUpdate {
		return nil
	}
	return r.rewrite(ctx, v, 0, ledger.Disown)
}
