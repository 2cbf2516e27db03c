package sender

import (
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// sizePause is how long nothing larger is sent than what passed after a request was too large or too slow.
const sizePause = time.Hour

// answered notes what an answer to a request to create users means for each of them.
func (a *account) answered(now time.Duration, r *request, answer alloy.Answer) {
	for _, o := range r.owners {
		o.inFlight--
		o.triedAt = now
	}
	if r.shared {
		a.turns.sharing, a.turns.sharedAt, a.turns.gatherSince = false, now, now
	}
	if r.isolation != nil {
		r.isolation.busy = false
	}
	if answer.Outcome == alloy.Forbidden && answer.RetryAfter > 0 {
		answer.Outcome = alloy.Deferred // some APIs limit rates with 403
	}
	switch {
	case answer.Served():
		a.served(now, r, answer)
	case answer.Outcome == alloy.Unauthorized, answer.Outcome == alloy.Forbidden && !a.gate.proven:
		a.failed(now, r, answer, a.options.BackOff.Key)
	case answer.InDoubt():
		a.lost(now, r, answer)
	case answer.Outcome == alloy.Deferred, answer.RetryAfter > 0:
		a.failed(now, r, answer, a.options.BackOff.API)
	default:
		a.gate.pass()
		a.passedAt = now
		a.refused(now, r, answer)
	}
	if r.shared {
		a.awaitAcknowledgements(r)
	}
	a.releaseAll(now, r)
	a.sweep(now)
}

// awaitAcknowledgements lets users gather until the owners have recorded what a shared request brought.
func (a *account) awaitAcknowledgements(r *request) {
	a.turns.sequence, a.turns.unrecorded = r.number, 0
	for _, o := range r.owners {
		if u := a.outbox.byID[o.id]; u != nil && u.notify && u.sequence == 0 {
			u.sequence = r.number
			a.turns.unrecorded++
		}
	}
}

// releaseAll forgets the owners of a request that have no unsettled users.
func (a *account) releaseAll(now time.Duration, r *request) {
	for _, row := range r.rows {
		if e := row.entry; e.place == inFlight && !e.isWanted() && a.queue.index[row.user.Username] == e {
			a.queue.passOn(now, e, row.user.Username, row.owner.heldUntil)
		}
	}
	for _, o := range r.owners {
		a.releaseIfDone(o)
	}
}

// releaseIfDone forgets an owner without unsettled users.
func (a *account) releaseIfDone(o *owner) {
	if o.open == 0 && o.inFlight == 0 && a.queue.owners[o.id.key()] == o {
		a.outbox.gone = append(a.outbox.gone, released{o.id, a.queue.release(o)})
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
		if _, is := isolated[o]; !is {
			a.recover(o)
		}
	}
	creations := 0
	for _, row := range r.rows {
		_, named := answer.Named[row.user.Username]
		switch e := row.entry; {
		case answer.Outcome == alloy.AllExist:
			a.exists(now, e, row.user, false)
		case answer.Outcome == alloy.Accepted && !named && answer.Unmatched == 0:
			a.created(now, row)
			a.verification.witness = witness{row.user.Username, r.number}
			creations++
		case !e.isWanted(): // of whom nothing is known
			e.inDoubt = e.inDoubt || !named && answer.Outcome == alloy.Accepted
		case e.user() != row.user:
			a.queue.putBack(e)
		default:
			a.verification.add(now, e, named || answer.Outcome == alloy.NoneValid, r.number)
		}
	}
	if creations > 0 {
		a.unblock(now)
	}
	if i := r.isolation; i != nil {
		if i.largest = max(i.largest, len(r.rows)); creations == 0 {
			return
		}
		for _, blamed := range i.created() {
			if blamed.entry.isWanted() {
				a.invalid(now, blamed.entry, blamed.answer.Message)
			}
		}
	}
}

// isolatedOwners returns the owners with users in an isolation: what was said of these still holds.
func (a *account) isolatedOwners() map[*owner]struct{} {
	owners := map[*owner]struct{}{}
	for _, i := range a.isolations {
		for _, e := range i.all() {
			owners[e.owner()] = struct{}{}
		}
	}
	return owners
}

// unblock lets requests begin again that waited because the API seemed to refuse all of them.
func (a *account) unblock(now time.Duration) {
	for _, i := range a.isolations {
		if i.pause.blocks {
			i.pause.blocks = false
			i.pause.until = min(i.pause.until, now+a.options.BackOff.Refused.Min)
		}
	}
}

// failed notes a failure that says nothing of the users: they have not been created, and wait.
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
	a.tellAll(r, answer, a.gate.next(), r.isolation != nil)
}

// rest puts the users of a request that are still wanted as they were sent into another place, and returns them. Other rows
// for their usernames go next.
func (a *account) rest(r *request, place place) (users []*entry) {
	for _, row := range r.rows {
		switch e := row.entry; {
		case !e.isWanted() || e.place != inFlight:
		case e.user() != row.user:
			a.queue.putBack(e)
		case place == waiting:
			a.queue.putBack(e)
		default:
			e.place = place
			users = append(users, e)
		}
	}
	return users
}

// lost notes that an answer was lost, so that the users may have been created.
func (a *account) lost(now time.Duration, r *request, answer alloy.Answer) {
	repeated := false // although a smaller request passed since
	for _, o := range r.owners {
		repeated = repeated || o.failedAt > 0 && a.passedAt > o.failedAt
		o.failedAt = now
		if answer.MayBeRunning() {
			o.heldUntil = max(o.heldUntil, now+a.options.RequestTimeout)
		}
	}
	if r.isolation != nil && answer.MayBeRunning() {
		r.isolation.pause.held = now + a.options.RequestTimeout
	}
	for _, row := range r.rows {
		row.entry.inDoubt = true
	}
	i := r.isolation
	isLone := len(r.rows) == 1 && (i == nil && repeated || i != nil && (i.pause.lone || a.passedAt > i.failedAt))
	switch {
	case isLone: // it fails alone: that is no failure of the API
		a.gate.pause(now, answer)
		a.setApart(now, r, answer)
	case i == nil && repeated:
		a.gate.fail(now, r.began, answer, a.options.BackOff.API, "")
		a.isolate(now, a.rest(r, isolated), answer)
		a.tellAll(r, answer, a.gate.next(), true)
	default:
		a.failed(now, r, answer, a.options.BackOff.API)
	}
}
