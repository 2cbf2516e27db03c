// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// The invariants. A run ends with the first that does not hold.
const (
	noResultIsLost     = "every user that is still wanted gets a result, unless the API never serves it"
	mailboxIsCurrent   = "what is known of an owner is what it can record"
	createdIsProven    = "Created is what an answer proved to the owner that the request was for"
	createdOnce        = "one creation is Created for one owner at most"
	existingExists     = "Existing is only who exists"
	doubtIsTold        = "Unconfirmed is whom a request may have created whose answer was lost"
	doubtHasCause      = "Unconfirmed is only whom such a request may have created"
	doubtsAreHandedOn  = "doubts go to the owner's next account, with the time until which the API may be working on the users"
	keyIsRejected      = "a key is called rejected only after an answer that is about the key"
	blameIsJust        = "Invalid is only whom the API does not accept, as sections 3.1 and 4 of the design say"
	oneRequestAtATime  = "no username is in two running requests of a key"
	settledIsNotSent   = "no user is sent that has a result"
	unwantedIsNotSent  = "no user is sent that its owner does not want as it is sent"
	namedIsNotSent     = "no user is sent that the API named, until it was looked up"
	heldIsNotSent      = "no user is sent while the API may still be working on it"
	requestsAreBounded = "a request has at least one user and at most so many"
	backOffIsKept      = "an API that fails or refuses everything gets one request for one user in each interval"
	retryAfterIsKept   = "no request begins before the time that the API asked for"
	rateIsKept         = "no more requests begin than the rate limiter lets"
	parallelIsBounded  = "no more requests run at once than may, and one before the key is proven"
	waitsEnd           = "whatever is pending has a time at which it goes on, a request that runs, or a slot that it waits for"
	timeGoesOn         = "an account does not decide again and again at the same time"
	slotIsUsed         = "a slot that was wanted and granted without delay is used"
	smallGoSoon        = "the users of a small owner are in one of three requests"
	wishesEnd          = "every wish for a list ends, with a list that is not older"
	oneListAtATime     = "one list is read at a time, under all keys"
	listIsComplete     = "a usable list has everybody who existed when it began, if the API shows them"
	listIsCurrent      = "a usable list has everybody who was Created or Existing since it began"
	listsAreBounded    = "no list begins soon after one that could not be read"
	editIsWanted       = "no full name is written that its owner does not want so"
	editIsOwned        = "a full name is written only of a user that its owner was told it created"
	editIsKept         = "the API has the full names that an owner has recorded"
	nothingIsKept      = "nothing is kept of owners that are gone"
)

// violation is why a run ends.
type violation struct{ invariant, detail string }

func (w *world) violated(invariant, format string, args ...any) {
	panic(violation{invariant, fmt.Sprintf(format, args...)})
}

// checks is what is checked of a run, while it goes on.
type checks struct {
	w        *world
	answered []*call  // by the events of the step
	read     *request // or edit
	answer   alloy.Answer
	gate     gate // before
	isEdited bool // an owner wants something else
}

// before notes the events of a step.
func (x *checks) before(k *simKey, events []any) {
	w, s := x.w, k.seen
	if k.steps++; k.steppedAt != w.now {
		k.steps, k.steppedAt = 0, w.now
	} else if k.steps > 100 {
		w.violated(timeGoesOn, "key %d", k.number)
	}
	x.answered, x.read, x.gate, x.isEdited = nil, nil, k.shell.account.gate, false
	for _, event := range events {
		if e, is := event.(submitted); is {
			x.handedOn(k, e)
			doubts := map[string]time.Duration{}
			for username, until := range e.doubts {
				doubts[username] = k.worldTime(until)
			}
			s.submitted(e, doubts, w.owner(e.ID).stale)
			s.proven, x.isEdited = s.proven || e.KeyAccepted, true
		}
	}
	for _, event := range events {
		if e, is := event.(answered); is {
			x.sees(k, e)
		}
	}
	s.expire(w.now, k.running)
}

// sees notes what an answer means.
func (x *checks) sees(k *simKey, e answered) {
	now, s := x.w.now, k.seen
	if e.answer.RetryAfter > 0 {
		s.asked = max(s.asked, now+min(e.answer.RetryAfter, maxDelay))
	}
	if e.answer.Served() && e.answer.Outcome != alloy.Absent { // a gateway can say that
		s.proven = true
		for _, o := range e.request.owners {
			delete(s.tried, o.id.key())
		}
	}
	if e.request.read != nil || e.request.edit != nil {
		x.read, x.answer = e.request, e.answer
		return
	}
	c := k.ended[e.request]
	delete(k.ended, e.request)
	k.running = slices.DeleteFunc(k.running, func(r *call) bool { return r == c })
	x.answered = append(x.answered, c)
	for n, user := range e.request.users {
		_, named := c.answer.Named[user.Username]
		if (named || c.answer.Outcome == alloy.NoneValid) && s.isWantedOnlyAs(user, nil) {
			s.named[user.Username] = user
		}
		held := time.Duration(0)
		if c.answer.MayBeRunning() {
			held = now + x.w.options.RequestTimeout
		}
		if o := e.request.rows[n].owner; c.answer.InDoubt() && s.owners[o.id.key()].id == o.id {
			s.owners[o.id.key()].lost(user.Username, held)
		}
		switch {
		case c.answer.InDoubt():
			s.doubt(user.Username, held, true)
		case c.answer.Outcome == alloy.Accepted && c.answer.Unmatched > 0 && !named:
			s.doubt(user.Username, 0, false)
			s.unmatched[user.Username] = true
		case len(e.request.users) == 1 && c.answer.Outcome != alloy.Accepted && c.answer.Outcome != alloy.Redirected:
			s.lone[user.Username] = loneRefusal{c.cause, user, e.request.isolation}
		}
	}
}

