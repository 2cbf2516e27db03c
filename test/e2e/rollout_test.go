// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"time"

	"github.com/onsi/gomega"
)

// failOver deletes the leading pod of two while users are being sent.
func failOver(c *cluster) {
	const users, prefix = 30_000, "failover"
	c.deploy()
	c.kubectl("scale", "deployment/"+manager, "-n", system, "--replicas=2")
	c.rollOut()
	first := c.leader()
	namespace, before := c.namespace(prefix), c.countRequests()
	c.createFromFile(namespace, prefix, users)
	c.awaitRequests(before, 8)
	deleted := time.Now()
	c.kubectl("delete", "pod", first, "-n", system, "--wait=false")
	c.Eventually(c.leader).ShouldNot(gomega.Or(gomega.BeEmpty(), gomega.Equal(first)), "the leader")
	c.Logf("another pod leads after %s, with %d requests sent", time.Since(deleted).Round(time.Millisecond), c.countRequests()-before)
	c.awaitCreated(namespace, prefix, users)
	c.Logf("%d users in %d requests, ready %s after the pod was deleted", users, c.checkSentOnce(prefix+"-", users),
		time.Since(deleted).Round(time.Second))
	c.rollOut()
	c.checkNoRestarts()
}

// updateWhileSending replaces the only pod while it sends users.
func updateWhileSending(c *cluster) {
	const users, prefix = 100_000, "update"
	c.deploy()
	namespace, before := c.namespace(prefix), c.countRequests()
	c.createFromFile(namespace, prefix, users)
	c.awaitRequests(before, 20)
	began := time.Now()
	c.kubectl("rollout", "restart", "deployment/"+manager, "-n", system)
	c.rollOut()
	sent := c.countRequests() - before
	c.Logf("the new pod is the only one after %s, with %d requests sent", time.Since(began).Round(time.Second), sent)
	if sent >= users/1000 {
		c.Error("everything was sent before the new pod took over, so this tests nothing")
	}
	c.awaitCreated(namespace, prefix, users)
	c.Logf("%d users in %d requests, ready %s after the update began", users, c.checkSentOnce(prefix+"-", users),
		time.Since(began).Round(time.Second))
	c.checkNoRestarts()
}
