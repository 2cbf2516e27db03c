// SPDX-License-Identifier: Apache-2.0

package sender_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// TestFault_AKeyThatIsAcceptedLateIsTriedSoon has a new key be unknown for a while, as where keys spread slowly.
func TestFault_AKeyThatIsAcceptedLateIsTriedSoon(t *testing.T) {
	var began time.Time
	api := &memoryAPI{answer: func(key string, batch []users.User) *alloy.Answer {
		if time.Since(began) < 20*time.Second {
			return unauthorized(key, batch)
		}
		return nil
	}}
	inBubble(t, sender.DefaultOptions, api, func(t *testing.T, s *sender.Sender) {
		began = time.Now()
		s.Submit(workOf(t, "a", "fresh", "x"))
		time.Sleep(time.Minute)
		if report := s.Report(id("a")); report.Results["x"].State != sender.Created {
			t.Errorf("after a minute: %+v", report)
		}
	})
}

// TestFault_AKeyIsNotRejectedByALimitOfTheRate has an API limit the rate with 403, before the key was ever served.
func TestFault_AKeyIsNotRejectedByALimitOfTheRate(t *testing.T) {
	var began time.Time
	api := &memoryAPI{answer: func(string, []users.User) *alloy.Answer {
		if time.Since(began) < 3*time.Second {
			return &alloy.Answer{Outcome: alloy.Forbidden, StatusCode: http.StatusForbidden, RetryAfter: 3 * time.Second}
		}
		return nil
	}}
	inBubble(t, sender.DefaultOptions, api, func(t *testing.T, s *sender.Sender) {
		began = time.Now()
		s.Submit(workOf(t, "a", "key", "x"))
		time.Sleep(time.Second)
		if f := s.Report(id("a")).Failed; f == nil || f.KeyRejected || f.Answer.Outcome != alloy.Deferred {
			t.Errorf("the owner is told of %+v", f)
		}
		time.Sleep(4 * time.Second)
		if report := s.Report(id("a")); report.Results["x"].State != sender.Created {
			t.Errorf("after the pause: %+v", report)
		}
	})
}

// TestFault_ACreationInAnotherIsolationBlamesNobody has two owners' users be searched at the same time, of one because of a
// quota, which its first user uses up, and of the other because of one user.
func TestFault_ACreationInAnotherIsolationBlamesNobody(t *testing.T) {
	options := sender.DefaultOptions
	options.Linger = 0 // each owner has requests of its own
	api := &memoryAPI{}
	api.answer = func(_ string, batch []users.User) *alloy.Answer {
		api.mu.Lock()
		defer api.mu.Unlock()
		isUsedUp := false
		for username := range api.created {
			isUsedUp = isUsedUp || strings.HasPrefix(username, "quota-")
		}
		for _, user := range batch {
			if user.Username == "other-7" || strings.HasPrefix(user.Username, "quota-") && (isUsedUp || len(batch) > 1) {
				return &alloy.Answer{Outcome: alloy.Refused, StatusCode: http.StatusBadRequest}
			}
		}
		return nil
	}
	inBubble(t, options, api, func(t *testing.T, s *sender.Sender) {
		s.Submit(workOf(t, "quota", "key", withPrefix("quota-", 10)...))
		s.Submit(workOf(t, "other", "key", withPrefix("other-", 10)...))
		time.Sleep(time.Hour)
		for username, result := range s.Report(id("quota")).Results {
			if result.State == sender.Invalid {
				t.Errorf("%s is blamed", username)
			}
		}
		if n := len(s.Report(id("other")).Results); n < 9 {
			t.Errorf("of the other owner %d users have a result", n)
		}
	})
}

func withPrefix(prefix string, n int) []string {
	names := many(n)
	for k := range names {
		names[k] = prefix + strings.TrimPrefix(names[k], "user-")
	}
	return names
}

