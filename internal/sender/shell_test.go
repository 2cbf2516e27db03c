// SPDX-License-Identifier: Apache-2.0

package sender_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// memoryAPI is an API without a network. Each request takes 100 ms.
type memoryAPI struct {
	// answer says what a request under a key is answered; nil creates all users.
	answer func(key string, batch []users.User) *alloy.Answer

	mu      sync.Mutex
	created map[string]bool
	posts   []post
	updates []string      // of full names
	edited  *alloy.Answer // to these; nil if they are written
}

type post struct {
	key       string
	at        time.Time
	usernames []string
}

func (m *memoryAPI) BaseURL() string { return "memory:" }

func (m *memoryAPI) CreateUsers(_ context.Context, key alloy.Key, batch []users.User) alloy.Answer {
	p := post{key: key.Fingerprint(m.BaseURL()), at: time.Now()}
	for _, user := range batch {
		p.usernames = append(p.usernames, user.Username)
	}
	m.mu.Lock()
	m.posts = append(m.posts, p)
	m.mu.Unlock()
	time.Sleep(100 * time.Millisecond)
	if m.answer != nil {
		if answer := m.answer(p.key, batch); answer != nil {
			return *answer
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	answer := alloy.Answer{Outcome: alloy.Accepted, StatusCode: http.StatusOK, Named: map[string]struct{}{}}
	for _, user := range batch {
		if m.created[user.Username] {
			answer.Named[user.Username] = struct{}{}
		}
		m.created[user.Username] = true
	}
	if len(answer.Named) == len(batch) {
		return alloy.Answer{Outcome: alloy.AllExist, StatusCode: http.StatusBadRequest}
	}
	return answer
}

func (m *memoryAPI) GetUser(_ context.Context, _ alloy.Key, username string) alloy.Answer {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.created[username] {
		return alloy.Answer{Outcome: alloy.Found, StatusCode: http.StatusOK}
	}
	return alloy.Answer{Outcome: alloy.Absent, StatusCode: http.StatusNotFound}
}

func (m *memoryAPI) UpdateUser(_ context.Context, _ alloy.Key, userID, fullName string) alloy.Answer {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.updates = append(m.updates, userID+" is "+fullName)
	if m.edited != nil {
		return *m.edited
	}
	return alloy.Answer{Outcome: alloy.Updated, StatusCode: http.StatusOK}
}

func (m *memoryAPI) setEdited(answer *alloy.Answer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.edited = answer
}

// edits returns the full names that were written.
func (m *memoryAPI) edits() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.updates)
}

func (m *memoryAPI) ListUsers(_ context.Context, _ alloy.Key, visit func(alloy.ListedUser)) alloy.Answer {
	m.mu.Lock()
	defer m.mu.Unlock()
	for username := range m.created {
		visit(alloy.ListedUser{Username: username})
	}
	return alloy.Answer{Outcome: alloy.Listed, StatusCode: http.StatusOK}
}

func (m *memoryAPI) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.posts)
}

// inBubble runs a test with a sender in simulated time.
func inBubble(t *testing.T, options sender.Options, api *memoryAPI, test func(t *testing.T, s *sender.Sender)) {
	t.Helper()
	api.created = map[string]bool{}
	synctest.Test(t, func(t *testing.T) {
		s := sender.New(api, options, func(sender.ID) {})
		test(t, s)
		s.Stop()
		s.Wait()
	})
}

func workOf(t *testing.T, name, key string, usernames ...string) sender.Work {
	t.Helper()
	work := sender.Work{ID: id(name), Key: parseKey(t, key)}
	for _, username := range usernames {
		work.Users = append(work.Users, users.User{Username: username})
	}
	return work
}

func unauthorized(string, []users.User) *alloy.Answer {
	return &alloy.Answer{Outcome: alloy.Unauthorized, StatusCode: http.StatusUnauthorized}
}

func TestShell_GoroutinesDoNotGrowWithOwners(t *testing.T) {
	inBubble(t, sender.DefaultOptions, &memoryAPI{answer: unauthorized}, func(t *testing.T, s *sender.Sender) {
		before := runtime.NumGoroutine()
		for i := range 10_000 {
			s.Submit(workOf(t, strconv.Itoa(i), "wrong", "user-"+strconv.Itoa(i)))
		}
		time.Sleep(time.Minute)
		if more := runtime.NumGoroutine() - before; more > 50 {
			t.Errorf("10,000 waiting owners take %d goroutines", more)
		}
	})
}

func TestShell_AccountsOfOldKeysAreForgotten(t *testing.T) {
	inBubble(t, sender.DefaultOptions, &memoryAPI{}, func(t *testing.T, s *sender.Sender) {
		for i := range 100 { // a key that is rotated again and again
			s.Submit(workOf(t, "a", "key-"+strconv.Itoa(i), "user-"+strconv.Itoa(i)))
			time.Sleep(time.Second)
			s.Recorded(id("a"), s.Report(id("a")))
		}
		s.Forget("ns", "a")
		time.Sleep(time.Minute)
		if accounts, mailboxes := s.Accounts(); accounts+mailboxes > 0 {
			t.Errorf("%d accounts and %d mailboxes are kept that nobody uses", accounts, mailboxes)
		}
		if text := fmt.Sprintf("%+v", s); strings.Contains(text, "key-") || strings.Contains(text, "user-") {
			t.Errorf("the sender still knows: %s", text)
		}
	})
}

