// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// Events of an account.
type (
	// submitted replaces what an owner wants. Without work the owner is to be released.
	submitted struct {
		Work
		leaves    bool                     // the owner withdraws, or is another one from now on
		doubts    map[string]time.Duration // usernames that are in doubt, and until when the API may be working on them
		notBefore time.Duration            // as the work says
	}
	// answered is the end of a request.
	answered struct {
		request *request
		answer  alloy.Answer
		found   map[string]struct{} // of the names looked for in a list
		listing *Listing            // that was read; nil for other requests
		lags    bool                // it lacks a user that was created before
	}
	// wantList asks for a list.
	wantList struct {
		since    time.Duration // it must not have begun earlier
		isKept   bool          // there is one
		accepted bool          // the API is known to have served the key
	}

	granted    struct{ isForList bool } // a slot: one more request may run; the decision uses or returns it
	stopped    struct{}                 // no more requests begin
	wasPartial struct{}                 // a list lacked a user that exists
	asked      chan<- Stats             // somebody wants to know how the account is
	// wish is in an inbox: somebody asks for a list that begins then or later, perhaps with userIds. It becomes a wantList.
	wish struct {
		since   time.Time
		withIDs bool
	}
)

// decision is what the shell has to do after a step.
type decision struct {
	request      *request      // to send, in the slot that was granted: at most one
	updates      []*update     // to deliver
	released     []released    // owners of which the account knows nothing more
	wantSlot     bool          // a request could begin now
	listed       *listEnd      // of the list that was being read, or that cannot be read now
	forgetsList  bool          // nobody has asked for the last list for a while
	wantListSlot bool          // a list could begin now
	wakeAt       time.Duration // when the next step is due without an event
	isDone       bool          // nothing would be lost with the account
}

// listEnd is the end of a list, or of a wish for one.
type listEnd struct {
	began    time.Duration
	answer   alloy.Answer
	listing  *Listing // nil if none was read
	isWished bool     // and the wish is over
}

// step is all that an account decides: what some events mean, and what is to be done now. Times are since the account began.
func (a *account) step(now time.Duration, events ...any) (d decision) {
	for _, event := range events {
		a.handle(now, event)
	}
	a.endWish(now)
	d.wakeAt = min(a.queue.expire(now), a.tellWaiting(now))
	next := a.choose(now)
	if next.at <= now && slices.Contains(events, any(granted{})) {
		d.request = next.form()
		d.request.waited, a.turns.readyAt = now-a.turns.readyAt, never
		next = a.choose(now)
	}
	list := a.listTurn(now, next)
	if list.at <= now && slices.Contains(events, any(granted{isForList: true})) {
		d.request = list.form()
		next, list = a.choose(now), turn{at: never}
	}
	if d.wantSlot = next.at <= now; !d.wantSlot {
		d.wakeAt = min(d.wakeAt, next.at)
	}
	if d.wantListSlot = list.at <= now; !d.wantListSlot {
		d.wakeAt = min(d.wakeAt, list.at)
	}
	forgets, forgetAt := a.lists.forget(now)
	d.forgetsList, d.wakeAt = forgets, min(d.wakeAt, forgetAt)
	for _, u := range a.told.updates {
		u.owner.news = nil
		a.releaseIfDone(u.owner)
	}
	d.updates, d.released, d.listed, a.told = a.told.updates, a.told.released, a.told.listed, decision{}
	if a.isIdle() {
		doneAt := max(a.freshAt(now), a.edits.heldUntil(), a.lists.keptUntil, a.lists.notBefore, a.lists.pausedUntil, a.lists.partialUntil)
		d.isDone, d.wakeAt = doneAt <= now, min(d.wakeAt, doneAt)
	}
	d.isDone = d.isDone || a.turns.stopped && a.turns.running == 0 && a.lists.running == nil
	return d
}

// isIdle reports whether an account has nothing to do, and freshAt returns when a new one would send as soon.
func (a *account) isIdle() bool {
	isQuiet := a.turns.running == 0 && a.lists.running == nil && a.lists.wished == 0
	return isQuiet && len(a.queue.owners) == 0 && len(a.queue.index) == 0
}

