// SPDX-License-Identifier: Apache-2.0

package sender_test

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

const patience = 30 * time.Second

// harness is a sender in front of a simulator, and what its owners were told.
type harness struct {
	*testing.T
	*sender.Sender
	sim *simulator.Simulator
	key alloy.Key

	mu   sync.Mutex
	news *sync.Cond
	told map[sender.ID]int
}

func newHarness(t *testing.T, simOptions simulator.Options, options sender.Options) *harness {
	t.Helper()
	simOptions.Keys = append(simOptions.Keys, "good")
	o := &harness{T: t, sim: simulator.New(simOptions), told: map[sender.ID]int{}, key: parseKey(t, "good")}
	o.news = sync.NewCond(&o.mu)
	server := httptest.NewServer(o.sim)
	t.Cleanup(server.Close)
	api, err := alloy.New(alloy.Options{
		BaseURL: server.URL, AllowInsecure: true, APIVersion: alloy.DefaultAPIVersion, Timeout: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Sender = sender.New(api, options, func(id sender.ID) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.told[id]++
		o.news.Broadcast()
	})
	t.Cleanup(func() { o.Stop(); o.Wait() })
	return o
}

func parseKey(t *testing.T, value string) alloy.Key {
	t.Helper()
	key, err := alloy.ParseKey([]byte(value))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// await waits for a report that fits.
func (o *harness) await(id sender.ID, fits func(sender.Report) bool) sender.Report {
	o.Helper()
	timer := time.AfterFunc(patience, func() { o.news.Broadcast() })
	defer timer.Stop()
	deadline := time.Now().Add(patience)
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		report := o.Report(id)
		if fits(report) {
			return report
		}
		if time.Now().After(deadline) {
			o.Fatalf("no such report for %v: %+v", id, report)
		}
		o.news.Wait()
	}
}

func (o *harness) work(id sender.ID, usernames ...string) sender.Work {
	work := sender.Work{ID: id, Key: o.key}
	for _, username := range usernames {
		work.Users = append(work.Users, users.User{Username: username})
	}
	return work
}

func settled(n int) func(sender.Report) bool {
	return func(r sender.Report) bool { return len(r.Results) == n }
}

func failed(r sender.Report) bool { return r.Failed != nil }

// states are a report's results, without what was sent.
func states(r sender.Report) map[string]sender.Result {
	plain := map[string]sender.Result{}
	for username, result := range r.Results {
		result.Sent = users.User{}
		plain[username] = result
	}
	return plain
}

func id(name string) sender.ID { return sender.ID{Namespace: "ns", Name: name, UID: "uid-of-" + name} }

var brief = sender.BackOff{Min: time.Millisecond, Max: 10 * time.Millisecond}

var quick = sender.Options{
	RequestsPerKey: 4, SecondRead: time.Millisecond, Callbacks: sender.Callbacks{Waited: func(time.Duration) {}}, BackOff: sender.BackOffs{
		API: brief, User: brief, Key: sender.BackOff{Min: time.Hour, Max: time.Hour}, Refused: sender.BackOff{Min: time.Hour, Max: time.Hour},
	},
}

func TestSender_ReportsWhatBecameOfEachUser(t *testing.T) {
	t.Parallel()
	o := newHarness(t, simulator.Options{Reject: func(username string) bool { return username == "refused" }}, quick)
	o.sim.Seed("good", "existing")
	o.Submit(o.work(id("a"), "new", "existing", "refused"))
	report := o.await(id("a"), settled(3))
	want := map[string]sender.Result{"new": {State: sender.Created}, "existing": {State: sender.Existing}, "refused": {State: sender.Invalid}}
	if diff := cmp.Diff(want, states(report)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}

	// Until they are recorded the results stay, and their users are not sent again.
	o.Submit(o.work(id("a"), "new", "existing", "refused", "late"))
	report = o.await(id("a"), settled(4))
	o.Recorded(id("a"), report)
	if again := o.Report(id("a")); again.News {
		t.Errorf("after it was recorded there is news: %+v", again)
	}
	var sent []string
	for _, r := range o.sim.Requests() {
		if r.Operation == simulator.Create {
			sent = append(sent, r.Usernames...)
		}
	}
	if diff := cmp.Diff([]string{"new", "existing", "refused", "late"}, sent); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

func TestSender_LostAnswersLeaveDoubt(t *testing.T) {
	t.Parallel()
	created, doubtful := sender.Result{State: sender.Created}, sender.Result{State: sender.Existing, Unconfirmed: true}
	for name, tc := range map[string]struct {
		fault simulator.Fault
		want  sender.Result
	}{
		"applied, and the connection cut":     {simulator.Fault{Apply: true, Cut: true}, doubtful},
		"applied, and half an answer":         {simulator.Fault{Apply: true, Body: `{"mess`}, doubtful},
		"applied, and a 503":                  {simulator.Fault{Apply: true, Status: 503}, doubtful},
		"not applied, and the connection cut": {simulator.Fault{Cut: true}, created},
		"not applied, and a 429":              {simulator.Fault{Status: 429}, created},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newHarness(t, simulator.Options{}, quick)
			tc.fault.Times = 1
			o.sim.Inject(tc.fault)
			o.Submit(o.work(id("a"), "x", "y"))
			report := o.await(id("a"), settled(2))
			if diff := cmp.Diff(map[string]sender.Result{"x": tc.want, "y": tc.want}, states(report)); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
			if report.Failed != nil {
				t.Errorf("after success the last attempt is %+v", report.Failed)
			}
		})
	}
}

