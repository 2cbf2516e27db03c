// SPDX-License-Identifier: Apache-2.0

package sender_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// sharing is quick, and lets owners share requests. The linger is long enough that a test can hand everything over in it.
func sharing() sender.Options {
	options := quick
	options.Linger = 300 * time.Millisecond
	return options
}

func (o *harness) posts() []simulator.Request {
	var posts []simulator.Request
	for _, r := range o.sim.Requests() {
		if r.Operation == simulator.Create {
			posts = append(posts, r)
		}
	}
	return posts
}

func TestQueue_OwnersShareRequests(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		owners, each, requests int
	}{
		"many with one user each":                          {owners: 900, each: 1, requests: 1},
		"no more than the API takes at once":               {owners: 5, each: 220, requests: 2},
		"of many with few one is split, to fill a request": {owners: 46, each: 220, requests: 11},
		"of many with half a request each two share one":   {owners: 6, each: 500, requests: 3},
		"those with a whole request share with nobody":     {owners: 3, each: 1000, requests: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newHarness(t, simulator.Options{Latency: 5 * time.Millisecond}, sharing())
			for i := range tc.owners {
				var names []string
				for j := range tc.each {
					names = append(names, fmt.Sprintf("user-%d-of-%d", j, i))
				}
				o.Submit(o.work(id(strconv.Itoa(i)), names...))
			}
			for i := range tc.owners {
				for username, result := range o.await(id(strconv.Itoa(i)), settled(tc.each)).Results {
					if result.State != sender.Created || !strings.HasSuffix(username, fmt.Sprintf("-of-%d", i)) {
						t.Errorf("owner %d is told of %s: %+v", i, username, result)
					}
				}
			}
			if n := len(o.posts()); n != tc.requests {
				t.Errorf("%d requests were sent, want %d", n, tc.requests)
			}
		})
	}
}

func TestQueue_WhileARequestRunsTheNextOneGathers(t *testing.T) {
	t.Parallel()
	options := sharing()
	options.RequestsPerKey = 1
	o := newHarness(t, simulator.Options{}, options)
	applied, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	o.sim.OnApplied(func(simulator.Request) { once.Do(func() { close(applied); <-release }) })
	o.Submit(o.work(id("first"), "first"))
	<-applied
	for i := range 100 {
		o.Submit(o.work(id(strconv.Itoa(i)), fmt.Sprint("user-", i)))
	}
	full := make([]string, alloy.MaxBatch)
	for i := range full {
		full[i] = fmt.Sprint("full-", i)
	}
	o.Submit(o.work(id("full"), full...)) // needs nobody else
	close(release)
	for i := range 100 {
		o.await(id(strconv.Itoa(i)), settled(1))
	}
	o.await(id("full"), settled(alloy.MaxBatch))
	var sizes []int
	for _, r := range o.posts() {
		sizes = append(sizes, len(r.Usernames))
	}
	if diff := cmp.Diff([]int{1, 1000, 100}, sizes); diff != "" {
		t.Errorf("users in the requests (-want +got):\n%s", diff)
	}
}

func TestQueue_AUsernameThatTwoOwnersWantIsSentOnce(t *testing.T) {
	t.Parallel()
	x, existing := users.User{Username: "x"}, sender.Result{State: sender.Existing}
	rejecting := simulator.Options{Reject: func(u string) bool { return u == "x" }}
	for name, tc := range map[string]struct {
		second  users.User
		options simulator.Options
		seed    string
		want    sender.Result
		posts   int
	}{
		"the first creates it, for the other it exists": {second: x, want: existing, posts: 1},
		"the other one's full name comes too late":      {second: users.User{Username: "x", FullName: "X"}, want: existing, posts: 1},
		"it exists for both":                            {second: x, seed: "x", want: existing, posts: 1},
		"it is refused for both, if it is the same user": {
			second: x, options: rejecting, posts: 1,
			want: sender.Result{State: sender.Invalid, Message: "it named the user as invalid, and does not show it"},
		},
	} {
		for _, inFlight := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, in request %t", name, inFlight), func(t *testing.T) {
				t.Parallel()
				o := newHarness(t, tc.options, sharing())
				if tc.seed != "" {
					o.sim.Seed("good", tc.seed)
				}
				arrived, release := make(chan struct{}), make(chan struct{})
				var once sync.Once
				o.sim.OnArrived(func(simulator.Request) { once.Do(func() { close(arrived); <-release }) })
				first, second := o.work(id("a"), "x"), o.work(id("b"))
				second.Users = []users.User{tc.second}
				o.Submit(first)
				if inFlight {
					<-arrived
				}
				o.Submit(second)
				<-arrived
				close(release)
				o.await(id("a"), settled(1))
				if diff := cmp.Diff(map[string]sender.Result{"x": tc.want}, states(o.await(id("b"), settled(1)))); diff != "" {
					t.Errorf("results of the second (-want +got):\n%s", diff)
				}
				if n := len(o.posts()); n != tc.posts {
					t.Errorf("%d requests were sent", n)
				}
			})
		}
	}
}

