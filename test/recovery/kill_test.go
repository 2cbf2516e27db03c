package recovery

import (
	"sync"
	"syscall"
	"testing"

	"github.com/onsi/gomega"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
)

func TestKill_AfterARequestWasApplied(t *testing.T) {
	w := newWorld(t, "kill-after", simulator.Options{})
	gone := make(chan struct{})
	var once sync.Once
	w.sim.OnApplied(func(r simulator.Request) {
		if len(r.Usernames) < 1000 { // the second of the two slices
			once.Do(func() { w.kill(); close(gone) })
			<-gone
		}
	})
	w.start()
	w.batch("b", 1500)
	<-gone
	if err := w.stop(syscall.SIGKILL); err == nil {
		t.Fatal("the operator was not killed")
	}
	w.sim.OnApplied(nil)
	recorded := w.results()
	held := w.sim.Users(w.key)
	if lost := len(held) - len(recorded); lost < 500 {
		t.Fatalf("%d users are held and %d recorded: no answer was lost", len(held), len(recorded))
	}

	w.start()
	status := w.await("b", v1alpha1.ReasonSucceeded).Status
	if status.Counts.Total != 1500 || int(status.Counts.Created) != len(recorded) || int(status.Counts.Existing) != 1500-len(recorded) {
		t.Errorf("%d results were recorded before; counts: %+v", len(recorded), status.Counts)
	}
	for username, result := range w.results() {
		want := v1alpha1.UserResult{Username: username, Result: v1alpha1.ResultExisting, Reason: v1alpha1.ReasonUnconfirmedAttempt}
		if _, before := recorded[username]; before {
			want = v1alpha1.UserResult{Username: username, Result: v1alpha1.ResultCreated}
		}
		if result != want {
			t.Fatalf("result %+v, want %+v", result, want)
		}
	}
	if users := w.sim.Users(w.key); len(users) != 1500 {
		t.Errorf("the API holds %d users", len(users))
	}
}

func TestKill_BeforeARequestWasApplied(t *testing.T) {
	w := newWorld(t, "kill-before", simulator.Options{})
	gone := make(chan struct{})
	w.sim.Inject(simulator.Fault{Operation: simulator.Create, Times: 1, Cut: true, Match: func(simulator.Request) bool { w.kill(); close(gone); return true }})
	w.start()
	w.batch("b", 300)
	<-gone
	if err := w.stop(syscall.SIGKILL); err == nil {
		t.Fatal("the operator was not killed")
	}
	if held := w.sim.Users(w.key); len(held) != 0 {
		t.Fatalf("the API holds %d users", len(held))
	}
	w.start()
	w.await("b", v1alpha1.ReasonSucceeded)
	for username, result := range w.results() {
		if result != (v1alpha1.UserResult{Username: username, Result: v1alpha1.ResultCreated}) {
			t.Fatalf("result %+v", result)
		}
	}
}

func TestTerm_TheRunningRequestIsRecorded(t *testing.T) {
	w := newWorld(t, "term", simulator.Options{})
	applied, release := make(chan struct{}), make(chan struct{})
	w.sim.OnApplied(func(simulator.Request) { close(applied); <-release })
	election := []string{"--leader-elect", "--leader-election-namespace", systemNamespace}
	w.start(election...)
	w.batch("b", 10)
	<-applied
	ended := make(chan error)
	go func() { ended <- w.stop(syscall.SIGTERM) }()
	close(release)
	if err := <-ended; err != nil {
		t.Errorf("the operator ended with %v", err)
	}
	results := w.results()
	if len(results) != 10 {
		t.Errorf("%d results were recorded", len(results))
	}
	for _, result := range results {
		if result.Result != v1alpha1.ResultCreated {
			t.Errorf("result %+v", result)
		}
	}
	// The lease was released, and the successor has nothing to send.
	w.sim.OnApplied(nil)
	w.start(election...)
	w.batch("after", 1)
	w.await("after", v1alpha1.ReasonSucceeded)
	w.await("b", v1alpha1.ReasonSucceeded)
	if requests := w.sim.Count(simulator.Create); requests != 2 {
		t.Errorf("%d requests were sent", requests)
	}
}

func TestRestart_OfTheAPIServerSendsNothing(t *testing.T) {
	w := newWorld(t, "apiserver", simulator.Options{})
	w.start()
	w.batch("b", 1200)
	w.await("b", v1alpha1.ReasonSucceeded)
	before := len(w.sim.Requests())

	server := environment.ControlPlane.GetAPIServer()
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	w.Eventually(func() error { return w.List(t.Context(), &v1alpha1.EmbeddedUserBatchList{}) }, patience).Should(gomega.Succeed())
	w.batch("after", 1) // shows that the operator has reconnected
	w.await("after", v1alpha1.ReasonSucceeded)
	if requests := len(w.sim.Requests()) - before; requests != 1 {
		t.Errorf("%d requests were sent for one new user", requests)
	}
}