func (a *account) freshAt(now time.Duration) time.Duration {
	return max(a.gate.tokensAt(now, a.gate.limiter.Burst()), a.gate.next(), a.turns.sharedAt+a.options.SharePause)
}

// handle does what an event means.
func (a *account) handle(now time.Duration, event any) {
	switch e := event.(type) {
	case submitted:
		a.submit(now, e)
	case answered:
		if !e.request.isList() {
			a.turns.running--
		}
		a.gate.pause(now, e.answer)
		if o := e.answer.Outcome; e.answer.RetryAfter > 0 && o != alloy.Unauthorized && !e.answer.InDoubt() && !e.answer.Served() {
			e.answer.Outcome = alloy.Deferred // some APIs limit rates with 403
		}
		a.wasAnswered(now, e)
	case wantList:
		a.wantList(now, e)
	case wasPartial:
		a.lists.wasPartial(now)
		for _, found := range a.queue.index { // what it lacked may exist
			found.wasAbsent = false
		}
	case asked:
		e <- a.stats(now)
	case stopped:
		a.turns.stopped = true
	}
}

// wasAnswered notes what the answer to a request means.
func (a *account) wasAnswered(now time.Duration, e answered) {
	switch {
	case e.request.isList():
		a.wasListed(now, e)
	case e.request.edit != nil:
		a.wasEdited(now, e.request, e.answer)
	case e.request.read != nil:
		a.wasRead(now, e.request, e.answer, e.found)
	default:
		a.answered(now, e.request, e.answer)
	}
	for _, o := range e.request.owners {
		a.releaseIfDone(o)
	}
}

func (a *account) submit(now time.Duration, e submitted) {
	a.gate.proven = a.gate.proven || e.KeyAccepted
	if e.leaves && a.queue.owners[e.ID.key()] == nil {
		a.told.released = append(a.told.released, released{id: e.ID, isUnknown: true})
		return
	}
	o := a.queue.submit(now, e.ID, e.Users)
	for username, until := range e.doubts {
		if a.queue.index[username].claimOf(o) >= 0 {
			a.queue.doubt(a.queue.index[username], until)
		}
	}
	for _, username := range e.Known {
		if a.queue.index[username].claimOf(o) >= 0 {
			a.queue.index[username].known = true
		}
	}
	isAbsent := make(map[string]bool, len(e.Absent))
	for _, username := range e.Absent {
		isAbsent[username] = true
	}
	for _, user := range e.Users { // a newer list may show a user that an earlier one lacked
		if found := a.queue.index[user.Username]; found.claimOf(o) >= 0 {
			found.wasAbsent = isAbsent[user.Username]
		}
	}
	a.edits.submit(o, e.Edits)
	o.notBefore, a.tellAt = e.notBefore, min(a.tellAt, now+a.options.NoticeDelay)
	a.sweep(now)
	a.releaseIfDone(o)
}

// releaseIfDone lets go of an owner without unsettled users.
func (a *account) releaseIfDone(o *owner) {
	if o.open > 0 || o.inFlight > 0 || a.queue.owners[o.id.key()] != o {
		return
	}
	gone := released{id: o.id, doubts: map[string]time.Duration{}}
	for _, user := range o.wanted {
		if e := a.queue.index[user.Username]; e != nil && e.inDoubt {
			gone.doubts[user.Username] = e.held
		}
	}
	delete(a.queue.owners, o.id.key())
	a.told.released = append(a.told.released, gone)
}

func (a *account) choose(now time.Duration) turn {
	a.queue.ready = slices.DeleteFunc(a.queue.ready, func(o *owner) bool { return o.waiting == 0 })
	parallel := a.options.RequestsPerKey
	if !a.gate.proven || a.gate.isOpen() {
		parallel = 1
	}
	var next turn
	since := a.turns.readyAt
	a.turns.readyAt = never
	switch {
	case a.turns.stopped || a.turns.running >= parallel:
		return turn{at: never}
	case a.gate.asked > now:
		return turn{at: a.gate.asked}
	case a.gate.isOpen():
		next = a.early(now).or(a.probe(now))
	default:
		next = a.inTurn(now)
	}
	if next.at <= now {
		a.turns.readyAt = min(since, now)
		next.at = a.gate.tokensAt(now, 1)
	}
	return next
}
