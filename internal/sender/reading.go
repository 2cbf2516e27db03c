package sender

import (
	"fmt"
	"net/http"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// wasRead notes what an answer to a reading request means.
func (a *account) wasRead(now time.Duration, r *request, answer alloy.Answer, found map[string]struct{}) {
	a.verification.busy = false
	b := a.options.BackOff.API
	if answer.Outcome == alloy.Unauthorized {
		b = a.options.BackOff.Key
	}
	isOver := true
	switch {
	case answer.Outcome == alloy.Found, answer.Outcome == alloy.Listed: // a gateway can say that a user is absent
		a.serves(now, answer)
	case answer.Outcome == alloy.Unauthorized, answer.Outcome == alloy.Deferred, answer.RetryAfter > 0:
		isOver = false
		fallthrough
	case answer.InDoubt() && r.read.way == singly: // a list may be too long for the API, which says nothing of the rest
		a.gate.fail(now, r.began, answer, b, suspect{})
		for _, c := range r.read.checks {
			if c.isWanted() {
				a.fail(c.entry.owner(), now, a.gate.next(), Attempt{Answer: unspoken(answer)})
			}
		}
	default:
	}
	if !isOver {
		return
	}
	a.verification.answered(now, r.read, answer, found, func(c *check, v verdict) { a.conclude(now, c, v) })
}

// conclude settles a user by the verdict of its verification.
func (a *account) conclude(now time.Duration, c *check, v verdict) {
	e := c.entry
	for _, claim := range e.claims {
		a.recover(claim.owner)
	}
	switch {
	case v == exists:
		a.exists(now, e, e.user())
	case v == absent:
		a.invalid(now, e, "")
	case c.named:
		a.invalid(now, e, unread(c.answer))
	case c.answer.Outcome == alloy.Absent, c.answer.Outcome == alloy.Listed: // it was not shown: perhaps it is the one that was named
		a.queue.putBack(e)
	default: // as the vendor's page says of users that an answer does not name
		a.created(now, row{e, e.owner(), e.user()})
	}
}

// unread says why a user is invalid that could not be verified: the API did name it.
func unread(last alloy.Answer) string {
	if last.Outcome == alloy.Inconclusive && last.StatusCode != 0 {
		return fmt.Sprintf("it named the user as invalid, and answers %d %s to reading it", last.StatusCode, http.StatusText(last.StatusCode))
	}
	return "it named the user as invalid, and does not show it"
}
