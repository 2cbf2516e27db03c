// SPDX-License-Identifier: Apache-2.0

package argocd_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	cdcommon "github.com/argoproj/argo-cd/v3/common"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/gitops-engine/pkg/sync"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/embedded-user-operator/embedded-user-operator/test/gitops/gitopstest"
)

// sync applies objects in their waves as Argo CD does, until the operation ends. It calls between after each step.
func (c *cluster) sync(between func(), targets ...*unstructured.Unstructured) (phase common.OperationPhase, message string) {
	c.Helper()
	var results []common.ResourceSyncResult
	started := metav1.Now()
	phase = common.OperationRunning
	err := wait.PollUntilContextTimeout(c.Context(), 200*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		reconciled := sync.ReconciliationResult{Target: targets, Live: make([]*unstructured.Unstructured, len(targets))}
		for i, target := range targets {
			reconciled.Live[i] = c.live(target)
		}
		step, cleanup, err := sync.NewSyncContext("revision", reconciled, c.config, c.config, argoKubectl, namespace, c.schema,
			sync.WithLogr(logr.Discard()),
			sync.WithHealthOverride(lua.ResourceHealthOverrides(c.settings)),
			sync.WithInitialState(phase, message, results, started),
			sync.WithServerSideApply(true), sync.WithServerSideApplyManager(cdcommon.ArgoCDSSAManager))
		if err != nil {
			return false, err
		}
		defer cleanup()
		step.Sync()
		phase, message, results = step.GetState()
		between()
		return phase.Completed(), nil
	})
	if err != nil {
		c.Fatalf("the sync did not end: %v, %s, %s, %+v", err, phase, message, results)
	}
	return phase, message
}

// testWaves syncs a batch whose Secret comes later, or has a wrong key, and a ConfigMap in the next wave.
func testWaves(c *cluster) {
	for name, tc := range map[string]struct {
		key   string
		phase common.OperationPhase
		next  bool // the next wave is applied
	}{
		"good-key":  {gitopstest.Key, common.OperationSucceeded, true},
		"wrong-key": {"wrong", common.OperationFailed, false},
	} {
		c.Run(name, func(t *testing.T) {
			c := c.in(t)
			first := c.target(batch(t, name, fmt.Sprintf(`{"apiKeySecretRef": {"name": %q}, "users": [{"username": %q}]}`, name, name)))
			next := c.target(parse(t, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "`+name+`"}}`))
			next.SetAnnotations(map[string]string{"argocd.argoproj.io/sync-wave": "1"})
			missing := false // the Secret, which is created once the operator has said so
			phase, message := c.sync(func() {
				if got := reasonOf(c.live(first)); !missing && got == "SecretNotFound" {
					if c.live(next) != nil {
						t.Error("the next wave did not wait")
					}
					missing = true
					c.kubectl("", "create", "secret", "generic", name, "--from-literal=apiKey="+tc.key)
				}
			}, first, next)
			if phase != tc.phase || !missing || (c.live(next) != nil) != tc.next {
				t.Errorf("the sync is %s (%s), the Secret was missing: %t, the next wave was applied: %t",
					phase, message, missing, c.live(next) != nil)
			}
		})
	}
}

// reasonOf returns the reason of Ready.
func reasonOf(object *unstructured.Unstructured) string {
	if object == nil {
		return ""
	}
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, condition := range conditions {
		if condition := condition.(map[string]any); condition["type"] == "Ready" {
			return condition["reason"].(string)
		}
	}
	return ""
}
