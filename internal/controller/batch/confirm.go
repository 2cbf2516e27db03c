// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
)

const actionConfirmUsers = "ConfirmUsers"

// minListRetry and maxListRetry bound the back-off after a list that could not be had.
const (
	minListRetry = 10 * time.Second
	maxListRetry = 15 * time.Minute
)

// listSafetyNet is when a batch that waits for a list asks again although nothing happened.
const listSafetyNet = time.Minute

// lookup is how far looking up a batch's users has come. It is in memory only: after a restart it begins anew.
type lookup struct {
	steps

	wish      wish
	began     time.Time
	since     time.Time     // the list must have begun then or later
	meanwhile confirmation  // holds until since, if that is still to come
	list      AccountList   // nil until there is one
	tries     int           // lists from which no userIds could be learned
	another   tally         // what was found under another account's key
	approval  string        // with which that is accepted; empty unless it was found
	result    *confirmation // what the look-up has shown; nil while it goes on
}

// steps are what a look-up does once at most, if it was done.
type steps struct {
	probed    bool // the users of one slice that the list lacks were sent, to find out whether the list is complete
	retried   bool // the users that the API rejected were sent again
	corrected bool // the results have the full names that the list shows
	sentAll   bool // all users were sent, because there is no usable list
}

// wait has the look-up go on with another list after the delay of a confirmation, which holds until then.
func (l *lookup) wait(now time.Time, c confirmation) {
	l.list, l.since, l.meanwhile = nil, now.Add(c.later), c
}

// hasAsked reports whether users were sent again.
func (l *lookup) hasAsked() bool { return l.probed || l.retried || l.sentAll }

// confirm takes the next step in looking up the users of a batch, if that is wished and nothing is in the way: it compares the results
// with the account's list, and has users sent again that the list lacks.
func (r *Reconciler) confirm(ctx context.Context, v view, key keyFacts, o obstacle) (confirmation, error) {
	if o.verdict != nil || key.isUnread {
		return confirmation{}, nil
	}
	now := time.Now()
	interval := r.interval(v.batch)
	w, later := wishOf(v, key, interval, r.began, now)
	if w.cause == noCause {
		r.unfinished.update(v.batch, func(m *memo) { m.lookup = nil })
		return confirmation{later: later}, nil
	}
	next := lookup{wish: w, began: now, since: w.since(now, interval)}
	if known := r.unfinished.get(v.batch).lookup; known != nil && known.wish == w {
		next = *known
	}
	if next.result != nil {
		return *next.result, nil // the status was not written yet
	}
	c, err := r.lookUp(ctx, v, key, &next, now)
	if c.done != nil {
		next = lookup{wish: w, result: &c}
	}
	r.unfinished.update(v.batch, func(m *memo) { m.lookup = &next })
	return c, err
}

// lookUp takes the next step of a look-up.
func (r *Reconciler) lookUp(ctx context.Context, v view, key keyFacts, l *lookup, now time.Time) (confirmation, error) {
	if l.approval != "" && v.batch.Annotations[v1alpha1.AnnotationApprove] != l.approval {
		return accountChanged(l.another, l.approval), nil
	}
	if l.since.IsZero() { // what is approved is looked up once more
		l.since = now
	}
	if wait := l.since.Sub(now); wait > 0 {
		l.meanwhile.later = wait
		return l.meanwhile, nil
	}
	if asked := countAsked(v.slices); asked > 0 && l.hasAsked() && !v.batch.SendsNothing() {
		return l.wish.confirming(fmt.Sprintf("%d users are being sent again", asked)), nil
	}
	if l.list == nil || l.list.IsUsable() { // the sender adds users that it creates to the newest list only
		if l.list = r.newest(v, key, l.since); l.list == nil {
			return l.reading(), nil
		}
	}
	switch {
	case l.wish.cause == identifying:
		return r.identify(ctx, v, l, now)
	case !l.list.IsUsable():
		return r.withoutList(ctx, v, key, l, now)
	case l.wish.cause != otherKey && v.batch.Mode == v1alpha1.ModeObserve:
		return r.observe(ctx, v, key, l)
	default:
		return r.withList(ctx, v, key, l)
	}
}

// withList goes on when there is a usable list.
func (r *Reconciler) withList(ctx context.Context, v view, key keyFacts, l *lookup) (confirmation, error) {
	t, err := r.compare(ctx, v, l.list)
	if err != nil {
		return confirmation{}, err
	}
	if l.wish.cause == otherKey {
		return r.adoptKey(ctx, v, key, l, t)
	}
	return r.ask(ctx, v, key, l, t)
}

// newest returns the account's list if it began at some time or later; else nil, and the batch is reconciled once there is one.
func (r *Reconciler) newest(v view, key keyFacts, since time.Time) AccountList {
	r.waiting.Add(key.fingerprint, v.name()) // before the list may come
	list := r.List(key.key, since, v.batch.UpdatePolicy == v1alpha1.UpdatePolicyUpdate)
	if list != nil {
		r.waiting.Remove(key.fingerprint, v.name())
	}
	return list
}

// Listed has the batches reconciled that wait for the list of an account, given by the fingerprint of its key.
func (r *Reconciler) Listed(fingerprint string) {
	for name := range r.waiting.Take(fingerprint) {
		r.queue.Add(reconcile.Request{NamespacedName: name})
	}
}

