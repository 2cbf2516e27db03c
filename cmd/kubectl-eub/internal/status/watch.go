// SPDX-License-Identifier: Apache-2.0

package status

import (
	"context"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/access"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/advice"
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

	began   time.Time
	seen    sight // its batch is nil until it was read
	meter   meter
	details details
	loaded  time.Time // when the details were read
	lost    error     // why the batch cannot be followed at the moment
	last    Report
}

// sight is a batch as the API server has it.
type sight struct {
	batch    *v1alpha1.EmbeddedUserBatch
	outdated string // why the status is not the last one, in a sentence; empty if it is
}

// state returns the situation of the batch. What became of it before the last change does not count.
func (s sight) state() State {
	if s.outdated != "" {
		return Unseen
	}
	return StateOf(s.batch)
}

// report returns the report on the batch.
func (s sight) report(rows []SliceRow, events []corev1.Event, missing []string) Report {
	r := New(s.batch, rows, events, missing)
	if s.outdated != "" {
		r.Verdict = Verdict{State: s.state(), Do: advice.Unseen.Do, words: s.outdated}
	}
	return r
}

// run shows a batch until nothing more happens to it by itself, and returns the last report. If the context ends first, the error is that
// of the context.
func (w *watcher) run(ctx context.Context) (Report, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	w.began = time.Now()
	sights, lost, failed := make(chan sight), make(chan error), make(chan error, 1)
	go func() { failed <- w.follow(ctx, sights, lost) }()
	redraw := time.NewTicker(redrawInterval)
	defer redraw.Stop()
	for {
		select {
		case w.seen = <-sights:
			w.lost = nil
			counts := &w.seen.batch.Status.Counts
			w.meter.add(time.Now(), counts.Total-counts.Pending, counts.Total)
		case w.lost = <-lost:
			if !w.hasScreen() { // which shows it, and would be spoiled by a line between
				terminal.Note(w.warn, "%s: %v", lostNote, w.lost)
				continue
			}
		case <-redraw.C:
			if !w.hasScreen() && !w.last.State.Ends() {
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
		if w.last.State.Ends() && w.isSettled() {
			return w.last, nil
		}
	}
}

// isSettled reports whether the batch was watched for as long as it takes to believe its state.
func (w *watcher) isSettled() bool {
	return !WaitsForKey(w.seen.batch) || time.Since(w.began) >= Settling
}

// follow sends what the API server says of the batch, and why it says nothing.
func (w *watcher) follow(ctx context.Context, sights chan<- sight, lost chan<- error) error {
	lose := func(err error) { send(ctx, lost, err) }
	//nolint:wrapcheck // says what failed
	return follow.Batch(ctx, w.cluster.client, w.key, func(batch *v1alpha1.EmbeddedUserBatch) bool {
		outdated, err := w.cluster.outdated(ctx, batch)
		for ; err != nil && ctx.Err() == nil; outdated, err = w.cluster.outdated(ctx, batch) {
			lose(err)
			select {
			case <-ctx.Done():
			case <-time.After(redrawInterval):
			}
		}
		send(ctx, sights, sight{batch, outdated})
		return false
	}, lose)
}

// send sends a value, unless the context ends first.
func send[T any](ctx context.Context, to chan<- T, value T) {
	select {
	case to <- value:
	case <-ctx.Done():
	}
}

// hasScreen reports whether there is a screen that shows the batch, and time that passes.
func (w *watcher) hasScreen() bool { return w.seen.batch != nil && w.display.wantsDetails() }

// lostNote says that the API server is away.
const lostNote = "Lost the batch, and trying again"

func (w *watcher) show(ctx context.Context) error {
	now := time.Now()
	if w.lost == nil && w.display.wantsDetails() && (now.Sub(w.loaded) >= detailsInterval || w.seen.state() != w.last.State) {
		read, err := w.cluster.load(ctx, w.seen.batch)
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
	w.last = w.seen.report(w.details.slices, w.details.events, missing)
	w.last.Pace = w.meter.pace(now)
	return w.display.show(&w.last)
}
