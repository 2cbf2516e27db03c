// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"path/filepath"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// upgrade begins with the bundle of an earlier commit, goes on with that of now, back to the earlier one, and forward again, each time
// while users are being sent. A bundle includes its CRDs.
func upgrade(c *cluster) {
	old, now := c.image(oldImage), c.image(operatorImage)
	bundle := filepath.Join(c.checkOut("config"), "config", "default")
	applyOld := func() {
		c.applyOverlay(bundle, withImage(old),
			withArg("--alloy-url=http://alloy-simulator.alloy-simulator.svc"), withArg("--allow-insecure-alloy-url"))
	}
	c.remove()
	applyOld()
	c.rollOut()
	namespace := c.namespace("upgrade")
	stored := c.storeBefore(namespace)
	for _, step := range []struct {
		name, image string
		apply       func()
	}{
		{"upgraded", now, func() { c.applyBundle() }},
		{"rolled-back", old, applyOld},
		{"forward", now, func() { c.applyBundle() }},
	} {
		c.sendDuring(namespace, step.name, step.apply)
		c.checkImage(step.image)
		c.checkStored(namespace, stored)
		c.checkNoRestarts()
	}
	c.must(testenv.CheckContract(c.Context(), c, namespace))
}

// storeBefore creates batches whose status stays: one whose users exist, and one with a row that is invalid by itself. It returns their
// results.
func (c *cluster) storeBefore(namespace string) map[string]map[string]v1alpha1.UserResult {
	c.Helper()
	c.create(namespace, "stored", 5_000)
	c.awaitCreated(namespace, "stored", 5_000)
	repeated := testenv.Batch(namespace, "repeated", testenv.Users("repeated", 2)...)
	repeated.Spec.Users = append(repeated.Spec.Users, v1alpha1.UserRow{Username: repeated.Spec.Users[0].Username, FullName: "Another"})
	c.must(testenv.Create(c.Context(), c, repeated))
	c.await(namespace, "repeated", v1alpha1.ReasonInvalidUsers)
	return map[string]map[string]v1alpha1.UserResult{
		"stored": c.results(namespace, "stored"), "repeated": c.results(namespace, "repeated"),
	}
}

// checkStored checks that batches of before are as they were, and that none of their users were sent again.
func (c *cluster) checkStored(namespace string, stored map[string]map[string]v1alpha1.UserResult) {
	c.Helper()
	c.awaitCreated(namespace, "stored", 5_000)
	c.await(namespace, "repeated", v1alpha1.ReasonInvalidUsers)
	for name, want := range stored {
		if diff := cmp.Diff(want, c.results(namespace, name)); diff != "" {
			c.Errorf("results of %s (-want +got):\n%s", name, diff)
		}
		c.checkSentOnce(name+"-", len(want))
	}
}

// sendDuring begins a rollout, which takes until the probe of the new pod succeeds, and has the users of a new batch sent during it: some
// of them by the old pod, and the others by the new one.
func (c *cluster) sendDuring(namespace, name string, begin func()) {
	c.Helper()
	const users = 50_000
	before := c.countRequests()
	begin()
	c.createFromFile(namespace, name, users)
	c.awaitRequests(before, 5)
	c.rollOut()
	sent := c.countRequests() - before
	if sent >= users/1000 {
		c.Errorf("the old pod sent all users of %s", name)
	}
	c.awaitCreated(namespace, name, users)
	c.Logf("%s: %d requests before the old pod was gone, %d in all", name, sent, c.checkSentOnce(name+"-", users))
}

// checkImage checks which image runs.
func (c *cluster) checkImage(want string) {
	c.Helper()
	for _, pod := range c.pods() {
		if got := pod.Spec.Containers[0].Image; !strings.HasSuffix(got, want) {
			c.Errorf("%s runs %s, not %s", pod.Name, got, want)
		}
	}
}
