// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"strings"
	"testing"

	"github.com/onsi/gomega"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
)

// TestRoles_WhoMayReadUsers binds the roles that people have, with the real controller that puts them together.
func TestRoles_WhoMayReadUsers(t *testing.T) {
	w := newWorld(t, "roles", simulator.Options{})
	aggregation, err := plane.StartRoleAggregation()
	w.Must(err)
	t.Cleanup(aggregation.Kill)
	roles := []string{"view", "edit", "admin", "embedded-user-operator-slice-viewer"}
	for _, role := range roles {
		if out, err := w.Kubectl("", "create", "rolebinding", role, "--clusterrole="+role, "--user="+role); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	may := func(user, verb, resource string) string {
		out, _ := w.Kubectl("", "auth", "can-i", verb, resource, "--as="+user) // no is an error
		return strings.TrimSpace(out)
	}
	// Each role gets all rules in one write.
	for _, role := range roles[:3] {
		w.Eventually(func() string { return may(role, "list", "embeddeduserbatches") }).Should(gomega.Equal("yes"))
	}
	for role, want := range map[string]map[string]string{
		"view": {
			"get embeddeduserslices": "no", "list embeddeduserslices": "no", "watch embeddeduserslices": "no", "get secrets": "no",
			"get embeddeduserbatches": "yes", "create embeddeduserbatches": "no",
		},
		"edit": {
			"list embeddeduserslices": "yes", "get secrets": "yes", "create embeddeduserbatches": "yes",
			"update embeddeduserslices": "no",
		},
		"admin":  {"list embeddeduserslices": "yes", "get secrets": "yes", "create embeddeduserbatches": "yes"},
		roles[3]: {"list embeddeduserslices": "yes", "get secrets": "no", "list embeddeduserbatches": "no"},
	} {
		for what, want := range want {
			verb, resource, _ := strings.Cut(what, " ")
			if got := may(role, verb, resource); got != want {
				t.Errorf("may %s %s: %s", role, what, got)
			}
		}
	}
}

func TestDeleteAll_LeavesTheLedger(t *testing.T) {
	w := newWorld(t, "delete-all", simulator.Options{})
	w.start()
	w.createBatch("b", 3)
	w.Await("b", v1alpha1.ReasonSucceeded)
	if out, err := w.Kubectl("", "delete", "all", "--all"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if batch := w.Load("b"); !batch.DeletionTimestamp.IsZero() {
		t.Error("the batch is being deleted")
	}
	if slices := w.Slices(); len(slices) != 1 {
		t.Errorf("%d slices are left", len(slices))
	}
	if out, err := w.Kubectl("", "get", "alloy", "-o", "name"); err != nil || len(strings.Fields(out)) != 2 {
		t.Errorf("the category alloy has %v: %s", err, out)
	}
}
