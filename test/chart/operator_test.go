// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/batch"
)

// TestOperator_TakesTheFlags shows that the operator knows every flag that the chart sets, and takes its value.
func TestOperator_TakesTheFlags(t *testing.T) {
	t.Parallel()
	for _, path := range valueSets(t) {
		container := manager(t, "--values", path)
		out, err := exec.CommandContext(t.Context(), operator, append(container.Args, "--version")...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: operator %s: %v\n%s", filepath.Base(path), container.Args, err, out)
		}
	}
}

// TestOperator_HasTheDefaultsThatTheValuesName compares the comments in values.yaml with --help.
func TestOperator_HasTheDefaultsThatTheValuesName(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), operator, "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	values, err := os.ReadFile(filepath.Join(folder, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for value, flag := range map[string]string{
		"url": "alloy-url", "apiVersion": "alloy-api-version", "timeout": "alloy-timeout", "listTimeout": "alloy-list-timeout",
		"maxInFlight": "alloy-max-in-flight", "maxInFlightTotal": "alloy-max-in-flight-total", "linger": "alloy-linger",
		"requestsPerSecond": "alloy-requests-per-second", "burst": "alloy-burst",
	} {
		comment := regexp.MustCompile("# @default -- `(.*)`\n  # @section -- Alloy API\n  " + value + ": null\n").FindSubmatch(values)
		if comment == nil {
			t.Errorf("values.yaml names no default of alloy.%s", value)
			continue
		}
		help := regexp.MustCompile(`--` + flag + ` .*\(default "?` + regexp.QuoteMeta(string(comment[1])) + `"?\)`)
		if !help.Match(out) {
			t.Errorf("the default of --%s is not %s", flag, comment[1])
		}
	}
	if !strings.Contains(string(out), "(default 256Mi)") { // the chart leaves out this value of --max-list-memory
		t.Error("the default of --max-list-memory is not 256Mi")
	}
}

// TestMemory_FollowsFromOneValue checks what the memory limit is divided into.
func TestMemory_FollowsFromOneValue(t *testing.T) {
	t.Parallel()
	for _, limit := range []string{"232Mi", "256Mi", "300Mi", "511Mi", "512Mi", "513Mi", "768Mi", "1Gi", "1500Mi", "2Gi", "16Gi"} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			container := manager(t, "--set", "memory.limit="+limit)
			most := container.Resources.Limits.Memory().Value()
			goLimit := quantity(t, strings.TrimSuffix(container.Env[0].Value, "B"))
			list := int64(256 << 20)
			for _, arg := range container.Args {
				if value, ok := strings.CutPrefix(arg, "--max-list-memory="); ok {
					list = quantity(t, value)
				}
			}
			if all := batch.ListsMemory(list); goLimit < all+8<<20 {
				t.Errorf("GOMEMLIMIT is %d MiB, and the lists take %d MiB", goLimit>>20, all>>20)
			}
			if most < goLimit*5/4 || most < goLimit+112<<20 { // Go's limit is a soft one
				t.Errorf("the limit is %d MiB, and GOMEMLIMIT %d MiB", most>>20, goLimit>>20)
			}
			if limit == "512Mi" && (goLimit != 400<<20 || list != 256<<20) {
				t.Errorf("GOMEMLIMIT is %d MiB, and a list may take %d MiB", goLimit>>20, list>>20)
			}
		})
	}
}

func quantity(t *testing.T, text string) int64 {
	t.Helper()
	parsed, err := resource.ParseQuantity(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Value()
}

// manager returns the operator's container as the chart renders it.
func manager(t *testing.T, args ...string) corev1.Container {
	t.Helper()
	for _, object := range objects(t, render(t, helms["Helm 4"], args...)) {
		if object.GetKind() == "Deployment" {
			return containerOf(t, object)
		}
	}
	t.Fatal("there is no Deployment")
	panic("unreachable")
}

func containerOf(t *testing.T, object *unstructured.Unstructured) corev1.Container {
	t.Helper()
	deployment := &appsv1.Deployment{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, deployment); err != nil {
		t.Fatal(err)
	}
	return deployment.Spec.Template.Spec.Containers[0]
}
