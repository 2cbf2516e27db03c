// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"strings"
	"testing"

	"github.com/onsi/gomega"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
)

// TestUpgrade_FromTheFirstPlanVersion has statuses as the operator wrote them that read lists by the rules of version 1.
func TestUpgrade_FromTheFirstPlanVersion(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.MustCreate(w.configMap("list", map[string]string{"users.csv": "username,fullName\nann,Ann\nbob,\nann,Ann\n\"x\ty\",\n"}))
	w.createFrom("b", configMapSource("list", "users.csv"), v1alpha1.User{Username: "inline"})
	w.CreateBatch("hidden", v1alpha1.User{Username: "cy"}, v1alpha1.User{Username: "dan"})
	before := w.Await("b", v1alpha1.ReasonInvalidUsers).Status
	w.Await("hidden", v1alpha1.ReasonSucceeded)
	w.halt()
	for _, name := range []string{"b", "hidden"} {
		patch := `{"status":{"repeatedRows":null,"plan":{"version":1}}}`
		if out, err := w.Kubectl("", "patch", "eub", name, "--subresource=status", "--type=merge", "-p", patch); err != nil {
			t.Fatal(out)
		}
	}
	// By the rules of version 1 "cy\u200b" is a username.
	w.Edit("hidden", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users[0].Username = "cy\u200b" })
	slices := w.Slices()
	for i := range slices {
		if strings.HasPrefix(slices[i].Name, "hidden") {
			slices[i].Spec.Users[0].Username = "cy\u200b"
			w.Must(w.Update(t.Context(), &slices[i]))
			slices[i].Status.Results[0].Username, slices[i].Status.ObservedGeneration = "cy\u200b", slices[i].Generation
			for j := range slices[i].Status.Conditions {
				slices[i].Status.Conditions[j].ObservedGeneration = slices[i].Generation
			}
			w.Must(w.Status().Update(t.Context(), &slices[i]))
		}
	}
	requests := len(w.Sim.Requests())

	w.start()
	w.Eventually(func() int32 { return w.Load("b").Status.Plan.Version }).Should(gomega.BeEquivalentTo(2))
	w.Equal("status", before, w.Load("b").Status)
	if before.RepeatedRows != 1 {
		t.Errorf("%d repeated rows", before.RepeatedRows)
	}
	status := w.Await("hidden", v1alpha1.ReasonInvalidUsers).Status
	w.Equal("counts of the list with a hidden character", v1alpha1.UserCounts{Total: 2, Created: 1, Invalid: 1}, status.Counts)
	for i, slice := range w.Slices() {
		if strings.HasPrefix(slice.Name, "b-") {
			w.Equal("slice", slices[i], slice)
		}
	}
	if after := w.Sim.Requests(); len(after) != requests {
		t.Errorf("%d requests were sent", len(after)-requests)
	}
}
