// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestAdmission_EachSetOfValuesIsAdmitted lints and renders the chart with each set of values in dist/chart/ci. The API server must take
// the objects without a warning, also those of the test, and admit the pods as restricted ones.
func TestAdmission_EachSetOfValuesIsAdmitted(t *testing.T) {
	t.Parallel()
	for _, path := range valueSets(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), "-values.yaml"), func(t *testing.T) {
			t.Parallel()
			for version, program := range helms {
				mustHelm(t, program, "lint", "--strict", folder, "--values", path, "--kube-version", kubeVersion)
				manifests := mustHelm(t, program, "template", release, folder, "--namespace", namespace,
					"--kube-version", kubeVersion, "--values", path)
				out := mustKubectl(t, manifests, "apply", "--dry-run=server", "--validate=strict", "-f", "-")
				if strings.Contains(strings.ToLower(out), "warning") {
					t.Errorf("%s:\n%s", version, out)
				}
				admitPods(t, objects(t, manifests))
			}
		})
	}
}

// admitPods lets the API server admit the pods, which nobody creates here from the Deployment.
func admitPods(t *testing.T, rendered map[string]*unstructured.Unstructured) {
	t.Helper()
	admitted := 0
	for key, object := range rendered {
		pod := &corev1.Pod{}
		switch object.GetKind() {
		case "Deployment":
			template, _, err := unstructured.NestedMap(object.Object, "spec", "template")
			if err == nil {
				err = runtime.DefaultUnstructuredConverter.FromUnstructured(template, pod)
			}
			if err != nil {
				t.Fatal(err)
			}
			pod.Name = "of-the-deployment"
		case "Pod":
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, pod); err != nil {
				t.Fatal(err)
			}
		default:
			continue
		}
		pod.Namespace = namespace
		if err := plane.Client.Create(t.Context(), pod, client.DryRunAll); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		admitted++
	}
	if admitted != 2 {
		t.Errorf("%d pods, and not that of the operator and that of the test", admitted)
	}
}

// TestAdmission_RefusesAPodThatIsNotRestricted shows that the namespace would refuse a pod of the chart that may do more.
func TestAdmission_RefusesAPodThatIsNotRestricted(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "pod", Namespace: namespace},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "manager", Image: "embedded-user-operator:v0.1.0"}}},
	}
	err := plane.Client.Create(t.Context(), pod, client.DryRunAll)
	if err == nil || !strings.Contains(err.Error(), `violates PodSecurity "restricted`) {
		t.Errorf("the API server says %v", err)
	}
}
