// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/onsi/gomega"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// release is the name of the Helm release. Names of objects begin with it.
const release = "embedded-user-operator"

// installWithHelm installs the chart, changes it, rolls it back and removes it, each time while users are being sent.
func installWithHelm(c *cluster) {
	c.remove()
	c.kubectl("create", "namespace", system)
	c.kubectl("label", "namespace", system, "pod-security.kubernetes.io/enforce=restricted")
	namespace := c.namespace("helm")

	began := time.Now()
	repository, tag := splitImage(c.image(operatorImage))
	notes := c.helm("install", release, testenv.Root("dist", "chart"), "--wait", "--timeout", patience.String(),
		"--set", "image.repository="+repository, "--set", "image.tag="+tag,
		"--set", "alloy.url=http://alloy-simulator.alloy-simulator.svc", "--set", "alloy.allowInsecureURL=true")
	c.create(namespace, "first", 1_000)
	c.awaitCreated(namespace, "first", 1_000)
	c.Logf("helm install: the first batch was Ready after %s\n%s", time.Since(began).Round(time.Second), notes)
	if took := time.Since(began); took > time.Minute {
		c.Errorf("the first batch was Ready after %s, not within a minute", took)
	}
	c.Log(c.helm("test", release, "--timeout", patience.String()))

	c.sendDuring(namespace, "helm-upgraded", func() {
		c.helm("upgrade", release, testenv.Root("dist", "chart"), "--reuse-values", "--set", "logLevel=debug")
	})
	c.sendDuring(namespace, "helm-rolled-back", func() {
		c.helm("rollback", release)
	})
	if args := c.pods()[0].Spec.Containers[0].Args; strings.Contains(strings.Join(args, " "), "debug") {
		c.Errorf("the rollback left the arguments %q", args)
	}
	c.checkNoRestarts()

	c.helm("uninstall", release, "--wait", "--timeout", patience.String())
	if out := c.kubectl("get", "eub", "-n", namespace, "-o", "name"); strings.Count(out, "\n") != 3 {
		c.Errorf("the batches without an operator: %s", out)
	}
	c.Eventually(func() string { // Helm does not wait for the pods of a Deployment that it deletes
		return c.kubectl("get", "all,clusterroles,clusterrolebindings", "-n", system, "-o", "name")
	}).ShouldNot(gomega.ContainSubstring(release), "what is left over")
	if held := len(c.held("first-")); held != 1_000 {
		c.Errorf("%d of the first 1000 users are left in the API", held)
	}
	c.makeTarget("uninstall")
	if out, ok := c.tryKubectl("get", "eub", "-A"); ok {
		c.Errorf("the CRDs are still there: %s", out)
	}
}

// helm returns the output of Helm for the operator's namespace.
func (c *cluster) helm(args ...string) string {
	c.Helper()
	program := []string{"go", "tool", "-modfile=hack/helm/go.mod", "helm"}
	if own := os.Getenv("HELM"); own != "" {
		program = strings.Fields(own)
	}
	args = slices.Concat(program[1:], args, []string{"--namespace", system})
	command := exec.CommandContext(background(c.TB), program[0], args...)
	command.Dir = testenv.Root()
	return mustRun(c.TB, command)
}

// splitImage returns the repository and the tag of an image.
func splitImage(name string) (repository, tag string) {
	at := strings.LastIndex(name, ":")
	return name[:at], name[at+1:]
}
