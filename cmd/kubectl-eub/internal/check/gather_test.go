// SPDX-License-Identifier: Apache-2.0

package check

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

func TestVersionOf(t *testing.T) {
	const digest = "@sha256:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"
	for image, want := range map[string]string{
		"ghcr.io/owner/embedded-user-operator:v0.1.0":    "v0.1.0",
		"localhost:5000/embedded-user-operator:v0.1.0":   "v0.1.0",
		"localhost:5000/embedded-user-operator":          "",
		"ghcr.io/embedded-user-operator:v0.1.0" + digest: "v0.1.0",
		"localhost:5000/embedded-user-operator" + digest: "", // and not that of the other container
		"embedded-user-operator":                         "",
	} {
		d := &appsv1.Deployment{}
		d.Spec.Template.Spec.Containers = []corev1.Container{
			{Name: "proxy", Image: "registry.example.com/proxy:v7.8.9"}, {Name: "manager", Image: image},
		}
		if got := versionOf(d); got != want {
			t.Errorf("%s: %q", image, got)
		}
	}
}
