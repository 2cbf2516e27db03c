package recovery

import (
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// TestRestore_OfEtcd restores etcd from a backup under a running operator, which knows newer versions of the objects.
func TestRestore_OfEtcd(t *testing.T) {
	w := newWorld(t, "restore", simulator.Options{})
	w.start()
	w.createBatch("edited", 3)
	w.Await("edited", v1alpha1.ReasonSucceeded)
	restore, err := plane.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	w.Edit("edited", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users = testenv.Users("edited", 1500) })
	w.createBatch("lost", 3)
	w.Await("edited", v1alpha1.ReasonSucceeded)
	w.Await("lost", v1alpha1.ReasonSucceeded)
	if err := restore(); err != nil {
		t.Fatal(err)
	}
	w.createBatch("after", 3)
	w.Await("after", v1alpha1.ReasonSucceeded)
	if counts := w.Await("edited", v1alpha1.ReasonSucceeded).Status.Counts; counts.Total != 3 {
		t.Errorf("counts after the restore: %+v", counts)
	}
	w.Edit("edited", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users = testenv.Users("edited", 4) })
	if counts := w.Await("edited", v1alpha1.ReasonSucceeded).Status.Counts; counts.Total != 4 {
		t.Errorf("counts: %+v", counts)
	}
}
