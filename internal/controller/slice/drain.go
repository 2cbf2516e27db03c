// SPDX-License-Identifier: Apache-2.0

package slice

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
)

// recordTimeout bounds the writes of the last results when the process stops, before and after the running requests end.
// Twice this and the timeout of a request must not be more than the manager's graceful shutdown.
const recordTimeout = 5 * time.Second

// recorders is how many slices are recorded at once then: a thousand of them may have shared a request.
const recorders = 8

// drain lets running requests finish when the process stops, and records their answers: a result that is lost now would be
// in doubt for ever.
type drain struct{ *Reconciler }

var _ manager.LeaderElectionRunnable = drain{}

// NeedLeaderElection returns true: only a leader has something to finish.
func (drain) NeedLeaderElection() bool { return true }

// Start waits for the end of the process, and finishes what is running.
func (d drain) Start(ctx context.Context) error {
	<-ctx.Done()
	d.Sender.Stop()
	ctx = context.WithoutCancel(ctx)
	d.recordAll(ctx) // what is known must not wait for what is running
	d.Sender.Wait()
	d.recordAll(ctx)
	return nil
}

func (d drain) recordAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(recorders)
	for _, id := range d.Sender.Unrecorded() {
		group.Go(func() error {
			if err := d.recordLast(ctx, id); err != nil {
				log.FromContext(ctx).Error(err, "Failed to record the last results of EmbeddedUserSlice", "namespace", id.Namespace, "name", id.Name)
			}
			return nil
		})
	}
	_ = group.Wait() // what failed is logged
}

// recordLast records what is known of a slice; a write that another one came before is tried once more.
func (d drain) recordLast(ctx context.Context, id sender.ID) error {
	var err error
	for range 2 {
		req := reconcile.Request{NamespacedName: types.NamespacedName{Namespace: id.Namespace, Name: id.Name}}
		slice, report, readErr := d.read(ctx, req)
		if readErr != nil || slice == nil || !report.News {
			return readErr
		}
		if batch, ownErr := d.owner(ctx, slice); ownErr != nil || batch == nil {
			return ownErr
		}
		last := newState(time.Now(), slice, report, d.Options.RetryDelay)
		if report.Failed != nil { // the key is not read once more for this
			last.fingerprint = report.Failed.KeyFingerprint
		}
		if err = d.record(ctx, last); err == nil {
			return nil
		}
	}
	return fmt.Errorf("giving up: %w", err)
}
