// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

const (
	enforce    = "pod-security.kubernetes.io/enforce"
	restricted = "restricted"
)

// parts are folders of which config/default consists. Their objects lack a namespace.
var parts = []string{"manager", "rbac"}

// renders returns everything that somebody may apply, by name.
func renders(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	install, err := os.ReadFile(testenv.Root("dist", "install.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	all["dist/install.yaml"] = string(install)
	for _, folder := range kustomizations(t, "Kustomization") {
		if !slices.Contains(parts, folder) {
			all["config/"+folder] = render(t, folder)
		}
	}
	var components []string
	for _, folder := range kustomizations(t, "Component") {
		component, isOurs := strings.CutPrefix(folder, "components/")
		if !isOurs { // it changes the kustomization of another product
			continue
		}
		components = append(components, component)
		for _, folder := range []string{"default", "namespaced", "tenant"} {
			all["config/"+folder+" with "+component] = render(t, folder, component)
		}
	}
	all["config/default with all components"] = render(t, "default", components...)
	return all
}

// kustomizations returns the folders of config that have a kustomization of a kind.
func kustomizations(t *testing.T, kind string) []string {
	t.Helper()
	var folders []string
	err := fs.WalkDir(os.DirFS(testenv.Root("config")), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Base(path) != "kustomization.yaml" {
			return err
		}
		text, err := os.ReadFile(testenv.Root("config", path))
		if strings.Contains(string(text), "\nkind: "+kind+"\n") {
			folders = append(folders, filepath.Dir(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return folders
}

// TestManifests_AreAppliedAndTheirPodsAdmitted applies without storing anything but namespaces.
func TestManifests_AreAppliedAndTheirPodsAdmitted(t *testing.T) {
	for name, manifests := range renders(t) {
		t.Run(name, func(t *testing.T) {
			createNamespaces(t, manifests)
			if out, err := dryRun(t, manifests); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			for _, deployment := range decode[appsv1.Deployment](t, manifests, "Deployment") {
				if err := plane.Client.Create(t.Context(), podOf(&deployment), client.DryRunAll); err != nil {
					t.Errorf("the pod of %s: %v", deployment.Name, err)
				}
				checkContainers(t, &deployment)
			}
		})
	}
}

func dryRun(t *testing.T, manifests string) (string, error) {
	t.Helper()
	command := plane.Kubectl(t.Context(), "apply", "--dry-run=server", "--validate=strict", "-f", "-")
	command.Stdin = strings.NewReader(manifests)
	out, err := command.CombinedOutput()
	return string(out), err
}

// createNamespaces creates the namespaces that manifests have or name, which enforce the restricted standard.
func createNamespaces(t *testing.T, manifests string) {
	t.Helper()
	names := map[string]struct{}{}
	for _, object := range objects(t, manifests) {
		if object.GetKind() == "Namespace" {
			if got := object.GetLabels()[enforce]; got != restricted {
				t.Errorf("namespace %s enforces %q", object.GetName(), got)
			}
			names[object.GetName()] = struct{}{}
		}
		if namespace := object.GetNamespace(); namespace != "" {
			names[namespace] = struct{}{}
		}
	}
	for name := range names {
		err := plane.Client.Create(t.Context(), &corev1.Namespace{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{enforce: restricted}},
		})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
}

// podOf returns the pod that a Deployment asks for.
func podOf(deployment *appsv1.Deployment) *corev1.Pod {
	template := deployment.Spec.Template.DeepCopy()
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Name, pod.Namespace = "of-a-deployment", deployment.Namespace
	return pod
}

// checkContainers checks that containers say when to pull their images, and has the operator parse the arguments of its own. With the tag
// latest the default is Always, and it stays in the live object when the image gets another tag.
func checkContainers(t *testing.T, deployment *appsv1.Deployment) {
	t.Helper()
	for _, container := range deployment.Spec.Template.Spec.Containers {
		if container.ImagePullPolicy != corev1.PullIfNotPresent {
			t.Errorf("container %s has the policy %q", container.Name, container.ImagePullPolicy)
		}
		if container.Name != "manager" {
			continue
		}
		out, err := exec.Command(operator, append(container.Args, "--version")...).CombinedOutput()
		if err != nil {
			t.Errorf("the operator does not understand %q: %v: %s", container.Args, err, out)
		}
	}
}

// TestManifests_WhatIsWrongIsRefused shows that the checks above can fail.
func TestManifests_WhatIsWrongIsRefused(t *testing.T) {
	manifests := render(t, "default")
	createNamespaces(t, manifests)
	if out, err := dryRun(t, strings.Replace(manifests, "\n  replicas: 1\n", "\n  replica: 1\n", 1)); err == nil ||
		!strings.Contains(out, `unknown field "spec.replica"`) {
		t.Errorf("an unknown field: %v: %s", err, out)
	}
	deployment := one[appsv1.Deployment](t, manifests, "Deployment")
	for name, weaken := range map[string]func(*corev1.PodSpec){
		"root":         func(pod *corev1.PodSpec) { pod.SecurityContext.RunAsNonRoot = nil },
		"seccomp":      func(pod *corev1.PodSpec) { pod.SecurityContext.SeccompProfile = nil },
		"escalation":   func(pod *corev1.PodSpec) { pod.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil },
		"capabilities": func(pod *corev1.PodSpec) { pod.Containers[0].SecurityContext.Capabilities = nil },
	} {
		pod := podOf(&deployment)
		weaken(&pod.Spec)
		if err := plane.Client.Create(t.Context(), pod, client.DryRunAll); !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
