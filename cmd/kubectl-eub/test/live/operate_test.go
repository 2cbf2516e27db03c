// SPDX-License-Identifier: Apache-2.0

package live

import (
	"strings"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

func TestSuspendAndResume(t *testing.T) {
	w := newWorld(t, "suspend", simulator.Options{})
	batch := w.Batch("customers", testenv.Users("customer", 3)...)
	w.MustCreate(batch)
	out := w.mustRun(editor, "suspend", "customers")
	if !strings.HasPrefix(out, "embeddeduserbatch.embedded.runalloy.com/customers suspended\n") {
		t.Error(out)
	}
	w.start()
	out = w.mustRun(editor, "suspend", "customers", "--wait", "--timeout", "90s")
	if !strings.Contains(out, "was suspended already") || !strings.Contains(out, "suspend/customers Suspended: 0 of 3 users done") {
		t.Error(out)
	}
	out = w.mustRun(editor, "resume", "customers", "--wait", "--timeout", "90s")
	if !strings.Contains(out, "customers resumed\n") || !strings.Contains(out, "suspend/customers Ready: 3 of 3 users done") {
		t.Error(out)
	}
	if w.Load("customers").Spec.Suspend {
		t.Error("the batch is suspended")
	}
	w.Equal("users", 3, len(w.Sim.Users(w.Key)))
	w.Equal("-o name", "embeddeduserbatch.embedded.runalloy.com/customers\n", w.mustRun(editor, "resume", "customers", "-o", "name"))
}

func TestRetry_CreatesWhatSomebodyDeleted(t *testing.T) {
	w := newWorld(t, "retry", simulator.Options{})
	w.start()
	w.CreateBatch("customers", testenv.Users("customer", 3)...)
	w.Await("customers", v1alpha1.ReasonSucceeded)
	w.Sim.Delete(w.Key, "customer-00001@example.com")
	out := w.mustRun(editor, "retry", "customers", "--wait", "--timeout", "90s")
	if !strings.Contains(out, "retry/customers Ready: 3 of 3 users done") {
		t.Error(out)
	}
	w.Equal("users", 3, len(w.Sim.Users(w.Key)))
}

func TestRetry_OfASuspendedBatchIsNotWaitedFor(t *testing.T) {
	w := newWorld(t, "retry-suspended", simulator.Options{})
	w.CreateBatch("customers", testenv.Users("customer", 1)...)
	w.Edit("customers", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Suspend = true })
	_, errOut, code := w.run(editor, "retry", "customers", "--wait")
	if code != 1 || !strings.Contains(errOut, "kubectl eub resume customers -n retry-suspended; nothing was changed") {
		t.Errorf("exit code %d, %s", code, errOut)
	}
	if a := w.Load("customers").Annotations; len(a) > 0 {
		t.Error(a)
	}
}

func TestApprove_CreatesTheUsersInAnotherAccount(t *testing.T) {
	w := newWorld(t, "approve", simulator.Options{Keys: []string{"key-of-another-account"}})
	w.start()
	w.CreateBatch("customers", testenv.Users("customer", 3)...)
	w.Await("customers", v1alpha1.ReasonSucceeded)
	if _, errOut, code := w.run(editor, "approve", "customers"); code != 1 || !strings.Contains(errOut, "asks for no approval") {
		t.Errorf("exit code %d, %s", code, errOut)
	}
	w.SetKey("key-of-another-account")
	w.Await("customers", v1alpha1.ReasonAccountChanged)
	out := w.mustRun(editor, "approve", "customers", "--wait", "--timeout", "90s")
	for _, part := range []string{"You approve this: 3 of 3 users that exist are missing", "approve/customers Ready: 3 of 3 users done"} {
		if !strings.Contains(out, part) {
			t.Errorf("%q is missing: %s", part, out)
		}
	}
	w.Equal("users of the other account", 3, len(w.Sim.Users("key-of-another-account")))
	if strings.Contains(out, "key-of-another-account") {
		t.Error("the key is printed: " + out)
	}
}

func TestOperate_SaysWhatIsMissing(t *testing.T) {
	w := newWorld(t, "operate-rights", simulator.Options{})
	w.CreateBatch("customers", testenv.Users("customer", 1)...)
	for _, args := range [][]string{{"retry", "customers"}, {"suspend", "customers"}} {
		_, errOut, code := w.run(viewer, args...)
		if code != 1 || !strings.Contains(errOut, "you may not patch embeddeduserbatches in namespace operate-rights; the role edit may") {
			t.Errorf("%v: exit code %d, %s", args, code, errOut)
		}
	}
	_, errOut, code := w.run(editor, "resume", "customers", "--wait", "--timeout", "1s") // there is no operator
	if code != 3 || !strings.Contains(errOut, "it has not happened after 1s") {
		t.Errorf("exit code %d, %s", code, errOut)
	}
}
