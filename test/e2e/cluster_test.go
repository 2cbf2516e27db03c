// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

const (
	// namespacePrefix is that of the tests' namespaces.
	namespacePrefix = "e2e-"
	// system is the operator's namespace, and manager its Deployment and ServiceAccount.
	system  = "embedded-user-operator-system"
	manager = "embedded-user-operator-manager"
	// patience bounds every wait: the images are there, but the machine may be slow and the operator may wait for a request timeout.
	patience = 4 * time.Minute
)

// cluster is what a test acts on and observes. Its methods end the test if they fail. Eventually waits for patience.
type cluster struct {
	testing.TB
	client.Client
	*gomega.WithT
	*suite
}

func newCluster(t *testing.T, s *suite) *cluster {
	t.Helper()
	c := &cluster{TB: t, Client: s.client, WithT: gomega.NewWithT(t), suite: s}
	c.SetDefaultEventuallyTimeout(patience)
	c.SetDefaultEventuallyPollingInterval(200 * time.Millisecond)
	return c
}

// must ends the test if there is an error.
func (c *cluster) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// kubectl returns the output of kubectl, which must succeed.
func (c *cluster) kubectl(args ...string) string {
	c.Helper()
	return mustRun(c.TB, c.kubectlCommand(args...))
}

// tryKubectl returns the output of kubectl, errors included, and whether it succeeded.
func (c *cluster) tryKubectl(args ...string) (string, bool) {
	c.Helper()
	out, err := c.kubectlCommand(args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err == nil
}

// apply applies manifests as text.
func (c *cluster) apply(manifests string) {
	c.Helper()
	command := c.kubectlCommand("apply", "--server-side", "-f", "-")
	command.Stdin = strings.NewReader(manifests)
	mustRun(c.TB, command)
}

func (c *cluster) kubectlCommand(args ...string) *exec.Cmd {
	return exec.CommandContext(background(c.TB), cmp.Or(os.Getenv("KUBECTL"), "kubectl"), args...)
}

// makeTarget runs a target of the Makefile.
func (c *cluster) makeTarget(target string) {
	c.Helper()
	command := exec.CommandContext(c.Context(), "make", "--no-print-directory", target)
	command.Dir = testenv.Root()
	mustRun(c.TB, command)
}

// namespace creates a namespace with the simulator's key in a Secret. It is deleted at the end of the test.
func (c *cluster) namespace(name string) string {
	c.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: namespacePrefix + name + "-"}}
	c.must(c.Create(c.Context(), namespace))
	c.Cleanup(func() { c.kubectl("delete", "namespace", namespace.Name, "--wait=false") })
	c.must(testenv.WriteKey(c.Context(), c, namespace.Name, testenv.SecretName, simulatorKey))
	return namespace.Name
}

// rollOut waits until the new pods of the operator are ready and the old ones gone.
func (c *cluster) rollOut() {
	c.Helper()
	c.kubectl("rollout", "status", "deployment/"+manager, "-n", system, "--timeout", patience.String())
	c.Eventually(func() int { return len(c.pods()) }).Should(gomega.Equal(c.replicas()), "an old pod is still there")
}

// pods returns the operator's pods.
func (c *cluster) pods() []corev1.Pod {
	c.Helper()
	var pods corev1.PodList
	c.must(c.List(c.Context(), &pods, client.InNamespace(system), client.MatchingLabels{"app.kubernetes.io/component": "manager"}))
	return pods.Items
}

// restarts counts how often the containers of the operator's pods were restarted, and says why.
func (c *cluster) checkNoRestarts() {
	c.Helper()
	for _, pod := range c.pods() {
		for _, container := range pod.Status.ContainerStatuses {
			if container.RestartCount > 0 {
				c.Errorf("%s was restarted %d times: %+v", pod.Name, container.RestartCount, container.LastTerminationState.Terminated)
			}
		}
	}
}

// await waits until the batch's Ready condition has one of the reasons, for the current generation.
func (c *cluster) await(namespace, name string, reasons ...string) *v1alpha1.EmbeddedUserBatch {
	c.Helper()
	batch := &v1alpha1.EmbeddedUserBatch{}
	c.Eventually(func() string {
		if err := c.Get(c.Context(), client.ObjectKey{Namespace: namespace, Name: name}, batch); err != nil {
			return err.Error()
		}
		if batch.Status.ObservedGeneration != batch.Generation {
			return "not observed"
		}
		return testenv.Condition(batch.Status.Conditions, v1alpha1.ConditionReady).Reason
	}).Should(gomega.BeElementOf(reasons), func() string { return batch.Name + ": " + c.describe(batch) })
	return batch
}

func (c *cluster) describe(batch *v1alpha1.EmbeddedUserBatch) string {
	ready := testenv.Condition(batch.Status.Conditions, v1alpha1.ConditionReady)
	return strings.Join([]string{string(ready.Status), ready.Reason, ready.Message}, " ")
}

// awaitCreated waits until a batch is Ready, and checks that this operator created all of its n users.
func (c *cluster) awaitCreated(namespace, name string, n int) {
	c.Helper()
	batch := c.await(namespace, name, v1alpha1.ReasonSucceeded)
	if want := (v1alpha1.UserCounts{Total: int32(n), Created: int32(n)}); batch.Status.Counts != want {
		c.Errorf("the counts of %s are %+v, not %+v", name, batch.Status.Counts, want)
	}
}

// results returns the results in the slices of a batch by username.
func (c *cluster) results(namespace, batch string) map[string]v1alpha1.UserResult {
	c.Helper()
	results := map[string]v1alpha1.UserResult{}
	var slices v1alpha1.EmbeddedUserSliceList
	c.must(c.List(c.Context(), &slices, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelBatch: batch}))
	for i := range slices.Items {
		for _, result := range slices.Items[i].Status.Results {
			results[result.Username] = result
		}
	}
	return results
}

// report logs what the cluster shows, and after a failure what may explain it.
func (c *cluster) report() {
	show := func(args ...string) {
		out, _ := c.tryKubectl(args...)
		c.Logf("kubectl %s\n%s", strings.Join(args, " "), out)
	}
	show("get", "pods", "-n", system, "-o", "wide")
	if c.Failed() {
		show("get", "eub", "-A", "-o", "wide")
		show("get", "pods", "-A")
		show("get", "events", "-n", system, "--sort-by=.lastTimestamp")
		show("logs", "-n", system, "-l", "app.kubernetes.io/component=manager", "--tail=15", "--prefix")
	}
}
