// SPDX-License-Identifier: Apache-2.0

package sender_test

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
)

// refusing makes the API refuse, with a 400, every request that holds one of some users.
func refusing(bad ...string) simulator.Fault {
	isBad := func(u string) bool { return slices.Contains(bad, u) }
	return simulator.Fault{
		Operation: simulator.Create, Status: 400, Body: `{"message":"username is not allowed"}`,
		Match: func(r simulator.Request) bool { return slices.ContainsFunc(r.Usernames, isBad) },
	}
}

func many(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("user-%d", i)
	}
	return names
}

func TestSender_RefusedUsersAreFound(t *testing.T) {
	t.Parallel()
	o := newHarness(t, simulator.Options{}, quick)
	o.sim.Inject(refusing("user-577"))
	o.Submit(o.work(id("a"), many(1000)...))
	report := o.await(id("a"), settledBut("user-577", 1000))
	for username, result := range report.Results {
		want := sender.Result{State: sender.Created, Sent: result.Sent}
		if username == "user-577" {
			want.State, want.Message = sender.Invalid, "username is not allowed"
		}
		if result != want {
			t.Fatalf("%s: %+v", username, result)
		}
	}
	if n := o.sim.Count(simulator.Create); n > 30 {
		t.Errorf("%d requests were sent", n)
	}
}

// settledBut reports whether n users are settled, of whom one that is kept to the end of an isolation may stay undecided.
func settledBut(bad string, n int) func(sender.Report) bool {
	return func(r sender.Report) bool {
		_, decided := r.Results[bad]
		return len(r.Results) == n || len(r.Results) == n-1 && !decided && r.Failed != nil && !r.Failed.Isolating
	}
}

func TestSender_ARequestThatIsRefusedAsSuchIsNotSearched(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status, users, want int
	}{
		"400 for everything":    {400, 1000, 3},
		"422 for everything":    {422, 1000, 3},
		"400 for a single user": {400, 1, 1},
		"404":                   {404, 1000, 3},
		"402":                   {402, 1000, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newHarness(t, simulator.Options{}, quick)
			o.sim.Inject(simulator.Fault{Status: tc.status, Body: "{}"})
			o.Submit(o.work(id("a"), many(tc.users)...))
			report := o.await(id("a"), func(r sender.Report) bool { return r.Failed != nil && !r.Failed.Isolating })
			if len(report.Results) != 0 {
				t.Errorf("report: %+v", report)
			}
			if n := o.sim.Count(simulator.Create); n != tc.want {
				t.Errorf("%d requests were sent, want %d", n, tc.want)
			}
		})
	}
}

func TestSender_LargeRequestsAreSplit(t *testing.T) {
	t.Parallel()
	o := newHarness(t, simulator.Options{}, quick)
	o.sim.Inject(simulator.Fault{Status: 413, Body: `{"message":"too large"}`, Match: func(r simulator.Request) bool {
		return len(r.Usernames) > 100 || slices.Contains(r.Usernames, "user-7")
	}})
	o.Submit(o.work(id("a"), many(500)...))
	report := o.await(id("a"), settledBut("user-7", 500))
	for username, result := range report.Results {
		if invalid := result.State == sender.Invalid; invalid != (username == "user-7") {
			t.Fatalf("%s: %+v", username, result)
		}
	}
}

func TestSender_A429PausesTheKeyForEverybody(t *testing.T) {
	t.Parallel()
	o := newHarness(t, simulator.Options{Keys: []string{"better"}}, quick)
	o.sim.Inject(simulator.Fault{Status: 429, Times: 1, Header: http.Header{"Retry-After": {"600"}}})
	o.Submit(o.work(id("a"), "x"))
	report := o.await(id("a"), failed)
	if wait := report.Failed.Next.Sub(report.Failed.Time); wait < 10*time.Minute || wait > 13*time.Minute {
		t.Errorf("the next attempt comes after %s", wait)
	}
	o.Submit(o.work(id("b"), "y"))
	other := o.work(id("c"), "z")
	other.Key = parseKey(t, "better")
	o.Submit(other)
	o.await(id("c"), settled(1))
	if n := o.sim.Count(simulator.Create); n != 2 {
		t.Errorf("%d requests were sent", n)
	}
	// Whoever waits in a paused gate leaves it when the key changes.
	moved := o.work(id("b"), "y")
	moved.Key = other.Key
	o.Submit(moved)
	o.await(id("b"), settled(1))
}

func TestSender_BackOffGrowsAndEnds(t *testing.T) {
	t.Parallel()
	options := quick
	options.BackOff.API = sender.BackOff{Min: 4 * time.Millisecond, Max: 64 * time.Millisecond}
	o := newHarness(t, simulator.Options{}, options)
	o.sim.Inject(simulator.Fault{Status: 503, Times: 8})
	waits := map[time.Time]time.Duration{}
	o.Submit(o.work(id("a"), "x"))
	for settled := false; !settled; runtime.Gosched() {
		r := o.Report(id("a"))
		if r.Failed != nil {
			waits[r.Failed.Time] = r.Failed.Next.Sub(r.Failed.Time)
		}
		settled = len(r.Results) == 1
	}
	longest := time.Duration(0)
	for _, wait := range waits {
		longest = max(longest, wait)
	}
	if longest < 20*time.Millisecond || longest > 80*time.Millisecond {
		t.Errorf("waited at most %s", longest)
	}
}

func TestSender_KeepsToItsRate(t *testing.T) {
	t.Parallel()
	options := quick
	options.RequestsPerSecond, options.Burst = 0.001, 3
	o := newHarness(t, simulator.Options{}, options)
	o.sim.Seed("good", "b", "c", "d")
	o.Submit(o.work(id("a"), "a", "b", "c", "d")) // one request, and three to verification for those that exist
	o.await(id("a"), settled(1))
	o.Submit(o.work(id("a"), "a", "b", "c", "d"))
	o.sim.OnApplied(nil)
	o.awaitRequests(3)
	o.Stop()
	o.Wait()
	if n := len(o.sim.Requests()); n != 3 {
		t.Errorf("%d requests were sent", n)
	}
}

// awaitRequests waits until the API got n requests.
func (o *harness) awaitRequests(n int) {
	o.Helper()
	for deadline := time.Now().Add(patience); len(o.sim.Requests()) < n; {
		if time.Now().After(deadline) {
			o.Fatalf("the API got only %d requests", len(o.sim.Requests()))
		}
		runtime.Gosched()
	}
}
