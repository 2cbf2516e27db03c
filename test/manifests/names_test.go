// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// TestNames_ReachTheBatch renders the sample with generators, a prefix and hashes.
func TestNames_ReachTheBatch(t *testing.T) {
	manifests := render(t, "samples/kustomize")
	batch := one[v1alpha1.EmbeddedUserBatch](t, manifests, "EmbeddedUserBatch")
	referred := []string{"Secret " + batch.Spec.APIKeySecretRef.Name}
	for _, source := range batch.Spec.UsersFrom {
		switch {
		case source.ConfigMapKeyRef != nil:
			referred = append(referred, "ConfigMap "+source.ConfigMapKeyRef.Name)
		case source.SecretKeyRef != nil:
			referred = append(referred, "Secret "+source.SecretKeyRef.Name)
		}
	}
	var generated []string
	for _, secret := range decode[corev1.Secret](t, manifests, "Secret") {
		generated = append(generated, "Secret "+secret.Name)
	}
	for _, configMap := range decode[corev1.ConfigMap](t, manifests, "ConfigMap") {
		generated = append(generated, "ConfigMap "+configMap.Name)
	}
	slices.Sort(referred)
	slices.Sort(generated)
	if diff := cmp.Diff(generated, referred); diff != "" {
		t.Errorf("generated and referred (-want +got):\n%s", diff)
	}
	for _, name := range generated {
		_, name, _ = strings.Cut(name, " ")
		if parts := strings.Split(name, "-"); len(parts) != 3 || parts[0] != "acme" {
			t.Errorf("%q has no prefix, or no hash", name)
		}
	}
}
