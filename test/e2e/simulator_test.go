// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"strings"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

const (
	simulatorNamespace = "alloy-simulator"
	simulatorKey       = "simulator-key"
	// latency of the simulated API, so that four requests take a second.
	latency = "250ms"
)

// deploySimulator installs the simulated API with no users.
func (c *cluster) deploySimulator() {
	c.Helper()
	c.applyOverlay(testenv.Root("config", "simulator"), withImage(c.image(simulatorImage)), withArg("--latency="+latency))
	c.kubectl("rollout", "restart", "deployment/alloy-simulator", "-n", simulatorNamespace)
	c.kubectl("rollout", "status", "deployment/alloy-simulator", "-n", simulatorNamespace, "--timeout", patience.String())
}

// ask decodes what the simulator says about itself. The request goes through the API server, because the cluster may be elsewhere.
func (c *cluster) ask(what string, into any) {
	c.Helper()
	text := c.kubectl("get", "--raw", "/api/v1/namespaces/"+simulatorNamespace+"/services/http:alloy-simulator:http/proxy/simulator/"+what)
	c.must(json.Unmarshal([]byte(text), into))
}

// requests returns all requests to the simulator.
func (c *cluster) requests() (requests []simulator.Request) {
	c.Helper()
	c.ask("requests", &requests)
	return requests
}

// countRequests returns the number of requests to the simulator.
func (c *cluster) countRequests() (n int) {
	c.Helper()
	var stats simulator.Stats
	c.ask("stats", &stats)
	for _, count := range stats.Requests {
		n += count
	}
	return n
}

// awaitRequests waits until the simulator has got n more requests than before.
func (c *cluster) awaitRequests(before, n int) {
	c.Helper()
	c.Eventually(c.countRequests).Should(gomega.BeNumerically(">=", before+n), "requests")
}

// held returns the usernames in the simulator that begin with a prefix.
func (c *cluster) held(prefix string) (usernames []string) {
	c.Helper()
	var all []string
	c.ask("users", &all)
	for _, username := range all {
		if strings.HasPrefix(username, prefix) {
			usernames = append(usernames, username)
		}
	}
	return usernames
}

// checkSentOnce checks that the simulator has the n users with a prefix, and that each was in one request only. It returns the number
// of these requests.
func (c *cluster) checkSentOnce(prefix string, n int) (requests int) {
	c.Helper()
	if held := len(c.held(prefix)); held != n {
		c.Errorf("the API has %d users of %s, not %d", held, prefix, n)
	}
	sent := map[string]int{}
	for _, request := range c.requests() {
		counts := false
		for _, username := range request.Usernames {
			if strings.HasPrefix(username, prefix) {
				sent[username]++
				counts = true
			}
		}
		if request.Overlapped {
			c.Error("two requests with the same user ran at once")
		}
		if counts {
			requests++
		}
	}
	twice := 0
	for _, times := range sent {
		if times > 1 {
			twice++
		}
	}
	if twice > 0 || len(sent) != n {
		c.Errorf("%d users of %s were sent, %d of them more than once", len(sent), prefix, twice)
	}
	return requests
}

// create creates a batch of n users in the object itself.
func (c *cluster) create(namespace, name string, n int) {
	c.Helper()
	c.must(testenv.Create(c.Context(), c, testenv.Batch(namespace, name, testenv.Users(name, n)...)))
}

// createFromFile creates a batch of n users from a compressed CSV in a ConfigMap. Its users begin with the name and a hyphen.
func (c *cluster) createFromFile(namespace, name string, n int) {
	c.Helper()
	var text strings.Builder
	text.WriteString("username,fullName\n")
	for _, user := range testenv.Users(name, n) {
		text.WriteString(user.Username + "," + user.FullName + "\n")
	}
	var file bytes.Buffer
	zip := gzip.NewWriter(&file)
	_, err := zip.Write([]byte(text.String()))
	c.must(errors.Join(err, zip.Close()))
	object := metav1.ObjectMeta{Namespace: namespace, Name: name}
	c.must(testenv.Create(c.Context(), c, &corev1.ConfigMap{ObjectMeta: object, BinaryData: map[string][]byte{"users.csv.gz": file.Bytes()}}))
	batch := testenv.Batch(namespace, name)
	batch.Spec.UsersFrom = []v1alpha1.UsersSource{{ConfigMapKeyRef: &v1alpha1.UsersKeyReference{Name: name, Key: "users.csv.gz"}}}
	c.must(testenv.Create(c.Context(), c, batch))
}
