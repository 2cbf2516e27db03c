// SPDX-License-Identifier: Apache-2.0

package alloy

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// NewMetrics registers the metrics of requests to the Alloy API, and returns what observes them:
//
//   - embeddeduser_alloy_requests_total {operation, outcome}: requests that are over
//   - embeddeduser_alloy_request_duration_seconds {operation}: how long they took
//   - embeddeduser_alloy_unmatched_invalid_users_total: invalid users in answers that fit none of the request's
//
// The labels are closed sets: no user, key or batch ever becomes one.
func NewMetrics(registry prometheus.Registerer) (func(Operation, Answer, time.Duration), error) {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "embeddeduser_alloy_requests_total", Help: "Requests to the Alloy API that are over, by operation and outcome.",
	}, []string{"operation", "outcome"})
	durations := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "embeddeduser_alloy_request_duration_seconds", Help: "Time that requests to the Alloy API took, by operation.",
		Buckets: prometheus.ExponentialBuckets(0.01, 2, 16), // 10 ms to 5.5 min, above the default timeout of lists
	}, []string{"operation"})
	unmatched := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "embeddeduser_alloy_unmatched_invalid_users_total",
		Help: "Invalid users in answers of the Alloy API that fit none of the request's, by username or, without one, by full name.",
	})
	for _, collector := range []prometheus.Collector{requests, durations, unmatched} {
		if err := registry.Register(collector); err != nil {
			return nil, fmt.Errorf("registering a metric: %w", err)
		}
	}
	return func(operation Operation, answer Answer, elapsed time.Duration) {
		requests.WithLabelValues(string(operation), string(answer.Outcome)).Inc()
		unmatched.Add(float64(answer.Unmatched + answer.Nameless))
		durations.WithLabelValues(string(operation)).Observe(elapsed.Seconds())
	}, nil
}
