// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// TestSharing_ManySmallBatchesTakeFewRequests starts the operator after the batches exist.
func TestSharing_ManySmallBatchesTakeFewRequests(t *testing.T) {
	const batches = 300
	w := newWorld(t, simulator.Options{Latency: 50 * time.Millisecond})
	w.halt()
	w.options.Linger, w.options.SharePause = 200*time.Millisecond, 2*time.Second
	w.SetKey(w.Key)
	for i := range batches {
		w.CreateBatch(fmt.Sprintf("small-%d", i), v1alpha1.User{Username: fmt.Sprintf("user-%d", i)}, v1alpha1.User{Username: "everybody's"})
	}
	w.start()
	var list v1alpha1.EmbeddedUserBatchList
	w.Eventually(func() int {
		list = v1alpha1.EmbeddedUserBatchList{}
		w.Must(w.List(t.Context(), &list, client.InNamespace(w.Namespace)))
		ready := 0
		for _, batch := range list.Items {
			if testenv.Condition(batch.Status.Conditions, v1alpha1.ConditionReady).Reason == v1alpha1.ReasonSucceeded {
				ready++
			}
		}
		return ready
	}).Should(gomega.Equal(batches))

	var sum v1alpha1.UserCounts
	for _, batch := range list.Items {
		sum.Total += batch.Status.Counts.Total
		sum.Created += batch.Status.Counts.Created
		sum.Existing += batch.Status.Counts.Existing
	}
	w.Equal("all counts together", v1alpha1.UserCounts{Total: 2 * batches, Created: batches + 1, Existing: batches - 1}, sum)
	if _, requests := w.Sent(); requests > batches/10 {
		t.Errorf("%d requests were sent", requests)
	}
	for _, r := range w.Sim.Requests() {
		if r.Overlapped {
			t.Error("two requests at once had the same username")
		}
	}
}

func TestConfigure_EachSetOfNamespacesHasALeaseOfItsOwn(t *testing.T) {
	t.Parallel()
	lease := func(namespaces ...string) string {
		var options manager.Options
		controller.Configure(&options, controller.Options{}, namespaces...)
		if isDefault := options.NewCache == nil; isDefault != (len(namespaces) == 0) {
			t.Errorf("for %v the cache is the default one: %t", namespaces, isDefault)
		}
		return options.LeaderElectionID
	}
	if all, a, b := lease(), lease("a"), lease("b"); all == a || a == b {
		t.Errorf("leases: %s, %s, %s", all, a, b)
	}
	if lease("a", "b") != lease("b", "a", "b") {
		t.Error("the order of the namespaces matters, or a repetition")
	}
	named := manager.Options{LeaderElectionID: "named"}
	if controller.Configure(&named, controller.Options{}, "a"); named.LeaderElectionID != "named" {
		t.Errorf("the lease has the name %s", named.LeaderElectionID)
	}
}
