// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
)

// interval returns how often the users of a batch are to be looked up; 0 for never.
func (r *Reconciler) interval(batch *cached.Batch) time.Duration {
	if own := batch.ResyncInterval; own != nil {
		return own.Duration
	}
	return r.Options.ResyncInterval
}

// IsOverdue reports whether the users of a batch should have been looked up more than an interval ago. A batch that is suspended, and
// one of whose users none is known to exist, has nothing to be looked up.
func (r *Reconciler) IsOverdue(batch *cached.Batch, now time.Time) bool {
	counts := batch.Status.Counts
	if batch.Suspend || counts.Created+counts.Existing == 0 {
		return false
	}
	interval := r.interval(batch)
	due := resyncDue(batch, batch.Status.KeyFingerprint, interval, r.began)
	return !due.IsZero() && now.Sub(due) > interval
}
