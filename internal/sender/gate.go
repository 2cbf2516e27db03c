// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// epoch is when an account begins, for the limiter: any time will do.
var epoch = time.Unix(0, 0)

// soloPause is how long the circuit stays open for others at most when only requests with one user, or of one owner, have failed.
const soloPause = 10 * time.Second

// gate decides when a request may begin: a circuit breaker and a rate limiter. The circuit is open from a failure until an
// answer of the API; requests that are made meanwhile are probes, one for each interval.
type gate struct {
	chance  *rand.Rand
	limiter *rate.Limiter
	backOff BackOffs

	proven   bool          // the API has served a request with this key
	answer   alloy.Answer  // that opened the circuit; zero while it is closed
	interval time.Duration // the last one, without jitter
	failedAt time.Duration // the last failure
	passedAt time.Duration // the last answer of an API that works
	until    time.Duration // no probe before
	asked    time.Duration // no request before, because the API asked for it
	last     string        // the only user of the last request that failed; empty if it carried several
	sole     suspect       // who was alone in each request that failed since the circuit opened
}

// suspect is who may be the reason why requests fail: the only user in them, and their only owner. Either is empty for none.
type suspect struct {
	user  string
	owner ownerKey
}

// and returns who is a suspect twice.
func (s suspect) and(other suspect) suspect {
	if s.user != other.user {
		s.user = ""
	}
	if s.owner != other.owner {
		s.owner = ownerKey{}
	}
	return s
}

// isIn reports whether one of those left out is a suspect.
func (s suspect) isIn(without suspect) bool {
	return s.user != "" && s.user == without.user || s.owner != ownerKey{} && s.owner == without.owner
}

func newGate(options Options, chance *rand.Rand) gate {
	limit := rate.Inf
	if options.RequestsPerSecond > 0 {
		limit = rate.Limit(options.RequestsPerSecond)
	}
	return gate{chance: chance, limiter: rate.NewLimiter(limit, max(options.Burst, 1)), backOff: options.BackOff}
}

func (g *gate) isOpen() bool { return g.answer.Outcome != "" }

// rejectsKey reports whether an answer that opens the circuit means that the API rejects the key.
func rejectsKey(answer alloy.Answer) bool {
	return answer.Outcome == alloy.Unauthorized || answer.Outcome == alloy.Forbidden
}

// passAt returns when a request without some user and owner may begin: one whose requests fail does not hold others up for long.
func (g *gate) passAt(without suspect) time.Duration {
	at := g.until
	if g.sole.isIn(without) {
		at = min(at, g.failedAt+soloPause)
	}
	return max(at, g.asked)
}

// fail opens the circuit after a request, with only one user or owner if that is given. Requests that ran together fail once.
func (g *gate) fail(now, began time.Duration, answer alloy.Answer, only suspect) {
	if !g.isOpen() || began >= g.failedAt {
		if g.last = only.user; g.isOpen() {
			only = only.and(g.sole)
		}
		g.sole = only
		g.answer, g.failedAt = answer, now
		backOff := g.backOff.API
		if rejectsKey(answer) {
			backOff = g.backOff.Key
		}
		g.interval = backOff.next(g.interval)
		g.until = now + jitter(g.chance, g.interval)
	}
	g.pause(now, answer)
}

// pause waits as long as the API asks.
func (g *gate) pause(now time.Duration, answer alloy.Answer) {
	if answer.RetryAfter > 0 {
		g.asked = max(g.asked, now+jitter(g.chance, min(answer.RetryAfter, maxDelay)))
	}
}

// pass notes an answer of an API that works.
func (g *gate) pass(now time.Duration, answer alloy.Answer) {
	g.passedAt, g.proven = now, g.proven || answer.Served()
	g.pause(now, answer)
	g.answer, g.interval, g.until, g.last, g.sole = alloy.Answer{}, 0, 0, "", suspect{}
}

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

// idleAt returns when a new gate would decide the same, unless something happens before.
func (g *gate) idleAt(now time.Duration) time.Duration {
	return max(g.tokensAt(now, g.limiter.Burst()), g.next())
}
