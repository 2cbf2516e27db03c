// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"testing"

	"github.com/onsi/gomega"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

func TestKill_AfterARequestWasApplied(t *testing.T) {
	w := newWorld(t, "kill-after", simulator.Options{})
	operator := w.start()
	w.Sim.OnApplied(func(simulator.Request) {
		if w.Sim.Count(simulator.Create) == 2 { // the second of the two slices, whichever that is
			operator.Kill()
		}
	})
	w.createBatch("b", 1500)
	if err := operator.Wait(); err == nil {
		t.Fatal("the operator was not killed")
	}
	w.Sim.OnApplied(nil)
	recorded := w.Results()
	held := w.Sim.Users(w.Key)
	if lost := len(held) - len(recorded); lost < 500 {
		t.Fatalf("%d users are held and %d recorded: no answer was lost", len(held), len(recorded))
	}

	w.start()
	status := w.Await("b", v1alpha1.ReasonSucceeded).Status
	if status.Counts.Total != 1500 || int(status.Counts.Created) != len(recorded) || int(status.Counts.Existing) != 1500-len(recorded) {
		t.Errorf("%d results were recorded before; counts: %+v", len(recorded), status.Counts)
	}
	for username, result := range w.Results() {
		want := v1alpha1.UserResult{Username: username, Result: v1alpha1.ResultExisting, Reason: v1alpha1.ReasonUnconfirmedAttempt}
		if _, before := recorded[username]; before {
			want = v1alpha1.UserResult{Username: username, Result: v1alpha1.ResultCreated}
		}
		if result != want {
			t.Fatalf("result %+v, want %+v", result, want)
		}
	}
	if users := w.Sim.Users(w.Key); len(users) != 1500 {
		t.Errorf("the API holds %d users", len(users))
	}
}

func TestKill_BeforeARequestWasApplied(t *testing.T) {
	w := newWorld(t, "kill-before", simulator.Options{})
	operator := w.start()
	w.Sim.Inject(simulator.Fault{
		Operation: simulator.Create, Times: 1, Cut: true,
		Match: func(simulator.Request) bool { operator.Kill(); return true },
	})
	w.createBatch("b", 300)
	if err := operator.Wait(); err == nil {
		t.Fatal("the operator was not killed")
	}
	if held := w.Sim.Users(w.Key); len(held) != 0 {
		t.Fatalf("the API holds %d users", len(held))
	}
	w.start()
	w.Await("b", v1alpha1.ReasonSucceeded)
	for username, result := range w.Results() {
		if result != (v1alpha1.UserResult{Username: username, Result: v1alpha1.ResultCreated}) {
			t.Fatalf("result %+v", result)
		}
	}
}

func TestTerm_TheRunningRequestIsRecorded(t *testing.T) {
	w := newWorld(t, "term", simulator.Options{})
	applied, release := w.Hold()
	election := []string{"--leader-elect", "--leader-election-namespace", testenv.SystemNamespace}
	operator := w.start(election...)
	w.createBatch("b", 10)
	<-applied
	ended := make(chan error)
	go func() { ended <- operator.Stop() }()
	release()
	if err := <-ended; err != nil {
		t.Errorf("the operator ended with %v", err)
	}
	results := w.Results()
	if len(results) != 10 {
		t.Errorf("%d results were recorded", len(results))
	}
	for _, result := range results {
		if result.Result != v1alpha1.ResultCreated {
			t.Errorf("result %+v", result)
		}
	}
	// The lease was released, and the successor has nothing to send.
	w.Sim.OnApplied(nil)
	w.start(election...)
	w.createBatch("after", 1)
	w.Await("after", v1alpha1.ReasonSucceeded)
	w.Await("b", v1alpha1.ReasonSucceeded)
	if requests := w.Sim.Count(simulator.Create); requests != 2 {
		t.Errorf("%d requests were sent", requests)
	}
}

func TestRestart_OfTheAPIServerSendsNothing(t *testing.T) {
	w := newWorld(t, "apiserver", simulator.Options{})
	w.start()
	w.createBatch("b", 1200)
	w.Await("b", v1alpha1.ReasonSucceeded)
	before := len(w.Sim.Requests())

	w.Must(plane.RestartAPIServer())
	w.Eventually(func() error { return w.List(t.Context(), &v1alpha1.EmbeddedUserBatchList{}) }).Should(gomega.Succeed())
	w.createBatch("after", 1) // shows that the operator has reconnected
	w.Await("after", v1alpha1.ReasonSucceeded)
	if requests := len(w.Sim.Requests()) - before; requests != 1 {
		t.Errorf("%d requests were sent for one new user", requests)
	}
}
