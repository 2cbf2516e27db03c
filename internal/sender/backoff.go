package sender

import (
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
)

// jitter is the part of a delay that is left to chance, so that many do not come back at once.
const jitter = 0.2

// newBackOff makes delays that double.
func newBackOff(options Options) *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = options.MinBackOff, options.MaxBackOff
	b.Multiplier, b.RandomizationFactor = 2, jitter
	b.Reset()
	return b
}

// delayAfter is how long to wait after an answer that may be another one later: as long as the API asks, else longer each
// time.
func delayAfter(answer alloy.Answer, b *backoff.ExponentialBackOff) time.Duration {
	if answer.RetryAfter > 0 {
		return answer.RetryAfter + spread(answer.RetryAfter)
	}
	return b.NextBackOff()
}
