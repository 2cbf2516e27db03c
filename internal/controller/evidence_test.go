package controller_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
)

// TestEvidence_AnEchoThatFitsNobody has the API name a user that it was not sent: nothing proves which of the others it created.
func TestEvidence_AnEchoThatFitsNobody(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.sim.Inject(simulator.Fault{
		Operation: simulator.Create, Times: 1, Apply: true, Status: http.StatusOK, Body: `{"message":"success","invalidUsers":[{"username":"somebody else"}]}`,
	})
	w.secret(w.key)
	w.create(w.batch("echo", numbered("echo", 3)...))
	w.await("echo", v1alpha1.ReasonSucceeded)
	for username, result := range w.results() {
		if result.Result != v1alpha1.ResultExisting || result.Reason != v1alpha1.ReasonUnconfirmedAttempt {
			t.Errorf("%s: %+v", username, result)
		}
	}
	w.Eventually(func() (warnings []string) {
		var list eventsv1.EventList
		if err := w.List(t.Context(), &list, client.InNamespace(w.namespace)); err != nil {
			t.Fatal(err)
		}
		for _, event := range list.Items {
			if event.Type == corev1.EventTypeWarning && event.Regarding.Name == "echo" {
				warnings = append(warnings, event.Reason)
			}
		}
		return warnings
	}, patience).Should(gomega.ConsistOf(v1alpha1.ReasonUnmatchedInvalidUsers))
}

// forbidSecrets has the API server refuse to hand out Secrets.
type forbidSecrets struct {
	world *world
	next  http.RoundTripper
}

func (f forbidSecrets) RoundTrip(r *http.Request) (*http.Response, error) {
	if !f.world.secretsForbidden.Load() || r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/secrets/alloy") {
		return f.next.RoundTrip(r)
	}
	body := `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"not allowed"}`
	return &http.Response{
		StatusCode: http.StatusForbidden, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, nil
}

func TestEvidence_ResultsAreRecordedWhileTheSecretCannotBeRead(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.sim.Seed(w.key, "existing")
	w.sim.Inject(simulator.Fault{Operation: simulator.Get, Status: http.StatusServiceUnavailable}) // so that a user stays pending
	w.sim.Inject(simulator.Fault{Operation: simulator.List, Status: http.StatusServiceUnavailable})
	applied, release := make(chan struct{}), make(chan struct{})
	w.sim.OnApplied(func(simulator.Request) { close(applied); <-release })
	w.secret(w.key)
	w.create(w.batch("blocked", v1alpha1.User{Username: "existing"}, v1alpha1.User{Username: "new"}))
	<-applied
	w.secretsForbidden.Store(true)
	w.secretBecomes(w.key + "\n") // the operator must read it again
	close(release)
	w.Eventually(func() v1alpha1.Result { return w.results()["new"].Result }, patience).Should(gomega.Equal(v1alpha1.ResultCreated))
	w.secretsForbidden.Store(false)
	w.sim.ClearFaults()
	w.await("blocked", v1alpha1.ReasonSucceeded)
}

// TestEvidence_A403ForSomeUsersIsTheirs has the API forbid the users of one batch, under a key that it serves.
func TestEvidence_A403ForSomeUsersIsTheirs(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.secret(w.key)
	w.create(w.batch("first", numbered("first", 3)...))
	w.await("first", v1alpha1.ReasonSucceeded)
	w.sim.Inject(simulator.Fault{
		Operation: simulator.Create, Status: http.StatusForbidden, Body: `{"message":"not this domain"}`,
		Match: func(r simulator.Request) bool {
			return slices.ContainsFunc(r.Usernames, func(username string) bool { return strings.HasPrefix(username, "forbidden") })
		},
	})
	w.create(w.batch("forbidden", numbered("forbidden", 3)...))
	status := w.await("forbidden", v1alpha1.ReasonUnauthorized).Status
	if ready := find(status.Conditions, v1alpha1.ConditionReady); !contains(ready.Message, "403 Forbidden: not this domain", "gateway") {
		t.Errorf("message: %s", ready.Message)
	}
	if key := find(status.Conditions, v1alpha1.ConditionCredentialsValid); key.Reason == v1alpha1.ReasonUnauthorized {
		t.Errorf("the key is called invalid: %+v", key)
	}
	w.create(w.batch("others", numbered("others", 3)...))
	w.await("others", v1alpha1.ReasonSucceeded)
}
