// SPDX-License-Identifier: Apache-2.0

package sender_test

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

func editsOf(t *testing.T, name string, n int) sender.Work {
	t.Helper()
	work := workOf(t, name, "key")
	for k := range n {
		id := name + "-" + strconv.Itoa(k)
		work.Edits = append(work.Edits, sender.Edit{User: users.User{Username: id, FullName: "Name"}, UserID: id})
	}
	return work
}

// TestEdits_AnAPIThatRefusesThemIsLeftAlone has the API refuse every full name.
func TestEdits_AnAPIThatRefusesThemIsLeftAlone(t *testing.T) {
	t.Parallel()
	api := &memoryAPI{edited: &alloy.Answer{Outcome: alloy.Refused, StatusCode: http.StatusMethodNotAllowed}}
	inBubble(t, sender.DefaultOptions, api, func(t *testing.T, s *sender.Sender) {
		s.Submit(editsOf(t, "many", 1000))
		time.Sleep(10 * time.Minute)
		if n := len(api.edits()); n < 4 || n > 7 { // three at once, and one after 1, 2 and 4 minutes
			t.Errorf("%d requests in 10 minutes", n)
		}
		if report := s.Report(id("many")); report.Failed == nil || report.Failed.Answer.Outcome != alloy.Refused {
			t.Errorf("the owner is told of %+v", report.Failed)
		}
		s.Withdraw(id("many"))
		synctest.Wait()
	})
}

// TestEdits_OwnersTakeTurns has one owner with many full names, another with one, and a third with a user to be created.
func TestEdits_OwnersTakeTurns(t *testing.T) {
	t.Parallel()
	api := &memoryAPI{}
	inBubble(t, sender.DefaultOptions, api, func(t *testing.T, s *sender.Sender) {
		s.Submit(editsOf(t, "many", 1000))
		time.Sleep(time.Second)
		before := len(api.edits())
		s.Submit(editsOf(t, "one", 1))
		s.Submit(workOf(t, "new", "key", "ann"))
		time.Sleep(time.Second)
		later, found := api.edits()[before:], -1
		for k, edit := range later {
			if strings.HasPrefix(edit, "one-0") {
				found = k
			}
		}
		if found < 0 || found > 2 {
			t.Errorf("the other owner's full name is number %d of %d", found, len(later))
		}
		if api.count() != 1 {
			t.Errorf("%d requests create users", api.count())
		}
		time.Sleep(2 * time.Minute) // 10 in a second
		if n := len(s.Report(id("many")).Results); n != 1000 {
			t.Errorf("%d results", n)
		}
	})
}

// TestEdits_ALaterFullNameWaits loses the answer to a full name, which the API may be working on, and has another one wanted.
func TestEdits_ALaterFullNameWaits(t *testing.T) {
	t.Parallel()
	api := &memoryAPI{edited: &alloy.Answer{Outcome: alloy.Unavailable, Incomplete: true}}
	inBubble(t, sender.DefaultOptions, api, func(t *testing.T, s *sender.Sender) {
		s.Submit(editsOf(t, "one", 1))
		time.Sleep(time.Second)
		api.setEdited(nil)
		lost := s.Report(id("one")).Results["one-0"]
		if lost.State != sender.Identified || lost.Sent.FullName != "" {
			t.Errorf("the owner is told %+v of a full name that nobody knows", lost)
		}
		later := editsOf(t, "one", 1)
		later.Edits[0].User.FullName = "Another Name"
		s.Submit(later)
		time.Sleep(sender.DefaultOptions.RequestTimeout - 2*time.Second)
		if n := len(api.edits()); n != 1 {
			t.Errorf("%d requests while the API may be working on the first", n)
		}
		time.Sleep(time.Minute)
		if edits := api.edits(); len(edits) != 2 || edits[1] != "one-0 is Another Name" {
			t.Errorf("written: %s", edits)
		}
	})
}

// TestAbsent_IsWithdrawn has a newer list show a user that waits.
func TestAbsent_IsWithdrawn(t *testing.T) {
	t.Parallel()
	for name, absent := range map[string][]string{"a newer list lacks it too": {"ann"}, "a newer list shows it": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var refused atomic.Pointer[alloy.Answer]
			refused.Store(&alloy.Answer{Outcome: alloy.Deferred, StatusCode: http.StatusTooManyRequests})
			api := &memoryAPI{answer: func(string, []users.User) *alloy.Answer { return refused.Load() }}
			inBubble(t, sender.DefaultOptions, api, func(t *testing.T, s *sender.Sender) {
				work := workOf(t, "one", "key", "ann")
				work.Absent = []string{"ann"}
				s.Submit(work)
				time.Sleep(time.Second)
				work.Absent = absent
				s.Submit(work)
				time.Sleep(time.Second)
				refused.Store(nil)
				time.Sleep(time.Minute)
				if result := s.Report(id("one")).Results["ann"]; result.State != sender.Created || result.WasAbsent != (absent != nil) {
					t.Errorf("the owner is told %+v", result)
				}
			})
		})
	}
}
