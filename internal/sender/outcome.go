package sender

import (
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// answered notes what an answer to a request to create users means for each of them.
func (a *account) answered(now time.Duration, r *request, answer alloy.Answer) {
	for _, o := range r.owners {
		o.inFlight--
		o.triedAt = now
	}
	if r.isolation != nil {
		r.isolation.busy = false
	}
	if isRefusal := !answer.Served() && !answer.InDoubt() && answer.Outcome != alloy.Unauthorized; isRefusal && answer.RetryAfter > 0 {
		answer.Outcome = alloy.Deferred // some APIs limit rates with 403
	}
	switch {
	case answer.Served():
		a.served(now, r, answer)
	case answer.Outcome == alloy.Unauthorized, answer.Outcome == alloy.Forbidden && !a.gate.proven:
		a.failed(now, r, answer, a.options.BackOff.Key)
	case answer.InDoubt():
		a.lost(now, r, answer)
	case answer.Outcome == alloy.Deferred:
		a.failed(now, r, answer, a.options.BackOff.API)
	default:
		a.gate.pass()
		a.passedAt = now
		a.refused(now, r, answer)
	}
	for _, row := range r.rows { // of users that nobody wants any more
		if e := row.entry; e.place == inFlight && !e.isWanted() && a.queue.index[row.user.Username] == e {
			a.queue.passOn(now, e, row.user.Username, row.owner.heldUntil)
		}
	}
	a.sweep(now)
	if !r.shared {
		return
	}
	// Users gather until the owners have recorded what the request brought.
	a.turns.sharing, a.turns.sharedAt, a.turns.gatherSince, a.turns.sequence, a.turns.unrecorded = false, now, now, r.number, 0
	for _, o := range r.owners {
		if u := a.outbox.updates[o.id]; u != nil && u.notify {
			u.sequence = r.number
			a.turns.unrecorded++
		}
	}
}

// serves notes that the API serves requests under this key.
func (a *account) serves(now time.Duration, answer alloy.Answer) {
	a.gate.proven, a.passedAt = true, now
	a.gate.pass()
	a.gate.pause(now, answer)
}

// served notes an answer that judges each user of a request.
func (a *account) served(now time.Duration, r *request, answer alloy.Answer) {
	a.serves(now, answer)
	isolated := a.isolatedOwners()
	for _, o := range r.owners {
		u := a.outbox.to(o)
		u.served, u.notify, u.unmatched = true, true, answer.Unmatched > 0
		if o.triedAt = 0; len(r.rows) > 1 {
			o.failedAt = 0
		}
		if !isolated[o] { // else what was said of the isolation still holds
			a.recover(o)
		}
	}
	creations := 0
	for _, row := range r.rows {
		_, named := answer.Named[row.user.Username]
		e, unproven := row.entry, answer.Outcome == alloy.Accepted && !named && answer.Unmatched > 0
		e.inDoubt = e.inDoubt || unproven
		switch {
		case answer.Outcome == alloy.Accepted && !named && !unproven:
			a.created(now, row)
			a.verification.witness = witness{row.user.Username, r.number}
			creations++
		case !e.isWanted():
		case answer.Outcome == alloy.AllExist:
			a.exists(now, e, row.user)
		case e.user() != row.user: // another row goes next
			a.queue.putBack(e)
		default:
			a.verification.add(now, e, !unproven, r.number)
		}
	}
	if r.isolation != nil {
		r.isolation.largest = max(r.isolation.largest, len(r.rows))
	}
	if creations > 0 {
		a.unblock(now, r.isolation)
	}
}

// failed notes a failure that says nothing of the users: they wait where they were.
func (a *account) failed(now time.Duration, r *request, answer alloy.Answer, b BackOff) {
	only := ""
	if len(r.rows) == 1 && answer.InDoubt() {
		only = r.rows[0].user.Username
	}
	a.gate.fail(now, r.began, answer, b, only)
	if r.isolation == nil {
		a.rest(r, waiting)
	} else {
		r.isolation.failed(now, a.rest(r, isolated), answer)
	}
	a.tellAll(now, r, answer, a.gate.next(), r.isolation != nil)
	if e := r.rows[0].entry; only != "" && e.isWanted() {
		a.queue.yield(now, e)
	}
}

// lost notes that an answer was lost, so that the users may have been created.
func (a *account) lost(now time.Duration, r *request, answer alloy.Answer) {
	i, repeated := r.isolation, false // repeated: the API has served others since it failed on these users
	for _, o := range r.owners {
		repeated = repeated || i == nil && o.failedAt > 0 && a.passedAt > o.failedAt
		o.failedAt = now
	}
	if i != nil {
		repeated = i.pause.lone || a.passedAt > i.failedAt
	}
	for _, row := range r.rows {
		row.entry.inDoubt = true
		if answer.MayBeRunning() {
			row.owner.heldUntil = now + a.options.RequestTimeout
			if e := row.entry; e.isWanted() { // perhaps by another one by now
				e.owner().heldUntil = now + a.options.RequestTimeout
			}
		}
	}
	switch {
	case repeated && len(r.rows) == 1: // it fails alone: that is no failure of the API
		a.gate.pause(now, answer)
		i = a.setApart(now, r, answer)
	case repeated && i == nil:
		a.gate.fail(now, r.began, answer, a.options.BackOff.API, "")
		i = a.isolate(now, r, a.rest(r, isolated), answer)
		a.tellAll(now, r, answer, a.gate.next(), true)
	default:
		a.failed(now, r, answer, a.options.BackOff.API)
	}
	if i != nil && answer.MayBeRunning() {
		i.pause.held = now + a.options.RequestTimeout
	}
}

// rest puts the users of a request that are still wanted as they were sent into another place, and returns them. Other rows
// for their usernames wait.
func (a *account) rest(r *request, place place) (users []*entry) {
	for _, row := range r.rows {
		switch e := row.entry; {
		case !e.isWanted() || e.place != inFlight:
		case place == waiting || e.user() != row.user:
			a.queue.putBack(e)
		default:
			e.place = place
			users = append(users, e)
		}
	}
	return users
}

// tellAll tells the owners of a request that it failed. The API's words are for a single one.
func (a *account) tellAll(now time.Duration, r *request, answer alloy.Answer, next time.Duration, isolating bool) {
	if len(r.owners) > 1 {
		answer = unspoken(answer)
	}
	for _, o := range r.owners {
		if o.open > 0 {
			a.fail(o, now, next, Attempt{Answer: answer, Isolating: isolating})
		}
	}
}
