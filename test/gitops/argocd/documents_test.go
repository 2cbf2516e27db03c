// SPDX-License-Identifier: Apache-2.0

package argocd_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/settings"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/embedded-user-operator/embedded-user-operator/test/gitops/gitopstest"
)

const argoproj = "argoproj.io/v1alpha1"

// parse returns a manifest as an object.
func parse(t *testing.T, manifest string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(manifest), &object.Object); err != nil {
		t.Fatal(err)
	}
	return object
}

func TestDocuments_TheApplicationIsValid(t *testing.T) {
	for _, manifest := range gitopstest.Manifests(t, argoproj, "Application") {
		var application v1alpha1.Application
		if err := yaml.UnmarshalStrict([]byte(manifest), &application); err != nil {
			t.Error(err)
		}
		if !application.Spec.SyncPolicy.SyncOptions.HasOption("ServerSideApply=true") {
			t.Error("the Application does not apply server-side")
		}
	}
}

// TestDocuments_TheProjectHidesSlices asks what Argo CD asks before it shows a child of a resource.
func TestDocuments_TheProjectHidesSlices(t *testing.T) {
	for _, manifest := range gitopstest.Manifests(t, argoproj, "AppProject") {
		var project v1alpha1.AppProject
		if err := yaml.UnmarshalStrict([]byte(manifest), &project); err != nil {
			t.Fatal(err)
		}
		for kind, want := range map[string]bool{"EmbeddedUserBatch": true, "EmbeddedUserSlice": false} {
			cluster := &v1alpha1.Cluster{Server: "https://kubernetes.default.svc"}
			got, err := project.IsResourcePermitted(schema.GroupKind{Group: "embedded.runalloy.com", Kind: kind}, "team-a", cluster, nil)
			if err != nil || got != want {
				t.Errorf("%s: permitted %t, %v", kind, got, err)
			}
		}
	}
}

func TestDocuments_TheExclusionHidesSlices(t *testing.T) {
	_, exclusion, found := strings.Cut(gitopstest.Document(t), "add to the list `resource.exclusions`")
	_, exclusion, fenced := strings.Cut(exclusion, "```yaml\n")
	exclusion, _, closed := strings.Cut(exclusion, "```")
	if !found || !fenced || !closed {
		t.Fatal("docs/gitops.md has no exclusion")
	}
	argocdCM := argocdCM(t)
	argocdCM.Data["resource.exclusions"] += exclusion
	filter, err := settingsOf(t, argocdCM).GetResourcesFilter()
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[string]bool{"EmbeddedUserBatch": false, "EmbeddedUserSlice": true} {
		if got := filter.IsExcludedResource("embedded.runalloy.com", kind, "https://kubernetes.default.svc"); got != want {
			t.Errorf("%s: excluded %t", kind, got)
		}
	}
}

// TestDocuments_StatusUpdatesAreIgnored shows that Argo CD, as it is by default, does not refresh for each change of a status.
func TestDocuments_StatusUpdatesAreIgnored(t *testing.T) {
	manager := settingsOf(t, argocdCM(t))
	enabled, err := manager.GetIsIgnoreResourceUpdatesEnabled()
	if err != nil || !enabled {
		t.Errorf("enabled %t, %v", enabled, err)
	}
	overrides, err := manager.GetIgnoreResourceUpdatesOverrides()
	if err != nil {
		t.Fatal(err)
	}
	if ignored := overrides["*/*"].IgnoreDifferences.JSONPointers; !slices.Contains(ignored, "/status") {
		t.Errorf("ignored: %v", ignored)
	}
	if got := settings.GetDefaultDiffOptions(); !got.IgnoreDifferencesOnResourceUpdates {
		t.Errorf("options: %+v", got)
	}
}
