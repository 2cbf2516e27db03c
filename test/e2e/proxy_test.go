// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"

	"github.com/onsi/gomega"
)

// proxyManifests is a proxy in a namespace: %[1]s the namespace, %[2]s the image.
const proxyManifests = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: proxy, namespace: %[1]s}
spec:
  selector: {matchLabels: {app: proxy}}
  strategy: {type: Recreate}
  template:
    metadata: {labels: {app: proxy}}
    spec:
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 65532}
      containers:
      - name: proxy
        image: %[2]s
        imagePullPolicy: IfNotPresent
        readinessProbe: {httpGet: {path: /, port: 3128}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: proxy, namespace: %[1]s}
spec:
  selector: {app: proxy}
  ports: [{port: 3128}]
`

// sendThroughProxy runs the operator behind a proxy, first for everything, to see that the proxy sees the traffic to the API server,
// and then for everything but that.
func sendThroughProxy(c *cluster) {
	const users = 3_000
	namespace := c.namespace("proxy")
	c.apply(fmt.Sprintf(proxyManifests, namespace, c.image(proxyImage)))
	c.kubectl("rollout", "status", "deployment/proxy", "-n", namespace, "--timeout", patience.String())
	url := "http://proxy." + namespace + ".svc:3128"
	through := []operation{withEnv("HTTP_PROXY", url), withEnv("HTTPS_PROXY", url)}
	toAPIServer := c.kubectl("get", "service", "kubernetes", "-n", "default", "-o", "jsonpath=CONNECT {.spec.clusterIP}:")
	const toSimulator = "POST alloy-simulator.alloy-simulator.svc"

	c.deploy(through...)
	c.Eventually(func() string { return c.proxied(namespace) }).Should(gomega.ContainSubstring(toAPIServer))

	// Kubernetes replaces $(NAME) by an environment variable of the pod.
	c.deploy(append(through, withEnv("NO_PROXY", "$(KUBERNETES_SERVICE_HOST)"))...)
	c.kubectl("rollout", "restart", "deployment/proxy", "-n", namespace) // with an empty log
	c.kubectl("rollout", "status", "deployment/proxy", "-n", namespace, "--timeout", patience.String())
	c.create(namespace, "proxied", users)
	c.awaitCreated(namespace, "proxied", users)
	requests := c.checkSentOnce("proxied-", users)
	log := c.proxied(namespace)
	if got := strings.Count(log, toSimulator+"\n"); got != requests || got != strings.Count(log, "\n") {
		c.Errorf("the simulator got %d requests, and the proxy saw:\n%s", requests, log)
	}
}

// proxied returns what the running proxy saw.
func (c *cluster) proxied(namespace string) string {
	c.Helper()
	return c.kubectl("logs", "-n", namespace, "deployment/proxy", "--tail=-1")
}