// adoptKey has users created under another key that are missing there, unless that may be another account's. What is to be sent is
// recorded before the status has the key, and nothing is sent before that.
func (r *Reconciler) adoptKey(ctx context.Context, v view, key keyFacts, l *lookup, t tally) (confirmation, error) {
	approval := t.approval(v.batch, key.fingerprint)
	if t.isOtherAccount() && v.batch.Annotations[v1alpha1.AnnotationApprove] != approval {
		l.another, l.approval, l.list, l.since = t, approval, nil, time.Time{}
		return accountChanged(t, approval), nil
	}
	return r.finish(ctx, v, key, l, t)
}

// observe records which users exist.
func (r *Reconciler) observe(ctx context.Context, v view, key keyFacts, l *lookup) (confirmation, error) {
	err := r.rewrite(ctx, v, 0, func(slice *v1alpha1.EmbeddedUserSlice) ([]v1alpha1.UserResult, int) {
		return ledger.Observe(slice, l.list.Has)
	})
	if err != nil {
		return confirmation{}, err
	}
	return r.finish(ctx, v, key, l, tally{})
}

// finish ends a look-up once the users are pending that the list lacks.
func (r *Reconciler) finish(ctx context.Context, v view, key keyFacts, l *lookup, t tally) (confirmation, error) {
	r.tellMissing(v, t)
	if err := r.rewrite(ctx, v, 0, l.missing); err != nil {
		return confirmation{}, err
	}
	if err := r.correct(ctx, v, l, t); err != nil {
		return confirmation{}, err
	}
	if err := r.disown(ctx, v, l); err != nil {
		return confirmation{}, err
	}
	return confirmed(l, key, l.list.Began()), nil
}

// missing returns the results of a slice in which the users are pending that the list lacks.
func (l *lookup) missing(slice *v1alpha1.EmbeddedUserSlice) ([]v1alpha1.UserResult, int) {
	return ledger.Ask(slice, func(result v1alpha1.UserResult) v1alpha1.PendingReason {
		if ledger.Exists(result) && !l.list.Has(result.Username) {
			return v1alpha1.PendingMissing
		}
		return ""
	})
}

// tellMissing counts the users that are missing, and records an event if there are any.
func (r *Reconciler) tellMissing(v view, t tally) {
	if t.missing > 0 {
		r.Missing(t.missing)
		r.Recorder.Eventf(v.batch, nil, corev1.EventTypeWarning, v1alpha1.ReasonUsersMissing, actionConfirmUsers,
			"%d of %d users that existed are missing in the Alloy account; creating them again", t.missing, t.known)
	}
}

// ask has users sent again: first those that the API rejected, then those that the list lacks. Of the latter those of one slice go
// first, because the list may be incomplete. If there are none the look-up is over.
func (r *Reconciler) ask(ctx context.Context, v view, key keyFacts, l *lookup, t tally) (confirmation, error) {
	if t.retriable > 0 && !l.retried {
		if err := r.rewrite(ctx, v, 0, retried); err != nil {
			l.retried = errors.Is(err, errCacheBehind)
			return confirmation{}, err
		}
	}
	if err := r.correct(ctx, v, l, t); err != nil {
		return confirmation{}, err
	}
	if t.missing == 0 {
		return confirmed(l, key, l.list.Began()), nil
	}
	most := 0
	if !l.probed {
		most = 1
		r.tellMissing(v, t)
	}
	err := r.rewrite(ctx, v, most, l.missing)
	l.probed = l.probed || errors.Is(err, errCacheBehind)
	return l.wish.confirming("Users are missing"), err
}

// retried returns the results of a slice in which the users are pending that the API rejected.
func retried(slice *v1alpha1.EmbeddedUserSlice) ([]v1alpha1.UserResult, int) {
	return ledger.Ask(slice, func(result v1alpha1.UserResult) v1alpha1.PendingReason {
		if ledger.Exists(result) {
			return ""
		}
		return v1alpha1.PendingRetry
	})
}

// withoutList goes on when there is no usable list: results under another key are kept as they are; otherwise each slice is sent once.
func (r *Reconciler) withoutList(ctx context.Context, v view, key keyFacts, l *lookup, now time.Time) (confirmation, error) {
	c := unavailable(describe(l.list))
	switch isRejected := l.list.Answer().Outcome == alloy.Unauthorized; {
	case isRejected, v.batch.Mode == v1alpha1.ModeObserve:
		if c.verdict = retryingList(l.list); isRejected {
			c.verdict = rejectedKey(l.list)
		}
		c.later = min(max(now.Sub(l.began), minListRetry), maxListRetry)
		l.wait(now, c)
		return c, nil
	case l.wish.cause == otherKey:
		if err := r.disown(ctx, v, l); err != nil {
			return confirmation{}, err
		}
		return kept(l, key), nil
	case !l.sentAll:
		err := r.rewrite(ctx, v, 0, everyone)
		if l.sentAll = errors.Is(err, errCacheBehind); err != nil {
			return confirmation{}, err
		}
	}
	return sentInstead(l, key, now), nil
}

// everyone returns the results of a slice in which all users are pending.
func everyone(slice *v1alpha1.EmbeddedUserSlice) ([]v1alpha1.UserResult, int) {
	return ledger.Ask(slice, func(result v1alpha1.UserResult) v1alpha1.PendingReason {
		if ledger.Exists(result) {
			return v1alpha1.PendingUnconfirmed
		}
		return v1alpha1.PendingRetry
	})
}
