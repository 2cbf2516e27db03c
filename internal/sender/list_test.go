// SPDX-License-Identifier: Apache-2.0

package sender_test

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// listAPI is an API whose lists are answered one after another as a test says.
type listAPI struct {
	*memoryAPI

	takes   time.Duration  // each list
	answers []alloy.Answer // to the first ones; then it works
	hides   string         // a user that no list shows

	listMu  sync.Mutex
	began   []time.Time
	running int
	most    int // lists that ran at once
}

func (l *listAPI) ListUsers(ctx context.Context, key alloy.Key, visit func(alloy.ListedUser)) alloy.Answer {
	l.listMu.Lock()
	n := len(l.began)
	l.began = append(l.began, time.Now())
	l.running++
	l.most = max(l.most, l.running)
	l.listMu.Unlock()
	defer func() {
		l.listMu.Lock()
		l.running--
		l.listMu.Unlock()
	}()
	var answer alloy.Answer
	if n < len(l.answers) {
		answer = l.answers[n]
	} else {
		answer = l.memoryAPI.ListUsers(ctx, key, func(user alloy.ListedUser) {
			if user.Username != l.hides {
				visit(user)
			}
		})
	}
	select {
	case <-time.After(l.takes):
	case <-ctx.Done():
		return alloy.Answer{Outcome: alloy.Unavailable, Incomplete: true}
	}
	return answer
}

// withLists runs a test with a sender in simulated time. told counts the calls of Options.Listed.
func withLists(t *testing.T, api *listAPI, test func(t *testing.T, s *sender.Sender, told *int)) {
	t.Helper()
	api.memoryAPI = &memoryAPI{created: map[string]bool{}}
	synctest.Test(t, func(t *testing.T) {
		options, told := sender.DefaultOptions, 0
		options.Listed = func(string) { told++ }
		s := sender.New(api, options, func(sender.ID) {})
		test(t, s, &told)
		s.Stop()
		s.Wait()
	})
}

func create(t *testing.T, s *sender.Sender, owner, username string) map[string]sender.Result {
	t.Helper()
	s.Submit(workOf(t, owner, "key", username))
	time.Sleep(3 * time.Second)
	return states(s.Report(id(owner)))
}

func TestList_ManyThatAskShareOne(t *testing.T) {
	api := &listAPI{takes: time.Minute}
	withLists(t, api, func(t *testing.T, s *sender.Sender, told *int) {
		create(t, s, "a", "early")
		since := time.Now()
		for range 10 {
			if l := s.List(parseKey(t, "key"), since, false); l != nil {
				t.Errorf("there is a list already: %+v", l)
			}
			time.Sleep(time.Second)
		}
		// The key's creations do not wait for the list, and a user that is created meanwhile is not taken for absent.
		if got := create(t, s, "b", "meanwhile"); got["meanwhile"].State != sender.Created {
			t.Errorf("while a list is read: %+v", got)
		}
		time.Sleep(time.Minute)
		l := s.List(parseKey(t, "key"), since, false)
		if l == nil || !l.IsUsable() || l.IsPartial() || l.Began().Before(since) || l.Answer().Outcome != alloy.Listed {
			t.Fatalf("the list: %+v", l)
		}
		create(t, s, "c", "later")
		for username, want := range map[string]bool{"early": true, "meanwhile": true, "later": true, "nobody": false} {
			if l.Has(username) != want {
				t.Errorf("the list has %s: %v", username, !want)
			}
		}
		if len(api.began) != 1 || *told != 1 || l.Len() != 3 {
			t.Errorf("%d lists, told %d times, %d users", len(api.began), *told, l.Len())
		}
		if next := s.List(parseKey(t, "key"), time.Now(), false); next != nil {
			t.Error("an old list is given for a new one")
		}
	})
}

func TestList_IsForgotten(t *testing.T) {
	withLists(t, &listAPI{}, func(t *testing.T, s *sender.Sender, _ *int) {
		since := time.Now()
		s.List(parseKey(t, "key"), since, false)
		for range 3 { // whoever asks keeps it
			time.Sleep(100 * time.Second)
			if s.List(parseKey(t, "key"), since, false) == nil {
				t.Error("the list is forgotten that was just asked for")
			}
		}
		time.Sleep(3 * time.Minute)
		if accounts, _ := s.Accounts(); accounts > 0 {
			t.Errorf("%d accounts are kept that nobody uses", accounts)
		}
	})
}

