package slice

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
)

// recordTimeout bounds the write of the last results when the process stops. Together with the timeout of a request it must
// stay below the manager's graceful shutdown.
const recordTimeout = 5 * time.Second

// drain lets running requests finish when the process stops, and records their answers: a result that is lost now would be
// in doubt for ever.
type drain struct{ *Reconciler }

var _ manager.LeaderElectionRunnable = drain{}

// NeedLeaderElection tells that only a leader has something to finish.
func (drain) NeedLeaderElection() bool { return true }

// Start waits for the end of the process, and finishes what is running.
func (d drain) Start(ctx context.Context) error {
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.Options.RequestTimeout+recordTimeout)
	defer cancel()
	for _, id := range d.Sender.Drain() {
		if err := d.recordLast(ctx, id); err != nil {
			log.FromContext(ctx).Error(err, "Failed to record the last results of EmbeddedUserSlice", "namespace", id.Namespace, "name", id.Name)
		}
	}
	return nil
}

// recordLast records what is known of a slice; a write that another one came before is tried once more.
func (d drain) recordLast(ctx context.Context, id sender.ID) error {
	var err error
	for range 2 {
		req := reconcile.Request{NamespacedName: types.NamespacedName{Namespace: id.Namespace, Name: id.Name}}
		slice, report, readErr := d.read(ctx, d.Live, req)
		if readErr != nil || slice == nil || !report.News {
			return readErr
		}
		if err = d.record(ctx, newState(slice, report)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("giving up: %w", err)
}