func TestShell_ASlotIsNotHeldWhileARateIsKept(t *testing.T) {
	options := sender.DefaultOptions
	options.Requests, options.RequestsPerSecond, options.Burst, options.Linger = 1, 0.1, 1, 0
	api := &memoryAPI{}
	inBubble(t, options, api, func(t *testing.T, s *sender.Sender) {
		for i := range 5 {
			s.Submit(workOf(t, strconv.Itoa(i), "slow", "user-"+strconv.Itoa(i)))
		}
		time.Sleep(time.Second)
		s.Submit(workOf(t, "other", "another key", "x"))
		time.Sleep(time.Second)
		if report := s.Report(id("other")); len(report.Results) != 1 {
			t.Errorf("another key waits for the rate of the first one: %+v", report)
		}
		if n := api.count(); n != 2 {
			t.Errorf("%d requests were sent", n)
		}
	})
}

// TestShell_AnUnusedSlotIsReturned withdraws work between an account's wish for a slot and the grant, which one of two times comes
// before the account knows.
func TestShell_AnUnusedSlotIsReturned(t *testing.T) {
	options := sender.DefaultOptions
	options.Requests, options.RequestsPerSecond, options.Linger = 1, 0, 0
	api := &memoryAPI{created: map[string]bool{}}
	synctest.Test(t, func(t *testing.T) {
		var s *sender.Sender
		s = sender.New(api, options, func(told sender.ID) { // by the account, which goes on afterwards
			if told == id("first") {
				s.Withdraw(id("second"))
			}
		})
		for i := range 40 {
			s.Submit(workOf(t, "first", "key", "first-"+strconv.Itoa(i)))
			s.Submit(workOf(t, "second", "key", "second-"+strconv.Itoa(i)))
			time.Sleep(time.Second)
			s.Recorded(id("first"), s.Report(id("first")))
		}
		s.Submit(workOf(t, "other", "another key", "x"))
		time.Sleep(time.Second)
		if got := states(s.Report(id("other")))["x"]; got.State != sender.Created {
			t.Errorf("a user under another key: %+v", got)
		}
		if n := api.count(); n != 41 { // else this does not test what it says
			t.Errorf("%d requests were sent", n)
		}
		s.Stop()
		s.Wait()
	})
}

func TestShell_AStoredTimeAheadIsCapped(t *testing.T) {
	inBubble(t, sender.DefaultOptions, &memoryAPI{}, func(t *testing.T, s *sender.Sender) {
		work := workOf(t, "a", "key", "x")
		work.NotBefore = time.Now().Add(1000 * time.Hour) // the clock was wrong
		s.Submit(work)
		time.Sleep(16 * time.Minute)
		if report := s.Report(id("a")); len(report.Results) != 1 {
			t.Errorf("report: %+v", report)
		}
	})
}

func TestShell_ManyOwnersOfTheSameUsersTakeOneRequest(t *testing.T) {
	api := &memoryAPI{}
	inBubble(t, sender.DefaultOptions, api, func(t *testing.T, s *sender.Sender) {
		for i := range 30 {
			s.Submit(workOf(t, strconv.Itoa(i), "key", many(alloy.MaxBatch)...))
		}
		time.Sleep(time.Second)
		for i := range 30 {
			want := sender.Existing
			if i == 0 {
				want = sender.Created
			}
			results := s.Report(id(strconv.Itoa(i))).Results
			if len(results) != alloy.MaxBatch || results["user-7"].State != want {
				t.Errorf("owner %d has %d results, and %+v", i, len(results), results["user-7"])
			}
		}
		if n := api.count(); n != 1 {
			t.Errorf("%d requests were sent", n)
		}
	})
}

func TestShell_AWithdrawnOwnerIsInFlightUntilTheAnswer(t *testing.T) {
	inBubble(t, sender.DefaultOptions, &memoryAPI{}, func(t *testing.T, s *sender.Sender) {
		s.Submit(workOf(t, "a", "key", "x"))
		time.Sleep(250 * time.Millisecond)
		s.Withdraw(id("a"))
		if report := s.Report(id("a")); !report.InFlight {
			t.Errorf("while the request runs: %+v", report)
		}
		time.Sleep(time.Second)
		if report := s.Report(id("a")); report.InFlight || report.Results["x"].State != sender.Created {
			t.Errorf("afterwards: %+v", report)
		}
	})
}

// TestShell_WhatIsRecordedIsNotSentAgain has an owner submit what it wants before it knows a result, and then record that.
func TestShell_WhatIsRecordedIsNotSentAgain(t *testing.T) {
	api := &memoryAPI{created: map[string]bool{}}
	synctest.Test(t, func(t *testing.T) {
		var s *sender.Sender
		work := workOf(t, "a", "key", "x")
		s = sender.New(api, sender.DefaultOptions, func(id sender.ID) {
			report := s.Report(id)
			s.Submit(work)
			s.Recorded(id, report)
		})
		s.Submit(work)
		time.Sleep(time.Minute)
		if n := api.count(); n != 1 {
			t.Errorf("%d requests were sent", n)
		}
		s.Stop()
		s.Wait()
	})
}