func TestList_OneAtATimeUnderAllKeys(t *testing.T) {
	api := &listAPI{takes: time.Minute}
	withLists(t, api, func(t *testing.T, s *sender.Sender, told *int) {
		for k := range 5 {
			s.List(parseKey(t, "key-"+strconv.Itoa(k)), time.Now(), false)
		}
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		if api.most != 1 || len(api.began) != 5 || *told != 5 {
			t.Errorf("%d lists, %d at once, told %d times", len(api.began), api.most, *told)
		}
	})
}

// TestList_DoesNotHoldUpOthers has a list take an hour while small batches under the same key and under another one arrive.
func TestList_DoesNotHoldUpOthers(t *testing.T) {
	api := &listAPI{takes: time.Hour}
	withLists(t, api, func(t *testing.T, s *sender.Sender, _ *int) {
		create(t, s, "first", "first") // the key is proven
		s.List(parseKey(t, "key"), time.Now(), true)
		time.Sleep(time.Second)
		began := time.Now()
		s.Submit(workOf(t, "same", "key", "ann"))
		s.Submit(workOf(t, "another", "other", "bob"))
		for len(s.Report(id("same")).Results)+len(s.Report(id("another")).Results) < 2 {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(began); took > time.Second || api.running != 1 {
			t.Errorf("two small batches beside a list took %s, %d lists are being read", took, api.running)
		}
	})
}

func TestList_DoesNotHoldUpTheEnd(t *testing.T) {
	withLists(t, &listAPI{takes: time.Hour}, func(t *testing.T, s *sender.Sender, told *int) {
		s.List(parseKey(t, "key"), time.Now(), false)
		time.Sleep(time.Second)
		began := time.Now()
		s.Stop()
		s.Wait()
		if took := time.Since(began); took > 0 || *told > 0 {
			t.Errorf("the end took %s, told %d times", took, *told)
		}
	})
}

func TestList_FailuresThatPassAreRepeated(t *testing.T) {
	failure := alloy.Answer{Outcome: alloy.Unavailable, StatusCode: http.StatusServiceUnavailable}
	tooMany := alloy.Answer{Outcome: alloy.Deferred, StatusCode: http.StatusTooManyRequests, RetryAfter: time.Minute}
	api := &listAPI{answers: []alloy.Answer{failure, tooMany, failure}}
	withLists(t, api, func(t *testing.T, s *sender.Sender, told *int) {
		since := time.Now()
		s.List(parseKey(t, "key"), since, false)
		time.Sleep(2 * time.Minute)
		if l := s.List(parseKey(t, "key"), since, false); l == nil || !l.IsUsable() || len(api.began) != 4 || *told != 1 {
			t.Errorf("after %d lists, told %d times: %+v", len(api.began), *told, l)
		}
	})
}

func TestList_WhatCannotBeReadIsAnAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		answer alloy.Answer
		lists  int           // that are read until it is said
		within time.Duration // that is
	}{
		"refused":               {alloy.Answer{Outcome: alloy.Inconclusive, StatusCode: http.StatusForbidden}, 1, time.Second},
		"another shape":         {alloy.Answer{Outcome: alloy.Inconclusive, StatusCode: http.StatusOK}, 1, time.Second},
		"a key that is wrong":   {alloy.Answer{Outcome: alloy.Unauthorized, StatusCode: http.StatusUnauthorized}, 1, time.Second},
		"fails again and again": {alloy.Answer{Outcome: alloy.Unavailable, StatusCode: http.StatusInternalServerError}, 8, 3 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			api := &listAPI{}
			for range 20 {
				api.answers = append(api.answers, tc.answer)
			}
			withLists(t, api, func(t *testing.T, s *sender.Sender, _ *int) {
				since := time.Now()
				s.List(parseKey(t, "key"), since, false)
				time.Sleep(tc.within)
				for range 2 { // also for who asks soon afterwards
					l := s.List(parseKey(t, "key"), since, false)
					if l == nil || l.IsUsable() || l.Answer().Outcome != tc.answer.Outcome || l.Has("x") || l.Len() > 0 {
						t.Fatalf("the list: %+v", l)
					}
					time.Sleep(time.Second)
					since = time.Now()
					s.List(parseKey(t, "key"), since, false)
					time.Sleep(time.Second)
				}
				if len(api.began) != tc.lists {
					t.Errorf("%d lists, want %d", len(api.began), tc.lists)
				}
			})
		})
	}
}

