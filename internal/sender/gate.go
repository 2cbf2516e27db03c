package sender

import (
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// epoch is when an account begins, for the limiter: any time will do.
var epoch = time.Unix(0, 0)

// never is a time that does not come.
const never = time.Duration(1<<63 - 1)

// soloPause is how long the circuit stays open at most for others when only requests with one certain user have failed.
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
	until    time.Duration // no probe before
	asked    time.Duration // no request before, because the API asked for it
	last     string        // the only user of the last request that failed; empty if it carried several
	several  bool          // requests with several users failed since the circuit opened
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

// passAt returns when a request may begin. One user whose requests fail does not hold others up for long.
func (g *gate) passAt(others bool) time.Duration {
	at := g.until
	if g.last != "" && !g.several && others {
		at = min(at, g.failedAt+soloPause)
	}
	return max(at, g.asked)
}

// fail opens the circuit after a request, with only one user if that is given. Requests that ran together fail once.
func (g *gate) fail(now, began time.Duration, answer alloy.Answer, only string) {
	if !g.isOpen() || began >= g.failedAt {
		g.several = g.isOpen() && (g.several || g.last != only) || only == ""
		g.last = only
		g.answer, g.failedAt = answer, now
		backOff := g.backOff.API
		if answer.Outcome == alloy.Unauthorized || answer.Outcome == alloy.Forbidden && answer.RetryAfter == 0 { // else it limits rates
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

func (g *gate) pass() {
	g.answer, g.interval, g.until, g.last, g.several = alloy.Answer{}, 0, 0, "", false
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
