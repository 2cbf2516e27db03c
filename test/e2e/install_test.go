// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
)

// installWithKustomize installs config/default as people do who try it with the simulator.
func installWithKustomize(c *cluster) {
	c.remove()
	c.deploySimulator()
	c.deploy()
	namespace := c.namespace("install")
	c.create(namespace, "customers", 10_000)
	c.awaitCreated(namespace, "customers", 10_000)

	var stats simulator.Stats
	c.ask("stats", &stats)
	want := simulator.Stats{Requests: map[simulator.Operation]int{simulator.Create: 10}, Users: 10_000}
	if diff := cmp.Diff(want, stats); diff != "" {
		c.Errorf("what the simulator has seen (-want +got):\n%s", diff)
	}
	c.Logf("kubectl get pods,eub\n%s\n%s", c.kubectl("get", "pods", "-n", system), c.kubectl("get", "eub", "-n", namespace))
	checkRestricted(c)
	checkMetrics(c, namespace)
	checkQuiet(c, namespace)
}

// checkRestricted checks that the namespaces take pods of the restricted profile only, so that the pods, which run, are such pods.
func checkRestricted(c *cluster) {
	c.Helper()
	for _, namespace := range []string{system, simulatorNamespace} {
		out, ok := c.tryKubectl("run", "root", "-n", namespace, "--image=root", "--dry-run=server")
		if ok || !strings.Contains(out, `violates PodSecurity "restricted`) {
			c.Errorf("%s takes a pod without a security context: %s", namespace, out)
		}
	}
	for _, pod := range c.pods() {
		if !slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Ready }) {
			c.Errorf("%s is not ready", pod.Name)
		}
	}
}

// checkMetrics reads the metrics as Prometheus does, and without the right to.
func checkMetrics(c *cluster, namespace string) {
	c.Helper()
	c.kubectl("create", "serviceaccount", "prometheus", "-n", namespace)
	c.kubectl("create", "serviceaccount", "stranger", "-n", namespace)
	binding := namespace + "-metrics"
	c.kubectl("create", "clusterrolebinding", binding, "--clusterrole=embedded-user-operator-metrics-reader",
		"--serviceaccount="+namespace+":prometheus")
	c.Cleanup(func() { c.kubectl("delete", "clusterrolebinding", binding) })
	url := "https://" + c.forward(system, "deployment/"+manager, 8443) + "/metrics"
	for account, want := range map[string]int{"stranger": http.StatusForbidden, "prometheus": http.StatusOK} {
		token := strings.TrimSpace(c.kubectl("create", "token", account, "-n", namespace))
		status, body := c.get(url, token)
		if status != want {
			c.Errorf("the metrics answer %d to the %s: %s", status, account, body)
		}
		if status == http.StatusOK {
			checkExposition(c, body)
		}
	}
	if status, _ := c.get(url, ""); status != http.StatusUnauthorized {
		c.Errorf("the metrics answer %d without a token", status)
	}
}

func checkExposition(c *cluster, body string) {
	c.Helper()
	const sent = `embeddeduser_alloy_requests_total{operation="batch_create",outcome="accepted"} 10`
	if !strings.Contains(body, sent+"\n") {
		c.Errorf("the metrics have no line %s", sent)
	}
	if strings.Contains(body, simulatorKey) || strings.Contains(body, "@example.com") {
		c.Error("the metrics name a key or a user")
	}
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "embeddeduser_") && !strings.Contains(line, "_bucket{") {
			c.Logf("%s", strings.TrimSpace(line))
		}
	}
}

// checkQuiet checks that a restart sends nothing when every user has a result.
func checkQuiet(c *cluster, namespace string) {
	c.Helper()
	before := c.countRequests()
	c.kubectl("rollout", "restart", "deployment/"+manager, "-n", system)
	c.rollOut()
	c.create(namespace, "later", 1)
	c.awaitCreated(namespace, "later", 1)
	if sent := c.countRequests() - before; sent != 1 {
		c.Errorf("%d requests for one user after a restart", sent)
	}
}

// get returns the status and body of a request with a token. The certificate of the metrics is self-signed.
func (c *cluster) get(url, token string) (status int, body string) {
	c.Helper()
	request, err := http.NewRequestWithContext(context.WithoutCancel(c.Context()), http.MethodGet, url, nil)
	c.must(err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	response, err := client.Do(request)
	c.must(err)
	defer response.Body.Close() //nolint:errcheck // only read
	var text bytes.Buffer
	_, err = io.Copy(&text, response.Body)
	c.must(err)
	return response.StatusCode, text.String()
}