func TestList_ThatLagsIsNotUsable(t *testing.T) {
	api := &listAPI{hides: "last"}
	withLists(t, api, func(t *testing.T, s *sender.Sender, _ *int) {
		create(t, s, "a", "first")
		create(t, s, "b", "last")
		since := time.Now()
		s.List(parseKey(t, "key"), since, false)
		time.Sleep(time.Second)
		if l := s.List(parseKey(t, "key"), since, false); l == nil || l.IsUsable() || l.IsPartial() || !l.Has("first") {
			t.Errorf("a list without the last user: %+v", l)
		}
		time.Sleep(time.Hour) // perhaps it was deleted by others
		since = time.Now()
		s.List(parseKey(t, "key"), since, false)
		time.Sleep(time.Second)
		if l := s.List(parseKey(t, "key"), since, false); l == nil || !l.IsUsable() || l.Has("last") {
			t.Errorf("a list without a user that was created an hour ago: %+v", l)
		}
	})
}

func TestList_ThatLacksAnExistingUserIsPartial(t *testing.T) {
	api := &listAPI{hides: "hidden"}
	withLists(t, api, func(t *testing.T, s *sender.Sender, told *int) {
		api.created["hidden"], api.created["shown"] = true, true // by others, long ago
		since := time.Now()
		s.List(parseKey(t, "key"), since, false)
		time.Sleep(time.Second)
		l := s.List(parseKey(t, "key"), since, false)
		if l == nil || !l.IsUsable() || !l.Has("shown") || l.Has("hidden") {
			t.Fatalf("the list: %+v", l)
		}
		create(t, s, "a", "hidden") // all users exist already
		if l.IsUsable() || !l.IsPartial() || !l.Has("hidden") {
			t.Errorf("when its user turned out to exist: %+v", l.Answer())
		}
		since = time.Now()
		s.List(parseKey(t, "key"), since, false)
		time.Sleep(time.Second)
		if next := s.List(parseKey(t, "key"), since, false); next == nil || next.IsUsable() || len(api.began) != 1 || *told != 2 {
			t.Errorf("the next of %d lists: %+v", len(api.began), next)
		}
		time.Sleep(time.Hour)
		since = time.Now()
		s.List(parseKey(t, "key"), since, false)
		time.Sleep(time.Second)
		if next := s.List(parseKey(t, "key"), since, false); next == nil || !next.IsUsable() {
			t.Errorf("an hour later: %+v", next)
		}
	})
}

// TestKnown_UsersTakeOneRequest asks again for users that exist, where nothing can be read.
func TestKnown_UsersTakeOneRequest(t *testing.T) {
	api := &memoryAPI{answer: func(_ string, batch []users.User) *alloy.Answer {
		answer := &alloy.Answer{Outcome: alloy.Accepted, StatusCode: http.StatusOK, Named: map[string]struct{}{}}
		for _, user := range batch {
			if user.Username != "deleted" {
				answer.Named[user.Username] = struct{}{}
			}
		}
		return answer
	}}
	inBubble(t, sender.DefaultOptions, api, func(t *testing.T, s *sender.Sender) {
		work := workOf(t, "a", "key", "x", "y", "deleted", "new")
		work.Known = []string{"x", "y", "deleted"}
		s.Submit(work)
		time.Sleep(time.Second)
		got := states(s.Report(id("a")))
		existing := sender.Result{State: sender.Existing}
		if got["x"] != existing || got["y"] != existing || got["deleted"].State != sender.Created || got["new"].State != 0 || api.count() != 1 {
			t.Errorf("after %d requests: %+v", api.count(), got)
		}
	})
}
