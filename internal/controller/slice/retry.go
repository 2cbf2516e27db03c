// SPDX-License-Identifier: Apache-2.0

package slice

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
)

// DefaultRetryDelay is when users that the API rejected are sent a second time: it names users for reasons that pass, such as a lack of
// seats.
const DefaultRetryDelay = 10 * time.Minute

// retry has the users pending that the API has rejected only once. They are recorded as such before they are sent, so that a restart
// does not repeat that.
func (s *state) retry() { s.set(ledger.Retry(s.results)) }

// retryTime returns when users of the slice are sent a second time; nil if there are none. Users that are rejected later do not put it
// off.
func (s state) retryTime() *metav1.Time {
	if !slices.ContainsFunc(s.results, ledger.IsRetriable) {
		return nil
	}
	if due := s.slice.Status.RetryTime; due != nil {
		return due
	}
	due := seconds(s.now.Add(s.retryDelay))
	return &due
}

// retryIsDue reports whether users of the slice are to be sent a second time now.
func (s state) retryIsDue() bool {
	due := s.retryTime()
	return due != nil && !s.now.Before(due.Time)
}

// until returns the time until users are sent a second time; 0 if there are none, or it is due.
func until(due *metav1.Time, now time.Time) time.Duration {
	if due == nil {
		return 0
	}
	return max(due.Sub(now), 0)
}
