// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/embedded-user-operator/embedded-user-operator/internal/controller"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/batch"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// manifest returns the pod of config/manager, its only container, and the options that its arguments set.
func manifest(t *testing.T) (corev1.PodSpec, corev1.Container, options) {
	t.Helper()
	manager, err := testenv.Manager()
	if err != nil {
		t.Fatal(err)
	}
	pod := manager.Spec.Template.Spec
	o, err := parse(pod.Containers[0].Args)
	if err != nil {
		t.Fatal(err)
	}
	return pod, pod.Containers[0], o
}

func TestManifest_TheGracePeriodIsLongerThanTheShutdown(t *testing.T) {
	t.Parallel()
	const exit = 5 * time.Second // for the process to end after the manager has stopped
	pod, _, o := manifest(t)
	controller.Configure(&o.manager, controller.Options{RequestTimeout: o.alloy.Timeout}, o.namespaces...)
	shutdown, grace := *o.manager.GracefulShutdownTimeout, time.Duration(*pod.TerminationGracePeriodSeconds)*time.Second
	if grace < shutdown+exit {
		t.Errorf("the shutdown takes up to %s, and the pod has %s", shutdown, grace)
	}
	if documented := o.alloy.Timeout + 15*time.Second; shutdown+exit > documented { // --help and docs/operator.md
		t.Errorf("the shutdown takes up to %s, and the documentation asks for %s", shutdown, documented)
	}
}

func TestManifest_TheMemoryIsEnoughForAllLists(t *testing.T) {
	t.Parallel()
	_, container, o := manifest(t)
	limit, lists := container.Resources.Limits.Memory().Value(), batch.ListsMemory(o.listMemory.Value())
	if len(container.Env) != 1 || container.Env[0].Name != "GOMEMLIMIT" {
		t.Fatalf("the environment is %v", container.Env)
	}
	goLimit, err := resource.ParseQuantity(container.Env[0].Value[:len(container.Env[0].Value)-1]) // Go writes MiB, Kubernetes Mi
	if err != nil {
		t.Fatal(err)
	}
	if goLimit.Value() < lists {
		t.Errorf("GOMEMLIMIT is %s, and the lists take up to %d MiB", goLimit.String(), lists>>20)
	}
	if limit < goLimit.Value()*5/4 { // Go's limit is a soft one
		t.Errorf("the limit is %d MiB, and GOMEMLIMIT %s", limit>>20, goLimit.String())
	}
}
