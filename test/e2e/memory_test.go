// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"slices"
	"strings"

	"github.com/embedded-user-operator/embedded-user-operator/test/hostile/lists"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// survive creates several batches with each of some lists that take the most memory, under the limit of the bundle's container.
func survive(c *cluster) {
	const atOnce = 4
	c.deploy()
	if limit := c.pods()[0].Spec.Containers[0].Resources.Limits.Memory().String(); limit != "512Mi" {
		c.Errorf("the memory limit is %s", limit)
	}
	all := lists.All()
	namespaces := map[string]string{}
	for i, name := range []string{
		"two million duplicates", "long names of emoji", "YAML of commas", "YAML of pairs", "one row of 60 MiB",
	} {
		namespace := c.namespace(fmt.Sprintf("list-%d", i))
		namespaces[name] = namespace
		sources, err := all[name].Store(c.Context(), c, namespace)
		c.must(err)
		for j := range atOnce {
			batch := testenv.Batch(namespace, fmt.Sprintf("list-%d", j))
			batch.Spec.UsersFrom = sources
			c.must(testenv.Create(c.Context(), c, batch))
		}
	}
	neighbour := c.namespace("neighbour")
	c.create(neighbour, "neighbour", 1_000)
	c.awaitCreated(neighbour, "neighbour", 1_000)
	for name, namespace := range namespaces {
		for j := range atOnce {
			c.await(namespace, fmt.Sprintf("list-%d", j), all[name].Want...)
		}
	}
	c.checkNoRestarts()
	c.logMemory()
}

// logMemory logs what the node says about the memory of the operator's pod.
func (c *cluster) logMemory() {
	c.Helper()
	pod := c.pods()[0]
	out, _ := c.tryKubectl("get", "--raw", "/api/v1/nodes/"+pod.Spec.NodeName+"/proxy/metrics/resource")
	c.Log(linesWith(out, "container_memory_working_set_bytes", `container="manager"`))
}

// linesWith returns the lines of a text that have all parts.
func linesWith(text string, parts ...string) string {
	var found []string
	for line := range strings.Lines(text) {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return strings.Join(found, "\n")
}
