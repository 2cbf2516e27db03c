// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// uninstall removes the operator while it sends users, installs it again, and removes everything.
func uninstall(c *cluster) {
	const users, prefix = 60_000, "uninstall"
	c.deploy()
	namespace, before := c.namespace(prefix), c.countRequests()
	c.createFromFile(namespace, prefix, users)
	c.awaitRequests(before, 5)
	c.makeTarget("undeploy")
	stopped := c.countRequests() - before
	batch := testenv.Batch(namespace, prefix)
	c.must(c.Get(c.Context(), client.ObjectKeyFromObject(batch), batch)) // it is still there
	recorded := c.results(namespace, prefix)
	if held := len(c.held(prefix + "-")); held != len(recorded) || held == 0 || held == users {
		c.Errorf("the API has %d users, and the slices have %d results", held, len(recorded))
	}
	if out := c.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name"); strings.Contains(out, "embedded-user-operator") {
		c.Errorf("something was left over: %s", out)
	}

	c.deploy()
	c.awaitCreated(namespace, prefix, users)
	c.Logf("%d requests before the operator was removed, %d in all", stopped, c.checkSentOnce(prefix+"-", users))
	later := c.results(namespace, prefix)
	for username := range later {
		if _, ok := recorded[username]; !ok {
			delete(later, username)
		}
	}
	if diff := cmp.Diff(recorded, later); diff != "" {
		c.Errorf("results of before (-want +got):\n%s", diff)
	}

	c.makeTarget("undeploy")
	if out := c.kubectl("get", "eub", "-n", namespace, "-o", "name"); strings.Count(out, "\n") != 1 {
		c.Errorf("the batches without an operator: %s", out)
	}
	c.makeTarget("uninstall")
	if out, ok := c.tryKubectl("get", "eub", "-A"); ok {
		c.Errorf("the CRDs are still there: %s", out)
	}
	if held := len(c.held(prefix + "-")); held != users {
		c.Errorf("%d users are left in the API", held)
	}
}