func TestSender_OthersDoubtIsKeptUntilThereIsAResult(t *testing.T) {
	t.Parallel()
	o := newHarness(t, simulator.Options{}, quick)
	o.sim.Seed("good", "x")
	o.sim.Inject(simulator.Fault{Status: 503, Times: 3})
	work := o.work(id("a"), "x", "new")
	work.InDoubt = true
	o.Submit(work)
	o.await(id("a"), failed)
	o.Submit(o.work(id("a"), "x", "new")) // says nothing of doubt
	want := map[string]sender.Result{"x": {State: sender.Existing, Unconfirmed: true}, "new": {State: sender.Created}}
	if diff := cmp.Diff(want, states(o.await(id("a"), settled(2)))); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestSender_WaitsUntilItMay(t *testing.T) {
	t.Parallel()
	o := newHarness(t, simulator.Options{}, quick)
	work := o.work(id("a"), "x")
	work.NotBefore = time.Now().Add(time.Hour)
	o.Submit(work)
	o.Submit(o.work(id("b"), "y"))
	o.await(id("b"), settled(1))
	if n := o.sim.Count(simulator.Create); n != 1 {
		t.Errorf("%d requests were sent", n)
	}
	work.NotBefore = time.Time{}
	o.Submit(work)
	o.await(id("a"), settled(1))
}

func TestSender_AChangeEndsTheWaiting(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*sender.Work){
		"another key":     func(w *sender.Work) { w.Key = parseKey(t, "better") },
		"a corrected row": func(w *sender.Work) { w.Users[0].FullName = "X" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newHarness(t, simulator.Options{Keys: []string{"better"}}, quick)
			o.sim.Inject(simulator.Fault{Status: 404, Times: 1})
			work := o.work(id("a"), "x")
			o.Submit(work)
			o.await(id("a"), failed)
			o.Submit(work) // the same once more changes nothing
			change(&work)
			o.Submit(work)
			o.await(id("a"), settled(1))
			if n := o.sim.Count(simulator.Create); n != 2 {
				t.Errorf("%d requests were sent", n)
			}
		})
	}
}

