// SPDX-License-Identifier: Apache-2.0

package status

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
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
	detailsInterval = 5 * time.Second // of slices and events, and of lists that have changed
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
	seen    sight     // its batch is nil until it was read
	looked  time.Time // when that was last looked at again
	meter   meter
	details details
	loaded  time.Time // when the details were read
	lost    error     // why the batch cannot be followed at the moment
	last    Report
}

// sight is a batch as the API server has it.
type sight struct {
	batch    *v1alpha1.EmbeddedUserBatch
	outdated advice.Advice // why the status is not the last one; empty if it is, as far as somebody can tell who may not read every list
	missing  []string      // what cannot be told
}

func (s sight) isOutdated() bool { return s.outdated != advice.Advice{} }

// state returns the situation of the batch. What became of it before the last change does not count.
func (s sight) state() State {
	if s.isOutdated() {
		return Unseen
	}
	return StateOf(s.batch)
}

// report returns the report on the batch.
func (s sight) report(rows []SliceRow, events []corev1.Event, missing []string) Report {
	r := New(s.batch, rows, events, slices.Concat(missing, s.missing))
	if s.isOutdated() {
		r.Verdict = Verdict{State: s.state(), Do: s.outdated.Do, words: s.outdated.Words}
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
			if !w.hasScreen() && !w.last.State.Ends() && !w.seen.isOutdated() {
				continue
			}
			w.lookAgain(ctx)
		case err := <-failed:
			return w.last, w.ending(ctx, err)
		}
		if err := w.show(ctx); err != nil {
			return w.last, err
		}
		if w.last.State.Ends() && w.isSettled() {
			return w.last, nil
		}
	}
}

// ending returns the error for a batch that is followed no longer.
func (w *watcher) ending(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded) && w.last.State.Ends(): // it would have settled soon
		return nil
	case ctx.Err() != nil:
		return err
	default:
		return access.Explain(err, "watch", access.Batches, w.key) //nolint:wrapcheck // wrapped
	}
}

// isSettled reports whether the batch was watched for as long as it takes to believe its state.
func (w *watcher) isSettled() bool {
	return !isMendable(w.seen.batch) || time.Since(w.began) >= Settling
}

// lookAgain looks now and then whether the status is the last one after all: of an optional list that was created and deleted again
// meanwhile the operator has nothing to write.
func (w *watcher) lookAgain(ctx context.Context) {
	if !w.seen.isOutdated() || time.Since(w.looked) < detailsInterval {
		return
	}
	w.looked = time.Now()
	if seen, err := w.cluster.look(ctx, w.seen.batch); err == nil {
		w.seen = seen
	}
}

// follow sends what the API server says of the batch, and why it says nothing.
func (w *watcher) follow(ctx context.Context, sights chan<- sight, lost chan<- error) error {
	lose := func(err error) { send(ctx, lost, err) }
	//nolint:wrapcheck // says what failed
	return follow.Batch(ctx, w.cluster.client, w.key, func(batch *v1alpha1.EmbeddedUserBatch) bool {
		seen, err := w.cluster.look(ctx, batch)
		if err != nil {
			lose(err)
		}
		for ; err != nil && ctx.Err() == nil; seen, err = w.cluster.look(ctx, batch) {
			select {
			case <-ctx.Done():
			case <-time.After(redrawInterval):
			}
		}
		send(ctx, sights, seen)
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
