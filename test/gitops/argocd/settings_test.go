// SPDX-License-Identifier: Apache-2.0

// Package argocd tests, with the libraries of Argo CD, what docs/gitops.md says of it.
package argocd_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/argoproj/argo-cd/v3/util/settings"
	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/yaml"

	"github.com/embedded-user-operator/embedded-user-operator/test/gitops/gitopstest"
)

// installed is an argocd-cm as Argo CD installs it, shortened, and with a namespace, as some installations have it.
const installed = `
apiVersion: v1
kind: ConfigMap
metadata:
  name: argocd-cm
  namespace: argocd
  labels: {app.kubernetes.io/name: argocd-cm, app.kubernetes.io/part-of: argocd}
data:
  resource.exclusions: |
    - apiGroups: ['', discovery.k8s.io]
      kinds: [Endpoints, EndpointSlice]
`

const kustomization = `
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [argocd-cm.yaml]
components: [component]
`

// argocdCM returns the ConfigMap after kustomize has added our component.
func argocdCM(t *testing.T) *corev1.ConfigMap {
	t.Helper()
	folder := t.TempDir()
	for name, text := range map[string]string{"argocd-cm.yaml": installed, "kustomization.yaml": kustomization} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(folder, "component"), os.DirFS(gitopstest.Root("config", "argocd"))); err != nil {
		t.Fatal(err)
	}
	kubectl := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl")
	out, err := exec.CommandContext(t.Context(), kubectl, "kustomize", folder).Output()
	if err != nil {
		t.Fatalf("rendering config/argocd (KUBEBUILDER_ASSETS must be the output of hack/control-plane.sh): %v", err)
	}
	var rendered corev1.ConfigMap
	if err := yaml.UnmarshalStrict(out, &rendered); err != nil {
		t.Fatal(err)
	}
	return &rendered
}

// settingsOf returns the settings that Argo CD reads from the ConfigMap.
func settingsOf(t *testing.T, argocdCM *corev1.ConfigMap) *settings.SettingsManager {
	t.Helper()
	logrus.SetOutput(io.Discard)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Name: "argocd-secret", Namespace: argocdCM.Namespace, Labels: map[string]string{"app.kubernetes.io/part-of": "argocd"},
	}}
	return settings.NewSettingsManager(t.Context(), fake.NewClientset(argocdCM, secret), argocdCM.Namespace)
}
