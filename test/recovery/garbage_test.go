package recovery

import (
	"os"
	"os/exec"
	"testing"

	"github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
)

// TestDelete_RemovesSlicesAndNoUser uses the real garbage collector.
func TestDelete_RemovesSlicesAndNoUser(t *testing.T) {
	w := newWorld(t, "garbage", simulator.Options{})
	collector := exec.Command(os.Getenv("KUBE_CONTROLLER_MANAGER"), "--kubeconfig", kubeconfig(), "--controllers=garbage-collector-controller", "--leader-elect=false", "--secure-port=0")
	if err := collector.Start(); err != nil {
		t.Fatalf("starting kube-controller-manager (make test sets KUBE_CONTROLLER_MANAGER): %v", err)
	}
	t.Cleanup(func() {
		_ = collector.Process.Kill()
		_ = collector.Wait()
	})
	w.start()
	w.batch("goes", 1500)
	w.batch("stays", 3)
	w.await("goes", v1alpha1.ReasonSucceeded)
	w.await("stays", v1alpha1.ReasonSucceeded)
	before := len(w.sim.Requests())
	if err := w.Delete(t.Context(), w.load("goes"), client.PropagationPolicy("Foreground")); err != nil { // as Argo CD does
		t.Fatal(err)
	}
	w.Eventually(func() []string {
		var list v1alpha1.EmbeddedUserSliceList
		if err := w.List(t.Context(), &list, client.InNamespace(w.namespace)); err != nil {
			return []string{err.Error()}
		}
		var batches []string
		for _, slice := range list.Items {
			batches = append(batches, slice.Labels[v1alpha1.LabelBatch])
		}
		return batches
	}, patience).Should(gomega.Equal([]string{"stays"}))
	if users := w.sim.Users(w.key); len(users) != 1503 {
		t.Errorf("the API holds %d users", len(users))
	}
	if requests := len(w.sim.Requests()) - before; requests != 0 {
		t.Errorf("deleting sent %d requests", requests)
	}
}
