// SPDX-License-Identifier: Apache-2.0

// Package chart tests dist/chart with the programs of Helm 3 and 4, and against a real API server. There is no kubelet: nothing runs.
package chart

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	// The module has the CRDs of the Prometheus operator.
	_ "github.com/prometheus-operator/prometheus-operator/pkg/versionutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

const (
	release   = "embedded-user-operator"
	namespace = "embedded-user-operator-system"
)

var (
	plane    *testenv.ControlPlane
	operator string // path of the program
	folder   = testenv.Root("dist", "chart")
	// helms names the programs of Helm. They must be the output of make.
	helms = map[string]string{"Helm 3": testenv.Root("bin", "tools", "helm3"), "Helm 4": testenv.Root("bin", "tools", "helm")}
)

func TestMain(m *testing.M) {
	for _, program := range helms {
		if _, err := os.Stat(program); err != nil {
			fmt.Fprintln(os.Stderr, "make test-chart builds what these tests need:", err)
			os.Exit(1)
		}
	}
	prometheus, err := prometheusCRDs()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// The chart brings the operator's CRDs.
	configure := func(e *envtest.Environment) { e.CRDDirectoryPaths = prometheus }
	testenv.Main(m, testenv.Options{Configure: configure}, prepare)
}

// prometheusCRDs returns the paths of the CRDs that the chart can have objects of.
func prometheusCRDs() ([]string, error) {
	const module = "github.com/prometheus-operator/prometheus-operator"
	out, err := exec.CommandContext(context.Background(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return nil, fmt.Errorf("finding the CRDs of the Prometheus operator: %w", err)
	}
	crd := func(name string) string {
		return filepath.Join(strings.TrimSpace(string(out)), "example", "prometheus-operator-crd", "monitoring.coreos.com_"+name+".yaml")
	}
	return []string{crd("servicemonitors"), crd("prometheusrules")}, nil
}

// prepare builds the operator, and creates the namespaces that charts are rendered for. They admit only pods that are restricted, and
// warn of others.
func prepare(started *testenv.ControlPlane) (err error) {
	plane = started
	if operator, err = testenv.Build(context.Background(), plane.Folder, "operator"); err != nil {
		return err
	}
	for _, name := range []string{namespace, "team-a", "team-b"} {
		object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted",
		}}}
		if err := testenv.Create(context.Background(), plane.Client, object); err != nil {
			return fmt.Errorf("creating a namespace: %w", err)
		}
	}
	return nil
}

// helm runs a program of Helm as a user with an empty home does, and returns what it prints.
func helm(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, args...)
	home := t.TempDir()
	command.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home,
		"KUBECONFIG="+plane.Kubeconfig)
	out, err := command.CombinedOutput()
	return string(out), err
}

func mustHelm(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := helm(t, program, args...)
	if err != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// mustKubectl runs kubectl and returns what it prints, warnings included.
func mustKubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	command := plane.Kubectl(t.Context(), args...)
	command.Stdin = strings.NewReader(stdin)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// kubeVersion is that of the control plane. Helm 3 takes a very old one unless it is told.
const kubeVersion = "1.37.0"

// render returns the objects of the chart in YAML, without those of the test.
func render(t *testing.T, program string, args ...string) string {
	t.Helper()
	return mustHelm(t, program, append([]string{
		"template", release, folder, "--namespace", namespace, "--no-hooks", "--kube-version", kubeVersion,
	}, args...)...)
}

// valueSets returns the paths of the files in dist/chart/ci.
func valueSets(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "ci", "*-values.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("dist/chart/ci: %d files, %v", len(paths), err)
	}
	return paths
}
