// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"slices"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// sizePause is how long nothing larger is sent than what passed after a request was too large or too slow.
const sizePause = time.Hour

// isolate begins an isolation of users of a request that was refused or failed.
func (a *account) isolate(now time.Duration, users []*entry, alone bool, answer alloy.Answer) *isolation {
	i := &isolation{chance: a.chance, answer: answer, failedAt: now, proven: answer.InDoubt()} // then smaller requests pass
	if a.isolations = append(a.isolations, i); alone {
		i.hold(users[0], answer)
	} else {
		i.divide(users)
	}
	return i
}

// refused notes that the API refuses a request, whatever in it is the cause. If it seems to refuse requests whoever is in them, the
// circuit opens, unless this is a user that it has refused before.
func (a *account) refused(now time.Duration, r *request, answer alloy.Answer) {
	users, i, alone := a.rest(now, r, isolated), r.isolation, len(r.rows) == 1
	asSuch, isNews := answer.Outcome == alloy.Redirected, i == nil || !i.isPaused()
	switch {
	case len(users) == 0:
		return
	case i == nil:
		i, asSuch = a.isolate(now, users, alone, answer), asSuch || alone
	default:
		asSuch = i.refused(users, alone, answer) || asSuch
	}
	if a.tellAll(now, r, answer, now, true); !asSuch {
		return
	}
	if a.pauseIsolation(now, i, a.options.BackOff.Refused); isNews {
		a.gate.fail(now, r, answer)
	}
}

// setApart has a user that fails alone wait in an isolation of its own.
func (a *account) setApart(now time.Duration, r *request, answer alloy.Answer) {
	users := a.rest(now, r, isolated)
	if len(users) == 0 {
		return
	}
	i, last := a.isolate(now, users, true, answer), r.isolation
	if i.failedAt = 0; last != nil { // perhaps it failed alone before
		i.interval, last.blamed, last.failedAt = last.interval, true, now
	}
	a.pauseIsolation(now, i, a.options.BackOff.User)
}

// pauseIsolation pauses an isolation about whose users nothing can be said as long as the API refuses them.
func (a *account) pauseIsolation(now time.Duration, i *isolation, backOff BackOff) {
	held := only(i.held, (*entry).isWanted)
	users := append(i.undecided(), held...)
	i.parts, i.held, i.largest = [][]*entry{users}, nil, 0 // all are undecided again
	i.interval = backOff.next(i.interval)
	i.until = now + jitter(a.chance, i.interval)
	for _, o := range ownersOf(users) {
		a.fail(o, now, i.until, Attempt{Answer: unspoken(i.answer)})
	}
	for _, e := range held { // with the API's words, as no other owner's users were in the request
		a.fail(e.owner(), now, i.until, Attempt{Answer: *e.refusal})
		a.queue.yield(e)
	}
}

// sweep ends isolations of which nothing remains, and pauses those of which only users remain that were refused alone. Without
// isolations the circuit is not open for refusals.
func (a *account) sweep(now time.Duration) {
	for _, i := range a.isolations {
		i.held = only(i.held, (*entry).isWanted)
		if !i.busy && !i.isPaused() && len(i.held) > 0 && len(i.undecided()) == 0 {
			a.pauseIsolation(now, i, a.options.BackOff.Refused)
		}
	}
	a.isolations = slices.DeleteFunc(a.isolations, func(i *isolation) bool {
		isOver, isTooLarge := !i.busy && len(i.all()) == 0, i.answer.Outcome == alloy.TooLarge || i.answer.MayBeRunning()
		if isOver && isTooLarge && !i.blamed && i.largest > 0 {
			a.size = size{i.largest, now + sizePause}
		}
		return isOver
	})
	if len(a.isolations) == 0 && a.gate.refuses() && !a.gate.rejectsKey(a.gate.answer) { // nobody wants the refused users any more
		a.gate.close()
	}
}

// rest puts the users of a request that are still wanted as sent into another place, and returns them. Other rows for them wait.
func (a *account) rest(now time.Duration, r *request, place place) (users []*entry) {
	for _, row := range r.rows {
		switch e := row.entry; {
		case !e.isWanted():
			a.queue.passOn(now, e, row.user.Username)
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
		a.fail(o, now, next, Attempt{Answer: answer, Isolating: isolating})
	}
}
