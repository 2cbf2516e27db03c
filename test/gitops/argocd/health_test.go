// SPDX-License-Identifier: Apache-2.0

package argocd_test

import (
	"os"
	"slices"
	"testing"

	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/gitops-engine/pkg/health"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/embedded-user-operator/embedded-user-operator/test/gitops/gitopstest"
)

// healthOf returns the health that Argo CD gives an object, with the settings that our component makes.
func healthOf(t *testing.T, object *unstructured.Unstructured, overrides lua.ResourceHealthOverrides) *health.HealthStatus {
	t.Helper()
	got, err := health.GetResourceHealth(object, overrides)
	if err != nil {
		t.Fatal(err)
	}
	if got == nil {
		t.Fatalf("Argo CD has no health check for %s", object.GetKind())
	}
	return got
}

// TestHealth compares what Argo CD says of each situation with the tables in docs/gitops.md.
func TestHealth(t *testing.T) {
	overrides, err := settingsOf(t, argocdCM(t)).GetResourceOverrides()
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for _, situation := range gitopstest.Situations(t) {
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(situation.Object); err != nil {
			t.Fatal(err)
		}
		got := healthOf(t, object, overrides)
		rows = append(rows, []string{situation.Kind, situation.Name, string(got.Status), got.Message})
		if string(got.Status) != situation.ArgoCD {
			t.Errorf("%s: Argo CD says %s, docs/gitops.md says %s", situation, got.Status, situation.ArgoCD)
		}
		if want := messageOf(object); got.Message != want {
			t.Errorf("%s: Argo CD shows %q, want %q", situation, got.Message, want)
		}
	}
	t.Log(gitopstest.Table([]string{"kind", "situation", "Argo CD", "message"}, rows))
}

// messageOf returns the message that Argo CD must show: that of Ready, if it is about the present generation.
func messageOf(object *unstructured.Unstructured) string {
	observed, _, _ := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	isReady := func(c any) bool { return c.(map[string]any)["type"] == "Ready" }
	if i := slices.IndexFunc(conditions, isReady); i >= 0 && observed == object.GetGeneration() {
		return conditions[i].(map[string]any)["message"].(string)
	}
	return "Waiting for the operator to look at the latest spec"
}

// TestHealth_WithoutAStatus has Argo CD judge objects as an API server without the defaults of the CRD would return them.
func TestHealth_WithoutAStatus(t *testing.T) {
	overrides, err := settingsOf(t, argocdCM(t)).GetResourceOverrides()
	if err != nil {
		t.Fatal(err)
	}
	for name, status := range map[string]any{
		"none": nil, "empty": map[string]any{}, "without conditions": map[string]any{"observedGeneration": int64(1)},
	} {
		for _, kind := range gitopstest.Kinds {
			object := &unstructured.Unstructured{Object: map[string]any{"status": status}}
			object.SetAPIVersion("embedded.runalloy.com/v1alpha1")
			object.SetKind(kind)
			object.SetGeneration(1)
			if got := healthOf(t, object, overrides); got.Status != health.HealthStatusProgressing {
				t.Errorf("%s, status %s: %+v", kind, name, got)
			}
		}
	}
}

func TestHealth_TheConfigMapHasTheScript(t *testing.T) {
	script, err := os.ReadFile(gitopstest.Root("config", "argocd", "health.lua"))
	if err != nil {
		t.Fatal(err)
	}
	rendered := argocdCM(t)
	for _, kind := range gitopstest.Kinds {
		if rendered.Data["resource.customizations.health.embedded.runalloy.com_"+kind] != string(script) {
			t.Errorf("the script for %s is not health.lua; run make argocd-cm", kind)
		}
	}
	if rendered.Data["resource.exclusions"] == "" {
		t.Error("the component removes other settings")
	}
}

// TestHealth_ExternalSecrets shows that a sync wave after an ExternalSecret waits for the Secret.
func TestHealth_ExternalSecrets(t *testing.T) {
	for _, manifest := range gitopstest.Manifests(t, "external-secrets.io/v1", "ExternalSecret") {
		for status, want := range map[string]health.HealthStatusCode{
			"": health.HealthStatusProgressing, "True": health.HealthStatusHealthy, "False": health.HealthStatusDegraded,
		} {
			object := parse(t, manifest)
			if status != "" {
				object.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": status, "message": "m"}}}
			}
			if got := healthOf(t, object, nil); got.Status != want {
				t.Errorf("Ready %q: %+v", status, got)
			}
		}
	}
}
