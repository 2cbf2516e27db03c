// SPDX-License-Identifier: Apache-2.0

package argocd_test

import (
	"context"
	"encoding/json"
	"time"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/gitops-engine/pkg/health"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"k8s.io/apimachinery/pkg/util/wait"
)

// testActions runs actions on a batch in a cluster as Argo CD does, and looks at its health and whether it is still in sync.
func testActions(c *cluster) {
	target := c.target(parse(c.T, `
apiVersion: embedded.runalloy.com/v1alpha1
kind: EmbeddedUserBatch
metadata: {name: acted-on}
spec: {apiKeySecretRef: {name: alloy}, users: [{username: acted-on-1}, {username: acted-on-2}]}
`))
	c.must(c.apply(target, true))
	c.awaitStatus(target)
	vm := actionsVM(c.T)
	for _, step := range []struct {
		action  string
		offered []string // afterwards
		health  health.HealthStatusCode
		suspend bool
	}{
		{"suspend", []string{"resume"}, health.HealthStatusSuspended, true},
		{"resume", []string{"reconcile", "suspend"}, health.HealthStatusHealthy, false},
	} {
		c.act(target, step.action)
		c.awaitHealth(target, step.health)
		live := c.live(target)
		if suspended, _, _ := unstructured.NestedBool(live.Object, "spec", "suspend"); suspended != step.suspend {
			c.Errorf("after %s: spec.suspend is %t", step.action, suspended)
		}
		if diff := cmp.Diff(step.offered, offered(c.T, vm, live)); diff != "" {
			c.Errorf("after %s (-want +got):\n%s", step.action, diff)
		}
		c.isSynced(target, step.action)
	}
	c.act(target, "reconcile")
	at := c.live(target).GetAnnotations()[reconcileAt]
	if parsed, err := time.Parse(time.RFC3339, at); err != nil || time.Since(parsed) > patience {
		c.Errorf("reconcile at %q: %v", at, err)
	}
	c.isSynced(target, "reconcile")
}

// act runs an action on the object that is stored, and stores the result.
func (c *cluster) act(target *unstructured.Unstructured, action string) {
	c.Helper()
	live := c.live(target)
	before, err := json.Marshal(live)
	c.must(err)
	after, err := json.Marshal(run(c.T, actionsVM(c.T), live, action))
	c.must(err)
	patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch(before, after, before)
	c.must(err)
	c.Logf("%s patches %s", action, patch)
	c.kubectl("", "patch", "eub", target.GetName(), "--type=merge", "-p", string(patch))
}

// awaitHealth waits until Argo CD says so of the object that is stored.
func (c *cluster) awaitHealth(target *unstructured.Unstructured, want health.HealthStatusCode) {
	c.Helper()
	var got *health.HealthStatus
	err := wait.PollUntilContextTimeout(c.Context(), 100*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		got = healthOf(c.T, c.live(target), actionsVM(c.T).ResourceOverrides)
		return got.Status == want, nil
	})
	if err != nil {
		c.Fatalf("health: %+v, want %s", got, want)
	}
	c.Logf("health: %s, %s", got.Status, got.Message)
}

// isSynced checks that the target is in sync after an action, in every mode.
func (c *cluster) isSynced(target *unstructured.Unstructured, after string) {
	c.Helper()
	for _, m := range modes {
		if got := c.compare(target, m, c.settings); got != v1alpha1.SyncStatusCodeSynced {
			c.Errorf("after %s, %s: %s", after, m.name, got)
		}
	}
}