func TestSender_AWrongKeyIsTriedOnce(t *testing.T) {
	t.Parallel()
	o := newHarness(t, simulator.Options{Latency: 20 * time.Millisecond}, quick)
	o.key = parseKey(t, "wrong")
	for i := range 50 {
		o.Submit(o.work(id(strconv.Itoa(i)), fmt.Sprint("user-", i)))
	}
	for i := range 50 {
		report := o.await(id(strconv.Itoa(i)), failed)
		if report.Failed.Answer.Outcome != alloy.Unauthorized || report.Failed.KeyFingerprint != o.Fingerprint(o.key) {
			t.Errorf("report %d: %+v", i, report)
		}
	}
	if n := len(o.sim.Requests()); n != 1 {
		t.Errorf("50 owners of one wrong key sent %d requests", n)
	}
}

func TestSender_AtMostSoManyRequestsAtOnce(t *testing.T) {
	t.Parallel()
	o := newHarness(t, simulator.Options{}, quick)
	var mu sync.Mutex
	running, most, first := 0, 0, true
	o.sim.OnApplied(func(simulator.Request) {
		mu.Lock()
		running++
		most = max(most, running)
		if first && running > 1 {
			t.Error("a key that is not proven sends several requests at once")
		}
		mu.Unlock()
		<-time.After(10 * time.Millisecond) // so that requests could overlap
		mu.Lock()
		running--
		first = false
		mu.Unlock()
	})
	for i := range 20 {
		o.Submit(o.work(id(strconv.Itoa(i)), fmt.Sprint("user-", i)))
	}
	for i := range 20 {
		o.await(id(strconv.Itoa(i)), settled(1))
	}
	if most > quick.RequestsPerKey {
		t.Errorf("%d requests ran at once", most)
	}
}

func TestSender_OneListForAllThatWait(t *testing.T) {
	t.Parallel()
	o := newHarness(t, simulator.Options{}, quick)
	var names []string
	for i := range 400 {
		names = append(names, fmt.Sprintf("user-%d", i))
	}
	o.sim.Seed("good", names...)
	// The first list takes so long that all others have asked when it ends.
	o.sim.Inject(simulator.Fault{Operation: simulator.List, Times: 1, Status: 503, Delay: time.Second})
	for i := range 8 {
		o.Submit(o.work(id(strconv.Itoa(i)), append(slices.Clone(names[i*50:(i+1)*50]), fmt.Sprintf("new-%d", i))...))
	}
	for i := range 8 {
		o.await(id(strconv.Itoa(i)), settled(51))
	}
	if n := o.sim.Count(simulator.List); n > 4 {
		t.Errorf("8 owners needed %d lists", n)
	}
}

