package sender

import (
	"fmt"
	"net/http"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// wasRead notes what an answer to a reading request means.
func (a *account) wasRead(now time.Duration, r *request, answer alloy.Answer, found map[string]struct{}) {
	v := &a.verification
	v.busy = false
	switch {
	case answer.Served():
		a.gate.proven = true
		a.gate.pass()
		a.passedAt = now
		a.gate.pause(now, answer)
	case answer.Outcome == alloy.Unauthorized:
		a.gate.fail(now, r.began, answer, a.options.BackOff.Key, "")
		a.tellReaders(r, answer)
		return
	case answer.Outcome == alloy.Deferred || answer.RetryAfter > 0:
		a.gate.fail(now, r.began, answer, a.options.BackOff.API, "")
		a.tellReaders(r, answer)
		return
	case answer.InDoubt() && r.read.way == singly: // a list may be too long for the API, which says nothing of the rest
		a.gate.fail(now, r.began, answer, a.options.BackOff.API, "")
		a.tellReaders(r, answer)
	default:
	}
	var verdicts []verdict
	if r.read.way == singly {
		verdicts = v.single(now, r.read, answer, a.options)
	} else {
		verdicts = v.listed(now, r.read, answer, found, a.options)
	}
	for _, verdict := range verdicts {
		a.conclude(now, verdict)
	}
}

// tellReaders tells the owners of users that could not be read.
func (a *account) tellReaders(r *request, answer alloy.Answer) {
	checks := r.read.checks
	if r.read.check != nil {
		checks = append(checks, r.read.check)
	}
	told := map[*owner]bool{}
	for _, c := range checks {
		if o := c.entry.owner; c.isWanted() && !told[o] {
			told[o] = true
			a.fail(o, failure{answer: unspoken(answer), next: a.gate.next(), attempted: true})
		}
	}
}

// conclude settles a user by the verdict of its verification.
func (a *account) conclude(now time.Duration, v verdict) {
	e, c := v.check.entry, v.check
	if !c.isWanted() {
		return
	}
	owners := []*owner{e.owner}
	for _, other := range e.others {
		owners = append(owners, other.owner)
	}
	switch {
	case v.exists:
		a.exists(e, e.user, !c.named)
	case v.proven:
		a.invalid(now, e, "")
	case c.named:
		a.invalid(now, e, unread(c.answer))
	default: // as the vendor's page says of users that an answer does not name
		a.created(now, row{e, e.owner, e.user})
	}
	for _, o := range owners {
		a.recover(o)
		a.releaseIfDone(o)
	}
}

// unread says why a user is invalid that could not be verified: the API did name it.
func unread(last alloy.Answer) string {
	if last.Outcome == alloy.Inconclusive && last.StatusCode != 0 {
		return fmt.Sprintf("the API named this user, and answers %d %s to reading it", last.StatusCode, http.StatusText(last.StatusCode))
	}
	return "the API named this user, and does not show it"
}
