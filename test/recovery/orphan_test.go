// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"strings"
	"testing"

	"github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
)

// TestOrphan_ANewBatchAdoptsTheSlices uses the real garbage collector, and kubectl.
func TestOrphan_ANewBatchAdoptsTheSlices(t *testing.T) {
	w := newWorld(t, "orphan", simulator.Options{})
	collector, err := plane.StartGarbageCollector()
	w.Must(err)
	t.Cleanup(collector.Kill)
	w.start()
	w.createBatch("b", 1500)
	w.Await("b", v1alpha1.ReasonSucceeded)
	before, requests := w.Slices(), len(w.Sim.Requests())
	if out, err := w.Kubectl("", "delete", "eub", "b", "--cascade=orphan"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	w.Eventually(func() bool {
		return apierrors.IsNotFound(w.Get(t.Context(), client.ObjectKey{Namespace: w.Namespace, Name: "b"}, &v1alpha1.EmbeddedUserBatch{}))
	}).Should(gomega.BeTrue())
	for _, slice := range w.Slices() {
		if len(slice.OwnerReferences) > 0 || slice.Status.Counts.Created != slice.Status.Counts.Total {
			t.Errorf("%s: owners %+v, counts %+v", slice.Name, slice.OwnerReferences, slice.Status.Counts)
		}
	}

	w.createBatch("b", 1500)
	status := w.Await("b", v1alpha1.ReasonSucceeded).Status
	w.Equal("requests", requests, len(w.Sim.Requests()))
	w.Equal("counts", v1alpha1.UserCounts{Total: 1500, Existing: 1500}, status.Counts)
	if slices := w.Slices(); len(slices) != len(before) {
		t.Fatalf("%d slices instead of %d", len(slices), len(before))
	}
	for i, slice := range w.Slices() {
		if slice.UID != before[i].UID || !metav1.IsControlledBy(&slice, w.Load("b")) {
			t.Errorf("%s is not adopted: owners %+v", slice.Name, slice.OwnerReferences)
		}
	}
	out, err := w.Kubectl("", "get", "eus", "-o", "jsonpath={.items[*].status.results[*].reason}")
	if err != nil || strings.Count(out, v1alpha1.ReasonRestored) != 1500 {
		t.Errorf("%d results are Restored, %v", strings.Count(out, v1alpha1.ReasonRestored), err)
	}

	// The garbage collector knows the new owner.
	if out, err := w.Kubectl("", "delete", "eub", "b"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	w.Eventually(func() int { return len(w.Slices()) }).Should(gomega.BeZero())
}
