// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// TestBundle_TheChartHasTheSameObjects renders the chart and the bundles of Kustomize, and compares all fields.
func TestBundle_TheChartHasTheSameObjects(t *testing.T) {
	t.Parallel()
	tag := "image.tag=latest" // that of config/manager
	for name, tc := range map[string]struct {
		bundle string // a kustomization
		values string
	}{
		"the default":  {"resources: [config/default]", tag},
		"two replicas": {"resources: [config/ha]", tag + ",replicas=2"},
		"a NetworkPolicy": {
			"resources: [config/default]\ncomponents: [config/components/network-policy]",
			tag + ",networkPolicy.enabled=true",
		},
		"polled Secrets": {
			"resources: [config/default]\ncomponents: [config/components/secret-poll]",
			tag + ",secretPoll=1m",
		},
		"monitoring": {
			"resources: [config/default, config/prometheus]\nlabels: [{pairs: {app.kubernetes.io/name: embedded-user-operator}}]",
			tag + ",metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true,metrics.dashboard.enabled=true",
		},
		"some namespaces": {
			"resources: [config/namespaced, team-a, team-b]",
			tag + ",crds.install=false,watchNamespaces={team-a,team-b}",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := objects(t, kustomize(t, tc.bundle))
			for version, program := range helms {
				compareWithChart(t, version, want, render(t, program, "--set", tc.values))
			}
		})
	}
}

// TestBundle_TheChartInstallsTheSameRelease compares the chart with dist/install.yaml, which names a version as the chart does.
func TestBundle_TheChartInstallsTheSameRelease(t *testing.T) {
	t.Parallel()
	install, err := os.ReadFile(testenv.Root("dist", "install.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for version, program := range helms {
		compareWithChart(t, version, objects(t, string(install)), render(t, program))
	}
}

// compareWithChart compares what a bundle has with what the chart renders.
func compareWithChart(t *testing.T, version string, bundle map[string]*unstructured.Unstructured, rendered string) {
	t.Helper()
	chart := objects(t, rendered)
	for _, object := range chart {
		dropWhatHelmAdds(t, object)
	}
	compare(t, version, bundle, chart)
}

func compare(t *testing.T, version string, bundle, chart map[string]*unstructured.Unstructured) {
	t.Helper()
	for key, object := range chart {
		if bundle[key] == nil {
			t.Errorf("%s: only the chart has %s", version, key)
		} else if diff := cmp.Diff(bundle[key].Object, object.Object); diff != "" {
			t.Errorf("%s: %s differs (-bundle +chart):\n%s", version, key, diff)
		}
	}
	for key := range bundle {
		if chart[key] == nil {
			t.Errorf("%s: only the bundle has %s", version, key)
		}
	}
}

// kustomize renders a kustomization at the root of the repository. team-a and team-b stand for config/tenant in a namespace.
func kustomize(t *testing.T, kustomization string) string {
	t.Helper()
	root := t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(root, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(root, "config"), os.DirFS(testenv.Root("config"))); err != nil {
		t.Fatal(err)
	}
	write("kustomization.yaml", kustomization)
	for _, name := range []string{"team-a", "team-b"} {
		// The subject is in a namespace of its own, which the field namespace would change. The label is only in config/default.
		write(name+"/kustomization.yaml", fmt.Sprintf("resources: [../config/tenant]\n"+
			"labels: [{pairs: {app.kubernetes.io/name: embedded-user-operator}}]\n"+
			"patches:\n- patch: |\n    - {op: add, path: /metadata/namespace, value: %s}\n  target: {kind: Role|RoleBinding}\n", name))
	}
	return mustKubectl(t, "", "kustomize", root)
}

// objects decodes manifests, by kind, namespace and name. A Namespace is left out: helm install --create-namespace makes it.
func objects(t *testing.T, manifests string) map[string]*unstructured.Unstructured {
	t.Helper()
	found := map[string]*unstructured.Unstructured{}
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifests), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(object.Object) == 0 || object.GetKind() == "Namespace" {
			continue
		}
		key := object.GetAPIVersion() + " " + object.GetKind() + " " + object.GetNamespace() + "/" + object.GetName()
		if found[key] != nil {
			t.Errorf("%s is there twice", key)
		}
		found[key] = object
	}
}

// dropWhatHelmAdds removes what the chart may have in addition to the bundle, and checks that it is there.
func dropWhatHelmAdds(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	const instance = "app.kubernetes.io/instance"
	drop := func(fields ...string) {
		if _, ok, _ := unstructured.NestedString(object.Object, fields...); !ok {
			t.Errorf("%s %s lacks %v", object.GetKind(), object.GetName(), fields)
		}
		unstructured.RemoveNestedField(object.Object, fields...)
	}
	for _, label := range []string{"helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/version", instance} {
		drop("metadata", "labels", label)
	}
	// Two releases in a namespace must not select each other's pods.
	switch object.GetKind() {
	case "CustomResourceDefinition":
		drop("metadata", "annotations", "helm.sh/resource-policy")
	case "Service":
		drop("spec", "selector", instance)
	case "NetworkPolicy":
		drop("spec", "podSelector", "matchLabels", instance)
	case "PodDisruptionBudget", "ServiceMonitor":
		drop("spec", "selector", "matchLabels", instance)
	case "Deployment":
		drop("spec", "selector", "matchLabels", instance)
		drop("spec", "template", "metadata", "labels", instance)
		constraints, _, _ := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "topologySpreadConstraints")
		for _, constraint := range constraints {
			unstructured.RemoveNestedField(constraint.(map[string]any), "labelSelector", "matchLabels", instance)
		}
		if constraints != nil {
			_ = unstructured.SetNestedSlice(object.Object, constraints, "spec", "template", "spec", "topologySpreadConstraints")
		}
	}
}
