// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"testing"

	"github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
)

// TestDelete_RemovesSlicesAndNoUser uses the real garbage collector.
func TestDelete_RemovesSlicesAndNoUser(t *testing.T) {
	w := newWorld(t, "garbage", simulator.Options{})
	collector, err := plane.StartGarbageCollector()
	w.Must(err)
	t.Cleanup(collector.Kill)
	w.start()
	w.createBatch("goes", 1500)
	w.createBatch("stays", 3)
	w.Await("goes", v1alpha1.ReasonSucceeded)
	w.Await("stays", v1alpha1.ReasonSucceeded)
	before := len(w.Sim.Requests())
	w.Must(w.Delete(t.Context(), w.Load("goes"), client.PropagationPolicy("Foreground"))) // as Argo CD does
	w.Eventually(func() []string {
		var batches []string
		for _, slice := range w.Slices() {
			batches = append(batches, slice.Labels[v1alpha1.LabelBatch])
		}
		return batches
	}).Should(gomega.Equal([]string{"stays"}))
	if users := w.Sim.Users(w.Key); len(users) != 1503 {
		t.Errorf("the API holds %d users", len(users))
	}
	if requests := len(w.Sim.Requests()) - before; requests != 0 {
		t.Errorf("deleting sent %d requests", requests)
	}
}
