// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/onsi/gomega"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// TestReconcileAt_ALongValue asks for a look-up with a value that the status cannot hold.
func TestReconcileAt_ALongValue(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.CreateBatch("b", testenv.Users("user", 2)...)
	w.Await("b", v1alpha1.ReasonSucceeded)
	w.annotate("b", v1alpha1.AnnotationReconcileAt, strings.Repeat("ä", 300))
	w.Eventually(func() string { return w.Load("b").Status.LastHandledReconcileAt }).Should(gomega.Equal(strings.Repeat("ä", 255) + "…"))
	if rejected := w.eventsOf(v1alpha1.ReasonStatusRejected); rejected != "" {
		t.Errorf("the API server refused the status: %s", rejected)
	}
}

// TestReconcileAt_AnotherListIsReadMeanwhile has a user created again after the list that another batch asked for was read.
func TestReconcileAt_AnotherListIsReadMeanwhile(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.CreateBatch("one", v1alpha1.User{Username: "deleted"}, v1alpha1.User{Username: "held"})
	w.CreateBatch("other", v1alpha1.User{Username: "of another batch"})
	w.Await("one", v1alpha1.ReasonSucceeded)
	w.Await("other", v1alpha1.ReasonSucceeded)
	w.Sim.Delete(w.Key, "deleted")
	w.Sim.Inject(simulator.Fault{Operation: simulator.Create, Status: http.StatusServiceUnavailable})
	w.annotate("one", v1alpha1.AnnotationReconcileAt, "1")
	w.Eventually(func() int32 { return w.Load("one").Status.Counts.Pending }).Should(gomega.BeEquivalentTo(1))
	w.reconcileAt("other", "1")
	w.Sim.ClearFaults()
	w.Eventually(func() string { return w.Load("one").Status.LastHandledReconcileAt }).Should(gomega.Equal("1"))
	if counts := w.Load("one").Status.Counts; counts.Created != 2 || len(w.names(w.Key)) != 3 {
		t.Errorf("counts %+v, the account has %q", counts, w.names(w.Key))
	}
}
