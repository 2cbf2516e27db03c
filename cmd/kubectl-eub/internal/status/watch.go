// SPDX-License-Identifier: Apache-2.0

package status

import (
	"context"
	"fmt"
	"io"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/access"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/follow"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
)

const (
	redrawInterval  = time.Second     // of a screen
	detailsInterval = 5 * time.Second // of slices and events
)

// display shows reports as they come.
type display interface {
	show(*Report) error
	// wantsDetails reports whether it shows slices and events, and time that passes.
	wantsDetails() bool
}

// watcher follows a batch and shows it.
type watcher struct {
	cluster *cluster
	key     client.ObjectKey
	display display
	warn    io.Writer

	batch   *v1alpha1.EmbeddedUserBatch // nil until it was read
	meter   meter
	details details
	loaded  time.Time // when the details were read
	lost    error     // why the batch cannot be followed at the moment
	last    Report
}

// run shows a batch until nothing more happens to it by itself, and returns the last report. If the context ends first, the error is that
// of the context.
func (w *watcher) run(ctx context.Context) (Report, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	batches, lost, failed := make(chan *v1alpha1.EmbeddedUserBatch), make(chan error), make(chan error, 1)
	go func() { failed <- w.follow(ctx, batches, lost) }()
	redraw := time.NewTicker(redrawInterval)
	defer redraw.Stop()
	for {
		select {
		case w.batch = <-batches:
			w.lost = nil
			counts := &w.batch.Status.Counts
			w.meter.add(time.Now(), counts.Total-counts.Pending, counts.Total)
		case w.lost = <-lost:
			if !w.hasScreen() { // which shows it, and would be spoiled by a line between
				terminal.Note(w.warn, "%s: %v", lostNote, w.lost)
				continue
			}
		case <-redraw.C:
			if !w.hasScreen() {
				continue
			}
		case err := <-failed:
			if ctx.Err() != nil {
				return w.last, err
			}
			return w.last, access.Explain(err, "watch", access.Batches, w.key) //nolint:wrapcheck // wrapped
		}
		if err := w.show(ctx); err != nil {
			return w.last, err
		}
		if w.last.State.Ends() {
			return w.last, nil
		}
	}
}

// follow sends what the API server says of the batch, and why it says nothing.
func (w *watcher) follow(ctx context.Context, batches chan<- *v1alpha1.EmbeddedUserBatch, lost chan<- error) error {
	//nolint:wrapcheck // says what failed
	return follow.Batch(ctx, w.cluster.client, w.key, func(batch *v1alpha1.EmbeddedUserBatch) bool {
		select {
		case batches <- batch:
		case <-ctx.Done():
		}
		return false
	}, func(err error) {
		select {
		case lost <- err:
		case <-ctx.Done():
		}
	})
}

// hasScreen reports whether there is a screen that shows the batch, and time that passes.
func (w *watcher) hasScreen() bool { return w.batch != nil && w.display.wantsDetails() }

// lostNote says that the API server is away.
const lostNote = "Lost the batch, and trying again"

func (w *watcher) show(ctx context.Context) error {
	now, batch := time.Now(), w.batch
	if w.lost == nil && w.display.wantsDetails() && (now.Sub(w.loaded) >= detailsInterval || StateOf(batch) != w.last.State) {
		read, err := w.cluster.load(ctx, batch)
		if err != nil {
			read = w.details
			read.missing = []string{err.Error()}
		}
		w.details, w.loaded = read, now
	}
	missing := w.details.missing
	if w.lost != nil {
		missing = []string{fmt.Sprintf("changes. %s: %v", lostNote, w.lost)}
	}
	w.last = New(batch, w.details.slices, w.details.events, missing)
	w.last.Pace = w.meter.pace(now)
	return w.display.show(&w.last)
}