// TestFault_AFailingRequestIsDivided has each request fail that holds a certain user, or is too large, for good.
func TestFault_AFailingRequestIsDivided(t *testing.T) {
	for name, tc := range map[string]struct {
		status, requests int
		fails            func(batch []users.User) bool
		settled          int
	}{
		"a user on which the API fails": {
			http.StatusInternalServerError, 60,
			func(batch []users.User) bool { return slices.Contains(batch, users.User{Username: "user-577"}) }, 999,
		},
		"too slow in large requests": {http.StatusGatewayTimeout, 40, func(batch []users.User) bool { return len(batch) > 100 }, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			api := &memoryAPI{answer: func(_ string, batch []users.User) *alloy.Answer {
				if tc.fails(batch) {
					return &alloy.Answer{Outcome: alloy.Unavailable, StatusCode: tc.status}
				}
				return nil
			}}
			inBubble(t, sender.DefaultOptions, api, func(t *testing.T, s *sender.Sender) {
				s.Submit(workOf(t, "a", "key", many(alloy.MaxBatch)...))
				time.Sleep(20 * time.Minute)
				report := s.Report(id("a"))
				t.Logf("%d results, %d requests", len(report.Results), api.count())
				if len(report.Results) != tc.settled {
					t.Errorf("%d users have a result: %+v", len(report.Results), report.Failed)
				}
				if n := api.count(); n > tc.requests {
					t.Errorf("%d requests were sent", n)
				}
			})
		})
	}
}

// TestFault_A403UnderAProvenKeyIsNotTheKeys has a gateway refuse requests that hold a certain user, with 403.
func TestFault_A403UnderAProvenKeyIsNotTheKeys(t *testing.T) {
	api := &memoryAPI{answer: func(_ string, batch []users.User) *alloy.Answer {
		if slices.Contains(batch, users.User{Username: "user-7"}) {
			return &alloy.Answer{Outcome: alloy.Forbidden, StatusCode: http.StatusForbidden}
		}
		return nil
	}}
	for name, tc := range map[string]struct {
		pause    time.Duration
		accounts int
	}{
		"while the account is kept":       {time.Second, 1},
		"after the account was forgotten": {10 * time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, sender.DefaultOptions, api, func(t *testing.T, s *sender.Sender) {
				s.Submit(workOf(t, "first", "key", "first"))
				time.Sleep(tc.pause)
				if n, _ := s.Accounts(); n != tc.accounts {
					t.Errorf("there are %d accounts", n)
				}
				s.Submit(workOf(t, "a", "key", many(20)...))
				for range 60 {
					time.Sleep(time.Second)
					if f := s.Report(id("a")).Failed; f != nil && f.KeyRejected {
						t.Errorf("the owner is told of %+v", f)
						break
					}
				}
				if n := len(s.Report(id("a")).Results); n < 19 {
					t.Errorf("after a minute %d users have a result", n)
				}
			})
		})
	}
}

// TestFault_ALongRetryAfterIsCapped has the API ask for a pause of a year.
func TestFault_ALongRetryAfterIsCapped(t *testing.T) {
	asked := false
	api := &memoryAPI{answer: func(string, []users.User) *alloy.Answer {
		if asked {
			return nil
		}
		asked = true
		return &alloy.Answer{Outcome: alloy.Deferred, StatusCode: http.StatusTooManyRequests, RetryAfter: 365 * 24 * time.Hour}
	}}
	inBubble(t, sender.DefaultOptions, api, func(t *testing.T, s *sender.Sender) {
		s.Submit(workOf(t, "a", "key", "x"))
		time.Sleep(14 * time.Minute)
		if n := api.count(); n != 1 {
			t.Errorf("%d requests were sent in the pause", n)
		}
		time.Sleep(5 * time.Minute)
		if report := s.Report(id("a")); report.Results["x"].State != sender.Created {
			t.Errorf("after the pause: %+v", report)
		}
	})
}

// slowListAPI is an API whose list of users takes too long.
type slowListAPI struct {
	*memoryAPI

	lists int
}

func (l *slowListAPI) ListUsers(context.Context, alloy.Key, func(alloy.ListedUser)) alloy.Answer {
	l.lists++
	time.Sleep(alloy.DefaultTimeout)
	return alloy.Answer{Outcome: alloy.Unavailable, StatusCode: http.StatusOK, Incomplete: true}
}

func TestFault_AListThatTakesTooLongIsNotReadAgain(t *testing.T) {
	api := &slowListAPI{memoryAPI: &memoryAPI{created: map[string]bool{}}}
	for _, username := range many(50) {
		api.created[username] = true
	}
	synctest.Test(t, func(t *testing.T) {
		s := sender.New(api, sender.DefaultOptions, func(sender.ID) {})
		s.Submit(workOf(t, "a", "key", append(many(50), "new")...))
		time.Sleep(5 * time.Minute)
		if n := len(s.Report(id("a")).Results); n != 51 || api.lists > 1 {
			t.Errorf("%d users have a result, and the list was read %d times", n, api.lists)
		}
		s.Stop()
		s.Wait()
	})
}