// decided checks a decision.
func (x *checks) decided(k *simKey, events []any, d decision) {
	w, s := x.w, k.seen
	settled := s.settledBy(d)
	for _, u := range d.updates {
		id := u.owner.id
		for _, username := range slices.Sorted(maps.Keys(u.results)) {
			result := u.results[username]
			w.log("key %d: %s is told %s: %s", k.number, id.Name, username, result)
			if result.State == Identified {
				continue
			}
			x.result(k, id, result)
			if result.State != Invalid {
				k.told[username] = w.now
			}
			if o := s.owners[id.key()]; o != nil && o.id == id {
				o.told[username] = result
			}
		}
		if u.failed != nil {
			answer := u.failed.Answer
			w.log("key %d: %s is told of %s %d", k.number, id.Name, answer.Outcome, answer.StatusCode)
			isForbidden := answer.StatusCode == http.StatusForbidden && answer.RetryAfter == 0
			isAboutKey := answer.StatusCode == http.StatusUnauthorized || isForbidden && !s.proven
			if u.failed.KeyRejected && !isAboutKey {
				w.violated(keyIsRejected, "%s is told so of %d", id.Name, answer.StatusCode)
			}
		}
	}
	s.settled(w.now, settled)
	for _, gone := range d.released {
		x.released(k, gone)
	}
	x.circuit(k)
	if d.request != nil {
		x.begins(k, d.request)
	}
	x.waits(k, events, d)
}

// circuit notes whether an answer opened the circuit or closed it. Requests that ran together fail once.
func (x *checks) circuit(k *simKey) {
	a, s := k.shell.account, k.seen
	began, only := time.Duration(0), ownerKey{}
	if x.read != nil {
		if began = k.worldTime(x.read.began); x.answer.Outcome != alloy.Unauthorized {
			only = x.read.suspect().owner
		}
	}
	for _, c := range x.answered {
		if c.answer.InDoubt() && len(c.request.users) > 1 && !a.gate.isOpen() {
			x.w.violated(backOffIsKept, "the circuit is closed after request of %v", c.request.began)
		}
		if began = c.began; c.answer.Outcome != alloy.Unauthorized {
			only = c.request.suspect().owner
		}
	}
	switch {
	case !a.gate.isOpen(): // perhaps because nobody wants the refused users any more
		s.failure = seenFailure{}
	case len(x.answered) == 0 && x.read == nil:
	case a.gate.failedAt < k.accountTime(x.w.now): // it failed alone
		if a.gate.suspect.owner != x.gate.suspect.owner {
			s.failure.owner = ownerKey{}
		}
	case a.gate.failedAt != x.gate.failedAt || a.gate.suspect != x.gate.suspect:
		until := k.worldTime(a.gate.until)
		if x.isEdited && refuses(s.failure.outcome) && until != s.failure.until { // nobody wanted the refused users any more
			s.failure = seenFailure{}
		}
		if !s.fail(x.w.now, began, until, a.gate.answer.Outcome, only, x.w.options.BackOff) {
			x.w.violated(backOffIsKept, "the next probe is in %v", until-x.w.now)
		}
	}
}

// waits checks that what is pending goes on.
func (x *checks) waits(k *simKey, events []any, d decision) {
	w, a := x.w, k.shell.account
	isStuck := a.turns.running == 0 && a.lists.running == nil && !d.wantSlot && !d.wantListSlot && d.wakeAt == never
	if len(a.queue.owners) > 0 && isStuck {
		w.violated(waitsEnd, "key %d: %d owners", k.number, len(a.queue.owners))
	}
	if !d.isDone && isStuck {
		w.violated(waitsEnd, "key %d is not done", k.number)
	}
	isGranted := len(events) == 1 && events[0] == any(granted{})
	if isForList := len(events) == 1 && events[0] == any(granted{isForList: true}); isForList && d.request == nil && d.wantListSlot {
		w.violated(slotIsUsed, "key %d, for a list", k.number)
	}
	if isGranted && d.request == nil && d.wantSlot {
		w.violated(slotIsUsed, "key %d", k.number)
	}
}
