// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the operator as it is installed, on a real cluster: images, manifests, rights, upgrades and rollouts.
//
// The scenarios run in a fixed order on one cluster, and each of them also runs alone. Each says at its beginning how the operator is
// installed. What they need of the cluster is in CONTRIBUTING.md.
package e2e

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller"
)

// onCluster is set by make test-e2e. The tests remove the operator and its CRDs from the cluster.
var onCluster = flag.Bool("cluster", false, "run the tests on the cluster of KUBECONFIG")

// scenarios in the order in which they run.
var scenarios = []struct {
	name string
	run  func(*cluster)
}{
	{"Kustomize installs the operator, and the first 10,000 users take ten requests", installWithKustomize},
	{"the second replica goes on when the leading pod is deleted", failOver},
	{"a rolling update while 100,000 users are being sent loses nothing and sends nobody twice", updateWhileSending},
	{"hostile lists do not make the pod exceed its memory limit", survive},
	{"requests go through a proxy, and those to the API server do not", sendThroughProxy},
	{"batches and users outlive the operator, and users outlive the CRDs", uninstall},
	{"an upgrade, a rollback and another upgrade send nobody twice", upgrade},
	{"an install with Roles only works, and cannot read Secrets elsewhere", installNamespaced},
	{"Helm installs, upgrades, rolls back and removes the operator", installWithHelm},
}

func TestOperator(t *testing.T) {
	if !*onCluster {
		t.Skip("make test-e2e runs it")
	}
	log.SetLogger(logr.Discard())
	s := newSuite(t)
	s.on(t).deploySimulator()
	for _, scenario := range scenarios {
		t.Run(scenario.name, func(t *testing.T) {
			c := s.on(t)
			defer c.report() // before the cleanup functions
			scenario.run(c)
		})
	}
}

// suite is what the scenarios share.
type suite struct {
	client client.Client
	loaded map[string]bool // names of images
}

// newSuite connects to the cluster.
func newSuite(t *testing.T) *suite {
	t.Helper()
	if kubeconfig() == "" {
		t.Fatal("KUBECONFIG must name the kubeconfig of a cluster for tests: the operator and its CRDs are removed from it")
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1 // no limit
	s := &suite{loaded: map[string]bool{}}
	if s.client, err = client.New(config, client.Options{Scheme: controller.NewScheme()}); err != nil {
		t.Fatal(err)
	}
	s.refuseUsedCluster(t)
	return s
}

// kubeconfig returns the path of the cluster's kubeconfig. There is no default, so that nobody tests on a cluster by mistake.
func kubeconfig() string { return os.Getenv("KUBECONFIG") }

// refuseUsedCluster ends the test if somebody uses the operator in the cluster.
func (s *suite) refuseUsedCluster(t *testing.T) {
	t.Helper()
	var batches v1alpha1.EmbeddedUserBatchList
	if err := s.client.List(t.Context(), &batches); err != nil {
		return // there is no CRD
	}
	for i := range batches.Items {
		if namespace := batches.Items[i].Namespace; !strings.HasPrefix(namespace, namespacePrefix) {
			t.Fatalf("the cluster has the batch %s in %s; these tests would remove it", batches.Items[i].Name, namespace)
		}
	}
}

// on returns the cluster for a test.
func (s *suite) on(t *testing.T) *cluster { return newCluster(t, s) }

// background returns a context that is valid in cleanup functions too.
func background(t testing.TB) context.Context { return context.WithoutCancel(t.Context()) }

// mustRun runs a command and returns its standard output.
func mustRun(t testing.TB, command *exec.Cmd) string {
	t.Helper()
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", command, err, out, stderr.String())
	}
	return string(out)
}
