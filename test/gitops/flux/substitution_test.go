// SPDX-License-Identifier: Apache-2.0

package flux_test

import (
	"strings"
	"testing"

	fluxkustomize "github.com/fluxcd/pkg/kustomize"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/provider"

	"github.com/embedded-user-operator/embedded-user-operator/test/gitops/gitopstest"
)

// TestSubstitution has Flux substitute variables in a batch of docs/gitops.md, with and without the annotation that forbids it.
func TestSubstitution(t *testing.T) {
	const annotation, username = "    kustomize.toolkit.fluxcd.io/substitute: disabled\n", "username: ${not_a_variable}"
	for _, manifest := range gitopstest.Manifests(t, "embedded.runalloy.com/v1alpha1", "EmbeddedUserBatch") {
		if !strings.Contains(manifest, username) {
			continue
		}
		if got := substituted(t, manifest); got != "" {
			t.Errorf("with the annotation Flux makes of it:\n%s", got)
		}
		without := strings.Replace(manifest, annotation, "    another: annotation\n", 1)
		without = strings.Replace(without, username, username+"\n  - username: costs $5", 1)
		got := substituted(t, without)
		if strings.Contains(got, "not_a_variable") || !strings.Contains(got, "costs $5") {
			t.Errorf("without the annotation Flux makes of it:\n%s", got)
		}
		return
	}
	t.Error("docs/gitops.md has no batch with a username that Flux would change")
}

// substituted returns what Flux makes of a manifest; "" if it leaves it alone.
func substituted(t *testing.T, manifest string) string {
	t.Helper()
	resource, err := provider.NewDefaultDepProvider().GetResourceFactory().FromBytes([]byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	kustomization := unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{"postBuild": map[string]any{"substitute": map[string]any{"team": "a"}}},
	}}
	result, err := fluxkustomize.SubstituteVariables(t.Context(), nil, kustomization, resource)
	if err != nil {
		t.Fatal(err)
	}
	if result == nil {
		return ""
	}
	return result.MustYaml()
}
