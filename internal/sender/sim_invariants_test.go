package sender

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
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
	doubtsAreHandedOn  = "doubts go to the account of the owner's next key"
	blameIsJust        = "Invalid is only whom the API does not accept, as sections 3.1 and 4 of the design say"
	oneRequestAtATime  = "no username is in two running requests of a key"
	settledIsNotSent   = "no user is sent that has a result"
	unwantedIsNotSent  = "no user is sent that its owner does not want as it is sent"
	heldIsNotSent      = "no user is sent while the API may still be working on it"
	requestsAreBounded = "a request has at least one user and at most so many"
	backOffIsKept      = "a failing API gets one request for one user in each interval"
	retryAfterIsKept   = "no request begins before the time that the API asked for"
	rateIsKept         = "no more requests begin than the rate limiter lets"
	parallelIsBounded  = "no more requests run at once than may, and one before the key is proven"
	waitsEnd           = "whatever is pending has a time at which it goes on, a request that runs, or a slot that it waits for"
	timeGoesOn         = "an account does not decide again and again at the same time"
	slotIsUsed         = "a slot that was wanted and granted without delay is used"
	smallGoSoon        = "the users of a small owner are in one of three requests"
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
	answered []*call // by the events of the step
	read     *request
}

// before notes the events of a step.
func (x *checks) before(k *simKey, events []any) {
	w, s := x.w, k.seen
	if k.steps++; k.steppedAt != w.now {
		k.steps, k.steppedAt = 0, w.now
	} else if k.steps > 100 {
		w.violated(timeGoesOn, "key %d", k.number)
	}
	x.answered, x.read = nil, nil
	for _, event := range events {
		switch e := event.(type) {
		case submitted:
			s.submitted(e, w.owner(e.id).stale)
			s.proven = s.proven || e.accepted
		case withdrawn:
			delete(s.owners, e.id.key())
		case acknowledged:
			s.acknowledgedAt = w.now
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
	if e.answer.Served() {
		s.proven = true
	}
	if e.request.read != nil {
		x.read = e.request
		return
	}
	c := k.ended[e.request]
	delete(k.ended, e.request)
	k.running = slices.DeleteFunc(k.running, func(r *call) bool { return r == c })
	x.answered = append(x.answered, c)
	if e.request.shared {
		s.sharedAt = now
	}
	for _, user := range e.request.users {
		_, named := c.answer.Named[user.Username]
		switch {
		case c.answer.InDoubt() && c.answer.MayBeRunning():
			s.doubt(user.Username, now+x.w.options.RequestTimeout, true)
		case c.answer.InDoubt():
			s.doubt(user.Username, 0, true)
		case c.answer.Outcome == alloy.Accepted && c.answer.Unmatched > 0 && !named:
			s.doubt(user.Username, 0, false)
			s.unmatched[user.Username] = true
		case len(e.request.users) == 1 && c.answer.Outcome != alloy.Accepted:
			s.lone[user.Username] = loneRefusal{c.cause, user}
		}
	}
}

// decided checks a decision.
func (x *checks) decided(k *simKey, events []any, d decision) {
	w, s := x.w, k.seen
	settled := map[string]bool{}
	for _, id := range d.outbox.order {
		u := d.outbox.updates[id]
		for _, username := range slices.Sorted(maps.Keys(u.results)) {
			result := u.results[username]
			w.log("key %d: %s is told %s: %s", k.number, id.Name, username, result)
			x.result(k, id, result)
			settled[username] = true
			if o := s.owners[id.key()]; o != nil && o.id == id {
				o.told[username] = result
			}
		}
		if u.failed != nil {
			w.log("key %d: %s is told of %s %d", k.number, id.Name, u.failed.Answer.Outcome, u.failed.Answer.StatusCode)
		}
	}
	for username := range settled {
		delete(s.doubts, username)
	}
	for _, gone := range d.outbox.released {
		x.released(k, gone)
	}
	x.circuit(k)
	if d.request != nil {
		x.begins(k, d.request)
	}
	x.waits(k, events, d)
}

// result checks what an owner is told.
func (x *checks) result(k *simKey, id ID, result Result) {
	w, username := x.w, result.Sent.Username
	exists := w.api.accounts[k.account][username] != nil
	switch result.State {
	case Created:
		x.created(k, id, result)
	case Existing:
		if !exists && !w.api.modes.mixedAllExist && !k.seen.unmatched[username] {
			w.violated(existingExists, "%s", username)
		}
		if k.seen.doubts[username] != nil && !result.Unconfirmed {
			w.violated(doubtIsTold, "%s of %s", username, id.Name)
		}
	case Invalid:
		x.blamed(k, result)
	}
}

// created checks that a user was Created. Where an answer names somebody else and nothing can be read, what the answer does
// not name counts as created.
func (x *checks) created(k *simKey, id ID, result Result) {
	w, username := x.w, result.Sent.Username
	at := slices.IndexFunc(x.answered, func(c *call) bool {
		_, named := c.answer.Named[username]
		isFor := slices.ContainsFunc(c.request.rows, func(r row) bool { return r.owner.id == id && r.user == result.Sent })
		return isFor && !named && c.answer.Outcome == alloy.Accepted && c.answer.Unmatched == 0
	})
	if at < 0 {
		if x.read == nil || !k.seen.unmatched[username] {
			w.violated(createdIsProven, "%s of %s", username, id.Name)
		}
		return
	}
	c := x.answered[at]
	if w.api.modes.echo && !c.creates[username] {
		w.violated(createdIsProven, "%s of %s: request %d did not create it", username, id.Name, c.request.number)
	}
	if c.credited == nil {
		c.credited = map[string]ID{}
	}
	if other, twice := c.credited[username]; twice && other != id {
		w.violated(createdOnce, "%s of %s and %s by request %d", username, id.Name, other.Name, c.request.number)
	}
	c.credited[username] = id
}

// blamed checks that a user is Invalid. The documented exceptions: users that the API names and that cannot be read are
// Invalid although they may exist; a refusal that ends between one request and the next may be blamed on a user; an API that
// skips users that exist and answers that it created them vouches for reads that lag behind.
func (x *checks) blamed(k *simKey, result Result) {
	w, username, trait := x.w, result.Sent.Username, traitOf(result.Sent)
	if x.read != nil {
		isUnread := result.Message != "" && w.api.isUnreadable(w.now)
		isTaken := k.seen.unmatched[username] && !w.api.modes.echo && w.api.modes.reads[x.read.read.way].lag > 0
		if trait != rejected && !isUnread && !isTaken {
			w.violated(blameIsJust, "%s, which the API accepts, after it was looked up", username)
		}
		return
	}
	lone := k.seen.lone[username]
	isCreation := func(c *call) bool {
		return c.request.isolation != nil && c.answer.Outcome == alloy.Accepted && len(c.answer.Named) < len(c.request.users)
	}
	switch {
	case !slices.ContainsFunc(x.answered, isCreation):
		w.violated(blameIsJust, "%s without a creation", username)
	case lone.row != result.Sent:
		w.violated(blameIsJust, "%s was not refused alone", username)
	case lone.cause != trait && !w.api.mayEnd(lone.cause):
		w.violated(blameIsJust, "%s was refused because of %s", username, lone.cause)
	}
}

// isUnreadable reports whether users that exist cannot be found, or could not lately. A list that failed is not read again for
// an hour.
func (a *simAPI) isUnreadable(now time.Duration) bool {
	for way, m := range a.modes.reads {
		lately := []time.Duration{singly: 10 * time.Minute, inList: listPause + 10*time.Minute}[way]
		if failed := a.failedReads[way]; m.status == 0 && m.max == 0 && (failed == 0 || now-failed > lately) {
			return false
		}
	}
	return true
}

// mayEnd reports whether a cause of refusals may have ended meanwhile.
func (a *simAPI) mayEnd(cause string) bool {
	return cause == "a fault" || cause == "quota" && !a.modes.quotaStays
}

// released checks that an account that lets go of an owner tells of the doubts about its users.
func (x *checks) released(k *simKey, gone released) {
	o := k.seen.owners[gone.id.key()]
	if o == nil || o.id != gone.id {
		return
	}
	for username, d := range k.seen.doubts {
		row, wants := o.wants[username]
		if wants && !settles(o.told[username], row) && d.unwanted == 0 && d.hard && !slices.Contains(gone.doubts, username) {
			x.w.violated(doubtsAreHandedOn, "%s of %s", username, o.id.Name)
		}
	}
}

// circuit notes whether an answer opened the circuit or closed it. Requests that ran together fail once.
func (x *checks) circuit(k *simKey) {
	a, s := k.shell.account, k.seen
	only, isNew := suspect{}, x.read == nil || k.worldTime(x.read.began) >= s.failure.at
	for _, c := range x.answered {
		if c.answer.InDoubt() && len(c.request.users) > 1 && !a.gate.isOpen() {
			x.w.violated(backOffIsKept, "the circuit is closed after request %d", c.request.number)
		}
		if c.answer.InDoubt() {
			only = c.request.suspect()
		}
		isNew = c.began >= s.failure.at
	}
	switch {
	case len(x.answered) == 0 && x.read == nil:
	case !a.gate.isOpen():
		s.failure = seenFailure{}
	case a.gate.failedAt == k.accountTime(x.w.now) && isNew: // else it failed alone
		b := x.w.options.BackOff.API
		if o := a.gate.answer.Outcome; (o == alloy.Unauthorized || o == alloy.Forbidden) && a.gate.answer.RetryAfter == 0 {
			b = x.w.options.BackOff.Key
		}
		s.failure.fail(x.w.now, a.gate.answer, b, only)
	}
}

// begins checks a request that begins.
func (x *checks) begins(k *simKey, r *request) {
	w, s := x.w, k.seen
	w.log("key %d: request %d begins: %s", k.number, r.number, describe(r))
	x.limits(k, r)
	if r.read != nil {
		return
	}
	if len(r.users) == 0 || len(r.users) > w.options.MaxUsers {
		w.violated(requestsAreBounded, "request %d has %d users", r.number, len(r.users))
	}
	for n, row := range r.rows {
		username := row.user.Username
		if r.users[n] != row.user {
			w.violated(unwantedIsNotSent, "request %d: %v for %v", r.number, r.users[n], row.user)
		}
		if isIn(k.running, username) || slices.ContainsFunc(r.users[:n], func(u users.User) bool { return u.Username == username }) {
			w.violated(oneRequestAtATime, "%s in request %d", username, r.number)
		}
		o := s.owners[row.owner.id.key()]
		if o == nil || o.id != row.owner.id || o.wants[username] != row.user {
			w.violated(unwantedIsNotSent, "%s of %s in request %d", username, row.owner.id.Name, r.number)
		}
		if settles(o.told[username], row.user) {
			w.violated(settledIsNotSent, "%s of %s in request %d", username, row.owner.id.Name, r.number)
		}
		owner := w.owner(row.owner.id)
		if owner.id() == row.owner.id && owner.key == k && settles(owner.ledger[username], row.user) && !o.stale[username] {
			w.violated(settledIsNotSent, "%s, which %s has recorded, in request %d", username, owner.name, r.number)
		}
		if d := s.doubts[username]; d != nil && d.held > w.now {
			w.violated(heldIsNotSent, "%s in request %d", username, r.number)
		}
	}
	x.turn(k, r)
}

// limits checks when a request begins, whatever is in it.
func (x *checks) limits(k *simKey, r *request) {
	w, s := x.w, k.seen
	now := w.now
	if most := w.options.RequestsPerKey; len(k.running)+k.reading >= most || !s.proven && len(k.running)+k.reading > 0 {
		w.violated(parallelIsBounded, "request %d", r.number)
	}
	if now < s.asked {
		w.violated(retryAfterIsKept, "request %d, %v too soon", r.number, s.asked-now)
	}
	if limit := w.options.RequestsPerSecond; limit > 0 {
		s.tokens = min(float64(w.options.Burst), s.tokens+limit*(now-s.tokensAt).Seconds()) - 1
		if s.tokensAt = now; s.tokens < -1e-3 {
			w.violated(rateIsKept, "request %d", r.number)
		}
	}
	if s.failure.outcome == "" {
		return
	}
	if next := s.failure.next(r); now < next || len(r.users) > 1 {
		w.violated(backOffIsKept, "request %d for %d users, %v too soon", r.number, len(r.users), next-now)
	}
}

// turn checks that requests do not pass over small owners whose users could go together.
func (x *checks) turn(k *simKey, r *request) {
	w, s, a := x.w, k.seen, k.shell.account
	isOpen, passed := !a.gate.isOpen() && a.refusing() == nil, ""
	for name, seen := range s.owners {
		o := a.queue.owners[name]
		if !isOpen || o == nil || o.waiting == 0 || o.waiting >= a.maxUsers(k.accountTime(w.now)) || o.readyAt() > k.accountTime(w.now) || slices.Contains(r.owners, o) {
			seen.ripe = 0
		} else if seen.ripe == 0 {
			seen.ripe = w.now + w.options.Linger + w.options.RecordWait
		}
		ripe := max(seen.ripe, s.sharedAt+w.options.Linger+w.options.RecordWait, s.acknowledgedAt+w.options.Linger)
		if seen.ripe > 0 && ripe <= w.now {
			passed = fmt.Sprintf("%d users of %s", o.waiting, o.id.Name)
		}
	}
	if r.shared || a.turns.sharing || passed == "" {
		s.passed = 0
	} else if s.passed++; s.passed >= 3 {
		w.violated(smallGoSoon, "request %d passes over %s", r.number, passed)
	}
}

func describe(r *request) string {
	if r.read != nil {
		return fmt.Sprintf("read, in list %v: %s", r.read.way == inList, slices.Sorted(maps.Keys(r.read.wanted)))
	}
	kind := "full"
	if r.shared {
		kind = "shared"
	} else if r.isolation != nil {
		kind = fmt.Sprintf("isolated (paused %v, blocks %v, %d held)", r.isolation.isPaused(), r.isolation.pause.blocks, len(r.isolation.held))
	}
	var rows []string
	for _, row := range r.rows {
		rows = append(rows, fmt.Sprintf("%s/%s for %s", row.user.Username, row.user.FullName, row.owner.id.Name))
	}
	return kind + ": " + strings.Join(rows, ", ")
}

// waits checks that what is pending goes on.
func (x *checks) waits(k *simKey, events []any, d decision) {
	w, a := x.w, k.shell.account
	if len(a.queue.owners) > 0 && a.turns.running == 0 && !d.wantSlot && d.wakeAt == never {
		w.violated(waitsEnd, "key %d: %d owners", k.number, len(a.queue.owners))
	}
	if !d.isDone && a.turns.running == 0 && !d.wantSlot && d.wakeAt == never {
		w.violated(waitsEnd, "key %d is not done", k.number)
	}
	isGranted := len(events) == 1 && events[0] == any(granted{})
	if isGranted && d.request == nil && d.wantSlot {
		w.violated(slotIsUsed, "key %d", k.number)
	}
}
