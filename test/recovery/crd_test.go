// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"context"
	"strings"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// TestOldCRD_IsNamedInTheStatus runs the operator with a CRD that lacks a field of the status.
func TestOldCRD_IsNamedInTheStatus(t *testing.T) {
	w := newWorld(t, "old-crd", simulator.Options{})
	const field = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/plan"
	if out, err := w.Kubectl("", "patch", "crd", "embeddeduserbatches."+v1alpha1.SchemeGroupVersion.Group,
		"--type=json", "-p", `[{"op":"remove","path":"`+field+`"}]`); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Cleanup(func() {
		if err := deploy(context.Background()); err != nil {
			t.Error(err)
		}
	})
	w.start()
	w.createBatch("b", 3)
	status := w.Await("b", v1alpha1.ReasonPlanRejected).Status
	ready := testenv.Condition(status.Conditions, v1alpha1.ConditionReady)
	if !strings.Contains(ready.Message, "refused the whole status") || !strings.Contains(ready.Message, "plan") {
		t.Errorf("message: %s", ready.Message)
	}
	w.Must(deploy(t.Context()))
	w.Await("b", v1alpha1.ReasonSucceeded)
}
