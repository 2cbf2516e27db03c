// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"fmt"
	"net/http"
	"slices"
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
	switch {
	case answer.Served():
		a.served(now, r, answer)
	case answer.InDoubt():
		a.lost(now, r, answer)
	case answer.Outcome == alloy.Deferred, a.gate.rejectsKey(answer), a.gate.refuses():
		a.failed(now, r, answer, false)
	default:
		a.gate.pass(now, answer)
		a.refused(now, r, answer)
	}
	a.sweep(now)
}

// served notes an answer that judges each user of a request.
func (a *account) served(now time.Duration, r *request, answer alloy.Answer) {
	a.gate.pass(now, answer)
	searched := make([]*owner, 0, len(a.isolations))
	for _, i := range a.isolations {
		searched = append(searched, ownersOf(i.all())...)
	}
	for _, o := range r.owners {
		u := a.news(o)
		u.served, u.unmatched = true, answer.Unmatched > 0
		if o.triedAt = 0; len(r.rows) > 1 {
			o.failedAt = 0
		}
		if !slices.Contains(searched, o) { // else what was said of the isolation still holds
			a.recover(o)
		}
	}
	created := false
	for _, row := range r.rows {
		created = a.judge(now, r, row, answer) || created
	}
	if i := r.isolation; i != nil {
		if i.largest = max(i.largest, len(r.rows)); created {
			for _, e := range only(i.created(), (*entry).isWanted) { // it is to blame
				a.invalid(now, e, e.refusal.Message)
			}
		}
	}
}

// judge notes what an answer says of a user. It reports whether the request created it.
func (a *account) judge(now time.Duration, r *request, row row, answer alloy.Answer) (created bool) {
	e, accepted := row.entry, answer.Outcome == alloy.Accepted
	_, named := answer.Named[row.user.Username]
	unproven := accepted && !named && answer.Unmatched > 0
	e.inDoubt = e.inDoubt || unproven
	switch {
	case accepted && !named && !unproven:
		a.created(now, row)
		a.verification.witness, a.verification.witnessed = row.user.Username, r.began
		a.news(row.owner).witness = row.user.Username
		return true
	case !e.isWanted():
		a.queue.passOn(now, e, row.user.Username)
	case answer.Outcome == alloy.AllExist, e.known && !unproven:
		a.exists(now, e, row.user)
	case e.user() != row.user: // another row goes next
		a.queue.putBack(e)
	default:
		e.place = verifying
		a.verification.checks = append(a.verification.checks, &check{entry: e, named: !unproven, since: r.began, due: now})
	}
	return false
}

// failed notes a failure of the API: the users wait where they were, or in an isolation if it fails again on them only.
func (a *account) failed(now time.Duration, r *request, answer alloy.Answer, again bool) {
	a.gate.fail(now, r, answer)
	i := r.isolation
	switch {
	case i != nil:
		i.failed(now, a.rest(now, r, isolated), answer, again)
	case again:
		i = a.isolate(now, a.rest(now, r, isolated), false, answer)
	default:
		a.rest(now, r, waiting)
	}
	a.tellAll(now, r, answer, a.gate.next(), i != nil && !i.isPaused())
	if len(r.rows) == 1 {
		a.queue.yield(r.rows[0].entry)
	}
}

// lost notes that an answer was lost, so that the users may have been created.
func (a *account) lost(now time.Duration, r *request, answer alloy.Answer) {
	i, again := r.isolation, false // again: the API has served others since it failed on these users
	for _, o := range r.owners {
		again = again || i == nil && o.failedAt > 0 && a.gate.passedAt > o.failedAt
		o.failedAt = now
	}
	again = again || i != nil && a.gate.passedAt > i.failedAt
	held := time.Duration(0) // until when the API may still be working on them
	if answer.MayBeRunning() {
		held = now + a.options.RequestTimeout
	}
	for _, row := range r.rows {
		row.entry.inDoubt, row.entry.held = true, max(row.entry.held, held)
	}
	if again && len(r.rows) == 1 { // it fails alone: that is no failure of the API
		a.gate.failAlone(r)
		a.setApart(now, r, answer)
	} else {
		a.failed(now, r, answer, again)
	}
}

// wasRead notes what an answer to a reading request means.
func (a *account) wasRead(now time.Duration, r *request, answer alloy.Answer, found map[string]struct{}) {
	if len(r.read.checks) > 0 {
		a.verification.busy = false
	}
	isFailure := a.isFailure(answer)
	switch {
	case answer.Outcome == alloy.Found, answer.Outcome == alloy.Listed: // a gateway can say that a user is absent
		a.gate.pass(now, answer)
	case isFailure, answer.InDoubt() && r.read.way == singly: // a list may be too long for the API, which says nothing of the rest
		a.gate.fail(now, r, answer)
		for _, c := range only(r.read.checks, (*check).isWanted) {
			a.fail(c.entry.owner(), now, a.gate.next(), Attempt{Answer: unspoken(answer)})
		}
	}
	if !isFailure {
		for _, c := range a.verification.answered(now, r.read, answer, found) {
			a.conclude(now, c)
		}
	}
}

// isFailure reports whether an answer to a reading request is a failure of the API, or rejects the key.
func (a *account) isFailure(answer alloy.Answer) bool {
	return a.gate.rejectsKey(answer) || answer.Outcome == alloy.Deferred || answer.InDoubt() && answer.RetryAfter > 0
}

// conclude settles a user by the verdict of its verification.
func (a *account) conclude(now time.Duration, c *check) {
	e := c.entry
	for _, claim := range e.claims {
		a.recover(claim.owner)
	}
	switch {
	case c.verdict == alloy.Found:
		a.exists(now, e, e.user())
	case c.verdict == alloy.Absent:
		a.invalid(now, e, "")
	case c.named:
		a.invalid(now, e, unread(c.answer))
	case c.answer.Outcome == alloy.Absent, c.answer.Outcome == alloy.Listed: // perhaps it is the one that was named
		a.queue.putBack(e)
	default: // as the vendor's page says of users that an answer does not name; that is no proof for more
		e.wasAbsent = false
		a.created(now, row{e.claims[0], e})
	}
}

// unread says why a user is invalid that could not be verified: the API did name it.
func unread(last alloy.Answer) string {
	if last.Outcome == alloy.Inconclusive && last.StatusCode != 0 {
		return fmt.Sprintf("it named the user as invalid, and answers %d %s to reading it", last.StatusCode, http.StatusText(last.StatusCode))
	}
	return "it named the user as invalid, and does not show it"
}