func TestQueue_AllKeysTogetherAreBounded(t *testing.T) {
	t.Parallel()
	options := sharing()
	options.Requests, options.Linger = 2, 0
	var keys []string
	for i := range 8 {
		keys = append(keys, fmt.Sprint("key-", i))
	}
	o := newHarness(t, simulator.Options{Keys: keys}, options)
	var mu sync.Mutex
	running, most := 0, 0
	o.sim.OnApplied(func(simulator.Request) {
		mu.Lock()
		running++
		most = max(most, running)
		mu.Unlock()
		<-time.After(10 * time.Millisecond) // so that requests could overlap
		mu.Lock()
		running--
		mu.Unlock()
	})
	for i, key := range keys {
		work := o.work(id(key), fmt.Sprint("user-", i))
		work.Key = parseKey(t, key)
		o.Submit(work)
	}
	for _, key := range keys {
		o.await(id(key), settled(1))
	}
	if most != 2 {
		t.Errorf("%d requests ran at once", most)
	}
}

// TestQueue_EverythingIsSettledWhateverHappens lets owners with common users share requests of which some fail, while they
// change their minds.
func TestQueue_EverythingIsSettledWhateverHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		options := quick
		options.Linger = time.Duration(rapid.IntRange(0, 3).Draw(rt, "linger")) * time.Millisecond
		options.BackOff.Key, options.BackOff.Refused = brief, brief
		options.RequestTimeout = time.Millisecond
		o := newHarness(t, simulator.Options{CheckThenCreate: true, Reject: func(u string) bool { return strings.HasSuffix(u, "7") }}, options)
		for range rapid.IntRange(0, 6).Draw(rt, "faults") {
			o.sim.Inject(simulator.Fault{
				Status: rapid.SampledFrom([]int{400, 404, 413, 429, 500}).Draw(rt, "status"), Body: `{"message": "no"}`,
				Times: rapid.IntRange(1, 4).Draw(rt, "times"), Apply: rapid.Bool().Draw(rt, "apply"),
			})
		}
		work := map[string]sender.Work{}
		for range rapid.IntRange(5, 60).Draw(rt, "submissions") {
			name := strconv.Itoa(rapid.IntRange(0, 9).Draw(rt, "owner"))
			w := sender.Work{ID: id(name), Key: o.key}
			for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(0, 30), 0, 12, rapid.ID[int]).Draw(rt, "users") {
				w.Users = append(w.Users, users.User{Username: fmt.Sprint("user-", n)})
			}
			o.Submit(w)
			work[name] = w
		}
		for name, w := range work {
			o.await(id(name), func(r sender.Report) bool {
				for _, user := range w.Users {
					if _, known := r.Results[user.Username]; !known {
						return false
					}
				}
				return true
			})
		}
		o.Stop()
		o.Wait()
		created := map[string]int{}
		for name := range work {
			for username, result := range o.Report(id(name)).Results {
				if result.State == sender.Created {
					created[username]++
				}
			}
		}
		for _, r := range o.posts() {
			if r.Overlapped {
				rt.Fatal("two requests at once had the same username")
			}
		}
		for username, n := range created {
			if n > 1 {
				rt.Fatalf("%d owners are told that they created %s", n, username)
			}
		}
	})
}

func TestQueue_TwoOwnersOfTheSameLongListSendItOnce(t *testing.T) {
	t.Parallel()
	o := newHarness(t, simulator.Options{Latency: 5 * time.Millisecond}, sharing())
	const parts = 4
	for _, list := range []string{"first", "second"} {
		for part := range parts {
			names := make([]string, alloy.MaxBatch)
			for i := range names {
				names[i] = fmt.Sprintf("user-%d-%d", part, i)
			}
			o.Submit(o.work(id(fmt.Sprint(list, part)), names...))
		}
	}
	for part := range parts {
		for list, want := range map[string]sender.State{"first": sender.Created, "second": sender.Existing} {
			for username, result := range o.await(id(fmt.Sprint(list, part)), settled(alloy.MaxBatch)).Results {
				if result.State != want {
					t.Fatalf("%s of the %s list: %+v", username, list, result)
				}
			}
		}
	}
	if n := len(o.sim.Requests()); n != parts {
		t.Errorf("%d requests were sent", n)
	}
}

func TestQueue_ASearchDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	options := sharing()
	options.RequestsPerKey, options.Linger = 1, 10*time.Millisecond
	o := newHarness(t, simulator.Options{}, options)
	poisoned := func(username string) bool { return strings.HasSuffix(username, "7") }
	searching := make(chan struct{})
	var once sync.Once
	isPoisoned := func(r simulator.Request) bool {
		once.Do(func() { close(searching) })
		return slices.ContainsFunc(r.Usernames, poisoned)
	}
	o.sim.Inject(simulator.Fault{
		Operation: simulator.Create, Status: 400, Body: `{"message":"poison"}`, Delay: 5 * time.Millisecond, Match: isPoisoned,
	})
	names := make([]string, 500)
	for i := range names {
		names[i] = fmt.Sprint("user-", i)
	}
	o.Submit(o.work(id("poisoned"), names...))
	<-searching
	before := len(o.posts())
	o.Submit(o.work(id("small"), "small"))
	o.await(id("small"), settled(1))
	if n := len(o.posts()) - before; n > 4 { // one more may have begun meanwhile
		t.Errorf("the small one was sent after %d requests", n)
	}
}
