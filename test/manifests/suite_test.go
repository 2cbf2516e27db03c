// SPDX-License-Identifier: Apache-2.0

// Package manifests tests what config renders: a real API server takes it, with strict validation and in namespaces that enforce the
// restricted Pod Security Standard, and its parts fit together.
package manifests

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

var (
	plane    *testenv.ControlPlane
	operator string // path of the program
)

func TestMain(m *testing.M) {
	testenv.Main(m, testenv.Options{}, func(started *testenv.ControlPlane) (err error) {
		plane = started
		if operator, err = testenv.Build(context.Background(), plane.Folder, "operator"); err != nil {
			return err
		}
		return installPrometheusCRDs()
	})
}

// installPrometheusCRDs installs the kinds of the Prometheus operator that config/prometheus has.
func installPrometheusCRDs() error {
	const module = "github.com/prometheus-operator/prometheus-operator"
	out, err := exec.Command("go", "-C", testenv.Root("test", "manifests", "crds"), "mod", "download", "-json", module).Output()
	if err != nil {
		return fmt.Errorf("downloading %s: %w", module, err)
	}
	var downloaded struct{ Dir string }
	if err := json.Unmarshal(out, &downloaded); err != nil {
		return fmt.Errorf("decoding what go mod download says: %w", err)
	}
	paths := []string{}
	for _, kind := range []string{"servicemonitors", "prometheusrules"} {
		paths = append(paths, filepath.Join(downloaded.Dir, "example", "prometheus-operator-crd", "monitoring.coreos.com_"+kind+".yaml"))
	}
	_, err = envtest.InstallCRDs(plane.Config, envtest.CRDInstallOptions{Paths: paths, ErrorIfPathMissing: true})
	return err
}

// render returns what Kustomize makes of a folder of config with components.
func render(t *testing.T, folder string, components ...string) string {
	t.Helper()
	manifests, err := plane.Render(t.Context(), folder, components...)
	if err != nil {
		t.Fatal(err)
	}
	return string(manifests)
}

// objects returns the objects of some kinds in manifests, or all.
func objects(t *testing.T, manifests string, kinds ...string) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	for decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifests), 4096); ; {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(object.Object) > 0 && (len(kinds) == 0 || slices.Contains(kinds, object.GetKind())) {
			all = append(all, object)
		}
	}
}

// decode returns the objects of a kind in manifests.
func decode[T any](t *testing.T, manifests, kind string) []T {
	t.Helper()
	var all []T
	for _, object := range objects(t, manifests, kind) {
		var decoded T
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &decoded); err != nil {
			t.Fatal(err)
		}
		all = append(all, decoded)
	}
	return all
}

// one returns the only object of a kind in manifests.
func one[T any](t *testing.T, manifests, kind string) T {
	t.Helper()
	all := decode[T](t, manifests, kind)
	if len(all) != 1 {
		t.Fatalf("there are %d objects of kind %s", len(all), kind)
	}
	return all[0]
}
