// SPDX-License-Identifier: Apache-2.0

package flux_test

import (
	"testing"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"sigs.k8s.io/yaml"

	"github.com/embedded-user-operator/embedded-user-operator/test/gitops/gitopstest"
)

// kustomizations returns the Kustomizations of Flux in docs/gitops.md. It ends the test if one has a field that does not exist.
func kustomizations(t *testing.T) (kustomizations []kustomizev1.Kustomization) {
	t.Helper()
	for _, manifest := range gitopstest.Manifests(t, "kustomize.toolkit.fluxcd.io/v1", "Kustomization") {
		var kustomization kustomizev1.Kustomization
		if err := yaml.UnmarshalStrict([]byte(manifest), &kustomization); err != nil {
			t.Fatalf("%v\n%s", err, manifest)
		}
		kustomizations = append(kustomizations, kustomization)
	}
	return kustomizations
}

func TestDocuments_TheKustomizationsWait(t *testing.T) {
	for _, kustomization := range kustomizations(t) {
		if spec := kustomization.Spec; !spec.Wait || spec.Timeout.Duration <= patienceOfTheOperator {
			t.Errorf("wait: %t, timeout: %s", spec.Wait, spec.Timeout.Duration)
		}
	}
}
