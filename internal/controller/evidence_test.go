// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/onsi/gomega"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// TestEvidence_AnEchoThatFitsNobody has the API name a user that it was not sent: nothing proves which of the others it created.
func TestEvidence_AnEchoThatFitsNobody(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.Sim.Inject(simulator.Fault{
		Operation: simulator.Create, Times: 1, Apply: true, Status: http.StatusOK,
		Body: `{"message":"success","invalidUsers":[{"username":"somebody else"}]}`,
	})
	w.SetKey(w.Key)
	w.CreateBatch("echo", testenv.Users("echo", 3)...)
	w.Await("echo", v1alpha1.ReasonSucceeded)
	for username, result := range w.Results() {
		if result.Result != v1alpha1.ResultExisting || result.Reason != v1alpha1.ReasonUnconfirmedAttempt {
			t.Errorf("%s: %+v", username, result)
		}
	}
	w.Eventually(func() []string { return w.warnings("echo") }).
		Should(gomega.ConsistOf(gomega.HavePrefix(v1alpha1.ReasonUnmatchedInvalidUsers + ": ")))
}

func TestEvidence_ResultsAreRecordedWhileTheSecretCannotBeRead(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.Sim.Seed(w.Key, "existing")
	w.Sim.Inject(simulator.Fault{Operation: simulator.Get, Status: http.StatusServiceUnavailable}) // so that a user stays pending
	w.Sim.Inject(simulator.Fault{Operation: simulator.List, Status: http.StatusServiceUnavailable})
	applied, release := w.Hold()
	w.SetKey(w.Key)
	w.CreateBatch("blocked", v1alpha1.User{Username: "existing"}, v1alpha1.User{Username: "new"})
	<-applied
	w.forbid(func(r *http.Request) bool {
		return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/secrets/alloy")
	})
	w.SetKey(w.Key + "\n") // the operator must read it again
	release()
	w.Eventually(func() v1alpha1.Result { return w.Results()["new"].Result }).Should(gomega.Equal(v1alpha1.ResultCreated))
	w.forbidNothing()
	w.Sim.ClearFaults()
	w.Await("blocked", v1alpha1.ReasonSucceeded)
}

// TestEvidence_A403ForSomeUsersIsTheirs has the API forbid the users of one batch, under a key that it serves.
func TestEvidence_A403ForSomeUsersIsTheirs(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.CreateBatch("first", testenv.Users("first", 3)...)
	w.Await("first", v1alpha1.ReasonSucceeded)
	w.Sim.Inject(simulator.Fault{
		Operation: simulator.Create, Status: http.StatusForbidden, Body: `{"message":"not this domain"}`,
		Match: func(r simulator.Request) bool {
			return slices.ContainsFunc(r.Usernames, func(username string) bool { return strings.HasPrefix(username, "forbidden") })
		},
	})
	w.CreateBatch("forbidden", testenv.Users("forbidden", 3)...)
	status := w.Await("forbidden", v1alpha1.ReasonUnauthorized).Status
	ready := testenv.Condition(status.Conditions, v1alpha1.ConditionReady)
	if !contains(ready.Message, "403 Forbidden: not this domain", "gateway") {
		t.Errorf("message: %s", ready.Message)
	}
	if key := testenv.Condition(status.Conditions, v1alpha1.ConditionCredentialsValid); key.Reason == v1alpha1.ReasonUnauthorized {
		t.Errorf("the key is called invalid: %+v", key)
	}
	w.CreateBatch("others", testenv.Users("others", 3)...)
	w.Await("others", v1alpha1.ReasonSucceeded)
}