func TestSender_WhatRunsAtStopIsFinished(t *testing.T) {
	t.Parallel()
	o := newHarness(t, simulator.Options{}, quick)
	applied, release := make(chan struct{}), make(chan struct{})
	o.sim.OnApplied(func(simulator.Request) { close(applied); <-release })
	o.Submit(o.work(id("running"), "x"))
	<-applied
	o.Submit(o.work(id("waiting"), "y"))
	o.Stop()
	close(release)
	o.Wait()
	if diff := cmp.Diff([]sender.ID{id("running")}, o.Unrecorded()); diff != "" {
		t.Errorf("owners with news (-want +got):\n%s", diff)
	}
	o.Submit(o.work(id("late"), "z"))
	if n := o.sim.Count(simulator.Create); n != 1 {
		t.Errorf("%d requests were sent", n)
	}
	if diff := cmp.Diff(map[string]sender.Result{"x": {State: sender.Created}}, states(o.Report(id("running")))); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestSender_WithdrawnWorkIsNotSent(t *testing.T) {
	t.Parallel()
	oneAtATime := quick
	oneAtATime.RequestsPerKey = 1
	o := newHarness(t, simulator.Options{}, oneAtATime)
	applied, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	o.sim.OnApplied(func(simulator.Request) { once.Do(func() { close(applied) }); <-release })
	o.Submit(o.work(id("running"), "x"))
	<-applied
	o.Submit(o.work(id("withdrawn"), "y"))
	o.Submit(o.work(id("gone"), "z"))
	o.Submit(o.work(id("made again"), "old"))
	o.Withdraw(id("withdrawn"))
	o.Withdraw(id("running"))
	o.Forget("ns", "gone")
	again := id("made again")
	again.UID = "another"
	o.Submit(o.work(again, "new"))
	close(release)
	if diff := cmp.Diff(map[string]sender.Result{"x": {State: sender.Created}}, states(o.await(id("running"), settled(1)))); diff != "" {
		t.Errorf("what was running (-want +got):\n%s", diff)
	}
	o.await(again, settled(1))
	if report := o.Report(id("made again")); report.News {
		t.Errorf("an owner that is gone has a report: %+v", report)
	}
	var held []string
	for _, user := range o.sim.Users("good") {
		held = append(held, user.Username)
	}
	if diff := cmp.Diff([]string{"new", "x"}, held, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the API holds (-want +got):\n%s", diff)
	}
}

// TestSender_AnAnswerSpeaksOfItsOwnRequest changes the key or the list while a request is running that fails.
func TestSender_AnAnswerSpeaksOfItsOwnRequest(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		change func(*sender.Work)
	}{
		"the old key's 401 is not the new key's": {401, func(w *sender.Work) { w.Key = parseKey(t, "better") }},
		"the old row's 400 is not the new row's": {400, func(w *sender.Work) { w.Users = []users.User{{Username: "x", FullName: "X"}} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := quick
			options.BackOff.API = sender.BackOff{Min: time.Hour, Max: time.Hour}
			o := newHarness(t, simulator.Options{Keys: []string{"better"}}, options)
			arrived, release := make(chan struct{}), make(chan struct{})
			o.sim.Inject(simulator.Fault{Times: 1, Status: tc.status, Body: "{}", Wait: func() { close(arrived); <-release }})
			work := o.work(id("a"), "x")
			o.Submit(work)
			<-arrived
			tc.change(&work)
			o.Submit(work)
			close(release)
			report := o.await(id("a"), settled(1))
			if report.Failed != nil || report.AcceptedKey != o.Fingerprint(work.Key) {
				t.Errorf("report: %+v", report)
			}
		})
	}
}

func TestSender_AReplacedOwnersDoubtsGoOn(t *testing.T) {
	t.Parallel()
	options := quick
	options.RequestTimeout = 50 * time.Millisecond
	o := newHarness(t, simulator.Options{}, options)
	applied, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	o.sim.OnApplied(func(simulator.Request) { once.Do(func() { close(applied); <-release }) })
	o.Submit(o.work(id("a"), "x"))
	<-applied
	again := id("a")
	again.UID = "another"
	o.Submit(o.work(again, "x"))
	close(release)
	want := map[string]sender.Result{"x": {State: sender.Existing, Unconfirmed: true}}
	if diff := cmp.Diff(want, states(o.await(again, settled(1)))); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestSender_StopsBetweenLooks(t *testing.T) {
	t.Parallel()
	o := newHarness(t, simulator.Options{}, quick)
	names := []string{"new"}
	for i := range 20 {
		names = append(names, fmt.Sprintf("user-%d", i))
	}
	o.sim.Seed("good", names[1:]...)
	asked := make(chan struct{})
	release := make(chan struct{})
	o.sim.Inject(simulator.Fault{Operation: simulator.Get, Times: 1, Status: 404, Body: "{}", Wait: func() { close(asked); <-release }})
	o.Submit(o.work(id("a"), names...))
	<-asked
	o.Stop()
	close(release)
	o.Wait()
	if n := o.sim.Count(simulator.Get); n != 1 {
		t.Errorf("%d users were looked for", n)
	}
	if diff := cmp.Diff(map[string]sender.Result{"new": {State: sender.Created}}, states(o.Report(id("a")))); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}
