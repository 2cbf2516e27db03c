// SPDX-License-Identifier: Apache-2.0

package sender_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// laggingAPI is an API whose reading calls lag behind, that names users as invalid whose names begin with "bad", and that does
// not show the user "." singly.
type laggingAPI struct {
	*memoryAPI

	createdAt map[string]time.Time
	single    time.Duration // how far behind it is in reading a user
	list      time.Duration // and the list
	listDown  time.Time     // until when the list fails
	singles   int           // reads of a user
}

func (l *laggingAPI) CreateUsers(_ context.Context, _ alloy.Key, batch []users.User) alloy.Answer {
	time.Sleep(100 * time.Millisecond)
	answer := alloy.Answer{Outcome: alloy.Accepted, StatusCode: http.StatusOK, Named: map[string]struct{}{}}
	for _, user := range batch {
		if _, exists := l.createdAt[user.Username]; exists || strings.HasPrefix(user.Username, "bad") {
			answer.Named[user.Username] = struct{}{}
		} else {
			l.createdAt[user.Username] = time.Now()
		}
	}
	return answer
}

func (l *laggingAPI) GetUser(_ context.Context, _ alloy.Key, username string) alloy.Answer {
	l.singles++
	switch at, exists := l.createdAt[username]; {
	case username == ".":
		return alloy.Answer{Outcome: alloy.Inconclusive}
	case exists && time.Since(at) >= l.single:
		return alloy.Answer{Outcome: alloy.Found, StatusCode: http.StatusOK}
	default:
		return alloy.Answer{Outcome: alloy.Absent, StatusCode: http.StatusNotFound}
	}
}

func (l *laggingAPI) ListUsers(_ context.Context, _ alloy.Key, visit func(alloy.ListedUser)) alloy.Answer {
	if time.Now().Before(l.listDown) {
		return alloy.Answer{Outcome: alloy.Unavailable, StatusCode: http.StatusServiceUnavailable}
	}
	for username, at := range l.createdAt {
		if time.Since(at) >= l.list {
			visit(alloy.ListedUser{Username: username})
		}
	}
	return alloy.Answer{Outcome: alloy.Listed, StatusCode: http.StatusOK}
}

// TestFault_ReadingThatLagsProvesNoAbsence first has reading calls show a creation at once, which proves that they work.
func TestFault_ReadingThatLagsProvesNoAbsence(t *testing.T) {
	const lag = 80 * time.Second
	for name, tc := range map[string]struct {
		single   time.Duration
		existing string
	}{
		"both ways begin to lag":                             {lag, "existing"},
		"the list begins to lag, and the user is only there": {0, "."},
	} {
		t.Run(name, func(t *testing.T) {
			api := &laggingAPI{memoryAPI: &memoryAPI{}, createdAt: map[string]time.Time{}}
			synctest.Test(t, func(t *testing.T) {
				s := sender.New(api, sender.DefaultOptions, func(sender.ID) {})
				later := workOf(t, "later", "key", "x") // so that the account is kept, and what it knows of reading
				later.NotBefore = time.Now().Add(time.Hour)
				s.Submit(later)
				s.Submit(workOf(t, "a", "key", "first", "bad-1"))
				time.Sleep(time.Minute)
				if state := s.Report(id("a")).Results["bad-1"].State; state != sender.Invalid {
					t.Errorf("a user that the API does not accept: state %d", state)
				}
				api.single, api.list = tc.single, lag
				api.createdAt[tc.existing] = time.Now() // by somebody else
				s.Submit(workOf(t, "b", "key", "another", "bad-2", tc.existing))
				time.Sleep(10 * time.Minute)
				got := s.Report(id("b")).Results
				if got["another"].State != sender.Created || got["bad-2"].State != sender.Invalid || got[tc.existing].State != sender.Existing {
					t.Errorf("results: %+v", got)
				}
				s.Stop()
				s.Wait()
			})
		})
	}
}

// TestFault_AListThatMayBeReadSoonIsWaitedFor verifies a user that only the list shows, and has somebody else ask for the list too.
func TestFault_AListThatMayBeReadSoonIsWaitedFor(t *testing.T) {
	for name, tc := range map[string]struct {
		lag, down time.Duration // of the list
		within    time.Duration
		singles   int
	}{
		"it lagged just before the last of three tries, and lags no more": {160 * time.Second, 0, 187 * time.Second, 3},
		"it failed then, as in the tries before, which do not count":      {0, 200 * time.Second, 5 * time.Minute, 4},
	} {
		t.Run(name, func(t *testing.T) {
			api := &laggingAPI{memoryAPI: &memoryAPI{}, createdAt: map[string]time.Time{}, list: tc.lag}
			synctest.Test(t, func(t *testing.T) {
				s := sender.New(api, sender.DefaultOptions, func(sender.ID) {})
				began := time.Now()
				api.createdAt["."], api.listDown = began, began.Add(tc.down) // by somebody else
				s.Submit(workOf(t, "a", "key", "first", "."))
				time.Sleep(155 * time.Second) // the tries are after 0, 90 and 180
				s.List(parseKey(t, "key"), time.Now(), false)
				time.Sleep(time.Until(began.Add(tc.within)))
				if got := states(s.Report(id("a"))); got["."] != (sender.Result{State: sender.Existing}) || api.singles != tc.singles {
					t.Errorf("after %d single reads: %+v", api.singles, got)
				}
				s.Stop()
				s.Wait()
			})
		})
	}
}
