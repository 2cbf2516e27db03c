// SPDX-License-Identifier: Apache-2.0

package sender_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// TestShell_AnotherKeyWaitsForTheRunningRequest changes the key while a request runs whose answer is lost: the users are in
// doubt under the new key too, which may belong to the same account.
func TestShell_AnotherKeyWaitsForTheRunningRequest(t *testing.T) {
	old := parseKey(t, "old").Fingerprint("memory:")
	api := &memoryAPI{}
	api.answer = func(key string, batch []users.User) *alloy.Answer {
		if key != old {
			return nil
		}
		api.mu.Lock()
		defer api.mu.Unlock()
		for _, user := range batch {
			api.created[user.Username] = true
		}
		return &alloy.Answer{Outcome: alloy.Unavailable, StatusCode: http.StatusServiceUnavailable}
	}
	inBubble(t, sender.DefaultOptions, api, func(t *testing.T, s *sender.Sender) {
		s.Submit(workOf(t, "a", "old", "x"))
		time.Sleep(250 * time.Millisecond) // it runs from 200 to 300 ms
		s.Submit(workOf(t, "a", "new", "x"))
		time.Sleep(time.Minute)
		want := map[string]sender.Result{"x": {State: sender.Existing, Unconfirmed: true}}
		if diff := cmp.Diff(want, states(s.Report(id("a")))); diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
		if len(api.posts) != 2 || api.posts[1].at.Sub(api.posts[0].at) < 100*time.Millisecond {
			t.Errorf("requests: %+v", api.posts)
		}
	})
}

// TestShell_AnotherKeyWaitsForWhatTheAPIMayBeDoing changes the key after a timeout under the old one: the API may still be working
// on the users, and the new key may belong to the same account.
func TestShell_AnotherKeyWaitsForWhatTheAPIMayBeDoing(t *testing.T) {
	old := parseKey(t, "old").Fingerprint("memory:")
	api := &memoryAPI{answer: func(key string, _ []users.User) *alloy.Answer {
		if key != old {
			return nil
		}
		return &alloy.Answer{Outcome: alloy.Unavailable, StatusCode: http.StatusGatewayTimeout}
	}}
	for name, other := range map[string]string{
		"of the same owner":                         "a",
		"of another owner, which takes the user on": "b",
	} {
		t.Run(name, func(t *testing.T) {
			api.posts = nil
			inBubble(t, sender.DefaultOptions, api, func(t *testing.T, s *sender.Sender) {
				s.Submit(workOf(t, "other", "new", "y")) // the account of the new key is older
				time.Sleep(10 * time.Second)
				s.Recorded(id("other"), s.Report(id("other")))
				s.Submit(workOf(t, "a", "old", "x"))
				time.Sleep(400 * time.Millisecond) // it is answered after 300
				s.Submit(workOf(t, "a", "new", "x"))
				if other != "a" {
					time.Sleep(time.Second)
					s.Submit(workOf(t, other, "new", "x"))
					s.Withdraw(id("a"))
				}
				time.Sleep(2 * time.Minute)
				api.mu.Lock()
				defer api.mu.Unlock()
				if len(api.posts) != 3 || api.posts[2].at.Sub(api.posts[1].at) < sender.DefaultOptions.RequestTimeout {
					t.Errorf("requests: %+v", api.posts)
				}
				if got := states(s.Report(id(other))); got["x"].State != sender.Created {
					t.Errorf("results: %+v", got)
				}
			})
		})
	}
}

// TestShell_WorkThatIsReplacedStaysInDoubt replaces work while it waits for the account of another key to let go of its owner.
func TestShell_WorkThatIsReplacedStaysInDoubt(t *testing.T) {
	for name, replace := range map[string]func(*sender.Sender, sender.Work){
		"by the same": func(s *sender.Sender, work sender.Work) { s.Submit(work) },
		"by none":     func(s *sender.Sender, work sender.Work) { s.Withdraw(work.ID); time.Sleep(time.Second); s.Submit(work) },
	} {
		t.Run(name, func(t *testing.T) {
			api := &memoryAPI{}
			inBubble(t, sender.DefaultOptions, api, func(t *testing.T, s *sender.Sender) {
				api.created["second"] = true // by another process
				s.Submit(workOf(t, "a", "old", "first"))
				time.Sleep(sender.DefaultOptions.Linger + 50*time.Millisecond) // the request is running
				work := workOf(t, "a", "new", "second")
				work.InDoubt = true
				s.Submit(work)
				work.InDoubt = false // the owner says it once
				replace(s, work)
				time.Sleep(time.Minute)
				if got := states(s.Report(id("a")))["second"]; got != (sender.Result{State: sender.Existing, Unconfirmed: true}) {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}
