// SPDX-License-Identifier: Apache-2.0

package sender_test

import (
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// TestGate_AShortPauseDoesNotEndALongOne has the API ask for two pauses at once, the long one first.
func TestGate_AShortPauseDoesNotEndALongOne(t *testing.T) {
	pause := func(retryAfter time.Duration) *alloy.Answer {
		return &alloy.Answer{Outcome: alloy.Deferred, StatusCode: http.StatusTooManyRequests, RetryAfter: retryAfter}
	}
	api := &memoryAPI{answer: func(_ string, batch []users.User) *alloy.Answer {
		switch batch[0].Username {
		case "long":
			return pause(10 * time.Minute)
		case "short":
			time.Sleep(100 * time.Millisecond)
			return pause(time.Second)
		default:
			return nil
		}
	}}
	options := sender.DefaultOptions
	options.RequestsPerKey, options.Linger = 2, 0 // each owner has requests of its own
	inBubble(t, options, api, func(t *testing.T, s *sender.Sender) {
		create(t, s, "first", "first") // the key is proven
		s.Submit(workOf(t, "a", "key", "long"))
		s.Submit(workOf(t, "b", "key", "short"))
		time.Sleep(9 * time.Minute)
		if n := api.count(); n != 3 {
			t.Errorf("%d requests before the end of the long pause, want 3", n)
		}
	})
}

// TestGate_WhatReadsAndEditsShowIsNotThatTheAPICreatesUsers has the API refuse to create anybody, and serve everything else.
func TestGate_WhatReadsAndEditsShowIsNotThatTheAPICreatesUsers(t *testing.T) {
	refused := &alloy.Answer{Outcome: alloy.Refused, StatusCode: http.StatusUnprocessableEntity}
	for name, serve := range map[string]func(*testing.T, *sender.Sender, sender.Work){
		"while full names are written": func(_ *testing.T, s *sender.Sender, work sender.Work) { s.Submit(work) },
		"while users are read": func(_ *testing.T, s *sender.Sender, work sender.Work) {
			work.Edits[0].UserID = ""
			s.Submit(work)
		},
		"while lists are read": func(_ *testing.T, s *sender.Sender, work sender.Work) { s.List(work.Key, time.Now(), false) },
	} {
		t.Run(name, func(t *testing.T) {
			api := &memoryAPI{answer: func(string, []users.User) *alloy.Answer { return refused }}
			inBubble(t, sender.DefaultOptions, api, func(t *testing.T, s *sender.Sender) {
				for k := range 60 {
					api.created["edit-"+strconv.Itoa(k)+"-0"] = true
				}
				for k := range 20 {
					s.Submit(workOf(t, strconv.Itoa(k), "key", withPrefix(strconv.Itoa(k)+"-", alloy.MaxBatch)...))
				}
				for k := range 60 {
					work := editsOf(t, "edit-"+strconv.Itoa(k), 1)
					serve(t, s, work)
					time.Sleep(10 * time.Second)
				}
				if n := api.count(); n > 10 { // of one user each, but for the first one
					t.Errorf("%d requests to create users in 10 minutes", n)
				}
			})
		})
	}
}

// TestGate_AKeyThatIsAcceptedLateIsTriedForALaterList has a key be rejected at first, by an account of which only lists are wanted.
func TestGate_AKeyThatIsAcceptedLateIsTriedForALaterList(t *testing.T) {
	api := &listAPI{answers: []alloy.Answer{{Outcome: alloy.Unauthorized, StatusCode: http.StatusUnauthorized}}}
	withLists(t, api, func(t *testing.T, s *sender.Sender, _ *int) {
		var last *sender.Listing
		for range 4 {
			since := time.Now()
			s.List(parseKey(t, "key"), since, false)
			time.Sleep(30 * time.Second)
			last = s.List(parseKey(t, "key"), since, false)
		}
		if last == nil || !last.IsUsable() {
			t.Errorf("after %d lists in two minutes: %+v", len(api.began), last)
		}
	})
}

// TestGate_FullNamesDoNotWaitForUsersThatAreRefused has the API refuse the users of several owners, and serve the full names of
// another one.
func TestGate_FullNamesDoNotWaitForUsersThatAreRefused(t *testing.T) {
	for _, outcome := range []alloy.Outcome{alloy.Refused, alloy.Forbidden} {
		t.Run(string(outcome), func(t *testing.T) {
			api := &memoryAPI{answer: func(_ string, batch []users.User) *alloy.Answer {
				if batch[0].Username == "first" {
					return nil
				}
				return &alloy.Answer{Outcome: outcome, StatusCode: http.StatusForbidden}
			}}
			inBubble(t, sender.DefaultOptions, api, func(t *testing.T, s *sender.Sender) {
				create(t, s, "first", "first") // the key is proven
				for _, name := range many(4) {
					create(t, s, name, name)
				}
				s.Submit(editsOf(t, "edits", 100))
				time.Sleep(time.Minute)
				if n := len(s.Report(id("edits")).Results); n != 100 {
					t.Errorf("%d of 100 full names are written after a minute", n)
				}
			})
		})
	}
}

// TestGate_AKeyThatMayBeForbiddenIsNotTriedWithEachFullName has the API, or a gateway before it, answer 403 to everything.
func TestGate_AKeyThatMayBeForbiddenIsNotTriedWithEachFullName(t *testing.T) {
	forbidden := &alloy.Answer{Outcome: alloy.Forbidden, StatusCode: http.StatusForbidden}
	api := &memoryAPI{edited: forbidden}
	inBubble(t, sender.DefaultOptions, api, func(t *testing.T, s *sender.Sender) {
		s.Submit(editsOf(t, "edits", 100))
		time.Sleep(10 * time.Minute)
		if n := len(api.edits()); n > 8 { // after 10 seconds, and twice as long each time
			t.Errorf("%d requests in 10 minutes", n)
		}
	})
}

// TestGate_FailuresBeforeAListThatWasReadDoNotCount has the list fail as often as it may before it is given up, and once more after it was
// read.
func TestGate_FailuresBeforeAListThatWasReadDoNotCount(t *testing.T) {
	failure := alloy.Answer{Outcome: alloy.Unavailable, StatusCode: http.StatusServiceUnavailable}
	answers := append(slices.Repeat([]alloy.Answer{failure}, 7), alloy.Answer{Outcome: alloy.Listed, StatusCode: http.StatusOK}, failure)
	api := &listAPI{answers: answers}
	withLists(t, api, func(t *testing.T, s *sender.Sender, _ *int) {
		for _, within := range []time.Duration{4 * time.Minute, 3 * time.Second} {
			since := time.Now()
			s.List(parseKey(t, "key"), since, false)
			time.Sleep(within)
			if l := s.List(parseKey(t, "key"), since, false); l == nil || !l.IsUsable() {
				t.Errorf("%s after the wish, of %d lists the last one is %+v", within, len(api.began), l)
			}
		}
	})
}
