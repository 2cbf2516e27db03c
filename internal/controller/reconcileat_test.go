// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
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
