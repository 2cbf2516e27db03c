// SPDX-License-Identifier: Apache-2.0

package sender_test

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// TestStats_TheCircuitAndTheUsersInDoubt follows an account whose first two answers are lost, next to one that works.
func TestStats_TheCircuitAndTheUsersInDoubt(t *testing.T) {
	api := &memoryAPI{}
	bad, failures := parseKey(t, "bad").Fingerprint("memory:"), 2
	api.answer = func(key string, _ []users.User) *alloy.Answer {
		api.mu.Lock()
		defer api.mu.Unlock()
		if key != bad || failures == 0 {
			return nil
		}
		failures--
		return &alloy.Answer{Outcome: alloy.Unavailable, StatusCode: http.StatusServiceUnavailable}
	}
	inBubble(t, sender.DefaultOptions, api, func(t *testing.T, s *sender.Sender) {
		s.Submit(workOf(t, "a", "bad", "one", "two"))
		var seen []sender.Stats
		for range 1000 {
			if now := s.Stats(); len(seen) == 0 || seen[len(seen)-1] != now {
				seen = append(seen, now)
			}
			time.Sleep(10 * time.Millisecond)
		}
		want := []sender.Stats{
			{Closed: 1},
			{Open: 1, InDoubt: 2}, {HalfOpen: 1, InDoubt: 2}, // the probe runs
			{Open: 1, InDoubt: 2}, {HalfOpen: 1, InDoubt: 2},
			{Closed: 1, InDoubt: 1}, // the probe carried one of the users
			{Closed: 1},             // the rate limit is not at its full burst yet
			{},
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestStats_WhatRequestsWaitFor has requests wait for each limit, and for what is no limit.
func TestStats_WhatRequestsWaitFor(t *testing.T) {
	tooMany := alloy.Answer{Outcome: alloy.Deferred, StatusCode: http.StatusTooManyRequests, RetryAfter: time.Minute}
	for name, tc := range map[string]struct {
		change func(*sender.Options)
		answer alloy.Answer // to the first request; zero for success
		second string       // the key of the second request
		want   time.Duration
	}{
		"nothing": {second: "another"},
		"the rate of its key": {
			change: func(o *sender.Options) { o.RequestsPerSecond, o.Burst = 0.1, 1 }, second: "key", want: 10*time.Second - 100*time.Millisecond,
		},
		"a request of another key": {change: func(o *sender.Options) { o.Requests = 1 }, second: "another", want: 100 * time.Millisecond},
		"the running request of its key, which is no limit of the operator's load": {second: "key"},
		"a pause that the API asks for": {
			answer: tooMany, second: "key",
		},
		"such a pause that begins while it waits for the rate": { // then for the rate after the probe
			change: func(o *sender.Options) { o.RequestsPerKey, o.RequestsPerSecond, o.Burst = 2, 0.1, 1 },
			answer: tooMany, second: "key", want: 10*time.Second - 100*time.Millisecond,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var waits []time.Duration
			options := sender.DefaultOptions
			options.Linger = 0
			options.Waited = func(waited time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				waits = append(waits, waited.Round(time.Millisecond))
			}
			if tc.change != nil {
				tc.change(&options)
			}
			api := &memoryAPI{}
			if tc.answer.Outcome != "" {
				var once sync.Once
				api.answer = func(string, []users.User) (answer *alloy.Answer) {
					once.Do(func() { answer = &tc.answer })
					return answer
				}
			}
			inBubble(t, options, api, func(t *testing.T, s *sender.Sender) {
				for _, work := range []sender.Work{workOf(t, "a", "key", "one"), workOf(t, "b", tc.second, "two")} {
					work.KeyAccepted = true // else one request runs at a time
					s.Submit(work)
					time.Sleep(time.Millisecond)
				}
				time.Sleep(5 * time.Minute)
			})
			if got := slices.Max(waits); len(waits) < 2 || got < tc.want-time.Millisecond || got > tc.want {
				t.Errorf("the requests waited %v, want %v", waits, tc.want)
			}
		})
	}
}

// TestStats_ADoubtCountsOnce follows users in doubt whose owner withdraws, and is then gone.
func TestStats_ADoubtCountsOnce(t *testing.T) {
	api := &memoryAPI{answer: func(string, []users.User) *alloy.Answer {
		return &alloy.Answer{Outcome: alloy.Unavailable, StatusCode: http.StatusServiceUnavailable}
	}}
	inBubble(t, sender.DefaultOptions, api, func(t *testing.T, s *sender.Sender) {
		s.Submit(workOf(t, "a", "key", "one", "two"))
		for _, step := range []struct {
			what string
			do   func()
			want int
		}{
			{"after a lost answer", func() {}, 2},
			{"while it has no key", func() { s.Withdraw(id("a")) }, 2},
			{"once it is gone", func() { s.Forget("ns", "a") }, 0},
		} {
			step.do()
			time.Sleep(time.Second)
			if got := s.Stats().InDoubt; got != step.want {
				t.Errorf("%s %d users are in doubt, want %d", step.what, got, step.want)
			}
		}
	})
}

func TestStats_APauseThatTheAPIAsksForOpensTheCircuit(t *testing.T) {
	api := &memoryAPI{answer: func(string, []users.User) *alloy.Answer {
		return &alloy.Answer{Outcome: alloy.AllExist, StatusCode: http.StatusBadRequest, RetryAfter: time.Minute}
	}}
	inBubble(t, sender.DefaultOptions, api, func(t *testing.T, s *sender.Sender) {
		s.Submit(workOf(t, "a", "key", "one"))
		time.Sleep(time.Second)
		if got := s.Stats(); got != (sender.Stats{Open: 1}) {
			t.Errorf("%+v", got)
		}
	})
}
