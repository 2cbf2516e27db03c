// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// epoch is when an account begins, for the limiter: any time will do.
var epoch = time.Unix(0, 0)

// soloPause is the longest that the circuit stays open for owners that are probably not the reason.
const soloPause = 5 * time.Second

// gate decides when a request may begin: a circuit breaker and a rate limiter. A failure opens the circuit, and so does a refusal that
// does not depend on who is in the request; an answer that shows that this is over closes it. Requests that are made meanwhile are
// probes, one for each interval.
type gate struct {
	chance  *rand.Rand
	limiter *rate.Limiter
	backOff BackOffs

	proven   bool          // the API has served a request with this key
	answer   alloy.Answer  // that opened the circuit; zero while it is closed
	suspect  suspect       // who may be the reason
	interval time.Duration // the last one, without jitter
	failedAt time.Duration // the last failure
	passedAt time.Duration // the last answer of an API that works
	until    time.Duration // no probe before
	asked    time.Duration // no request before, because the API asked for it
}

// suspect is who may be the reason why requests fail: the only user in the last one, and the only owner in all of them since the
// circuit opened. Either is empty for none.
type suspect struct {
	user  string
	owner ownerKey
}

func newGate(options Options, chance *rand.Rand) gate {
	limit := rate.Inf
	if options.RequestsPerSecond > 0 {
		limit = rate.Limit(options.RequestsPerSecond)
	}
	return gate{chance: chance, limiter: rate.NewLimiter(limit, max(options.Burst, 1)), backOff: options.BackOff}
}

func (g *gate) isOpen() bool { return g.answer.Outcome != "" }

// rejectsKey reports whether an answer means that the API rejects the key.
func (g *gate) rejectsKey(answer alloy.Answer) bool {
	return answer.Outcome == alloy.Unauthorized || answer.Outcome == alloy.Forbidden && !g.proven
}

// refuses reports whether the circuit is open because the API refuses requests.
func (g *gate) refuses() bool {
	return g.answer.Outcome != alloy.Unauthorized && !slices.Contains(passing, g.answer.Outcome)
}

// passAt returns when a probe may begin; for owners that are probably not the reason why requests fail, it is soon.
func (g *gate) passAt(isOther bool) time.Duration {
	if isOther {
		return min(g.until, g.failedAt+soloPause)
	}
	return g.until
}

// fail opens the circuit after a request, or keeps it open. The interval grows only after a probe that had waited for it.
func (g *gate) fail(now time.Duration, r *request, answer alloy.Answer) {
	before := g.suspect
	if g.suspect = r.suspect(); answer.Outcome == alloy.Unauthorized || g.isOpen() && g.suspect.owner != before.owner {
		g.suspect.owner = ownerKey{}
	}
	if r.began >= g.until {
		backOff := g.backOff.API
		if g.rejectsKey(answer) {
			backOff = g.backOff.Key
		} else if !slices.Contains(passing, answer.Outcome) {
			backOff = g.backOff.Refused
		}
		g.interval = backOff.next(g.interval)
		g.until = now + jitter(g.chance, g.interval)
	}
	g.answer, g.failedAt = answer, now
}

// failAlone notes a failure that is not the API's. While the circuit is open it makes its user the suspect instead of the one before:
// otherwise that one, and its owner, would not be probed again while others have enough users that fail alone.
func (g *gate) failAlone(r *request) {
	if !g.isOpen() {
		return
	}
	before := g.suspect.owner
	if g.suspect = r.suspect(); g.suspect.owner != before {
		g.suspect.owner = ownerKey{}
	}
}

// pause waits as long as the API asks.
func (g *gate) pause(now time.Duration, answer alloy.Answer) {
	if answer.RetryAfter > 0 {
		g.asked = max(g.asked, now+jitter(g.chance, min(answer.RetryAfter, maxDelay)))
	}
}

// pass notes an answer of an API that works. A read or an edit does not show that it creates users again.
func (g *gate) pass(now time.Duration, answer alloy.Answer) {
	g.passedAt, g.proven = now, g.proven || answer.Served()
	isOther := answer.Outcome == alloy.Found || answer.Outcome == alloy.Listed || answer.Outcome == alloy.Updated
	if !isOther || !g.refuses() {
		g.close()
	}
}

func (g *gate) close() { g.answer, g.suspect, g.interval, g.until = alloy.Answer{}, suspect{}, 0, 0 }

// next returns when the API is tried again.
func (g *gate) next() time.Duration { return max(g.until, g.asked) }

// tokensAt returns when the limiter has so many tokens, each for a request.
func (g *gate) tokensAt(now time.Duration, n int) time.Duration {
	missing := float64(n) - g.limiter.TokensAt(epoch.Add(now))
	if missing <= 0 {
		return now
	}
	return now + time.Duration(missing/float64(g.limiter.Limit())*float64(time.Second)) + time.Microsecond
}
