// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"strings"
	"testing"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// patchReferences changes the schema of the references in both CRDs. It has no default for the key of a Secret and rules for names;
// loose gives it that default and removes the rules, as they were before.
func (w *world) patchReferences(loose bool) {
	w.Helper()
	const spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties"
	const key = spec + "/apiKeySecretRef/properties/key/default"
	change := func(crd string, operations ...string) {
		if out, err := w.Kubectl("", "patch", "crd", crd+"."+v1alpha1.SchemeGroupVersion.Group,
			"--type=json", "-p", "["+strings.Join(operations, ",")+"]"); err != nil {
			w.Fatalf("%v: %s", err, out)
		}
	}
	remove := func(path string) string { return `{"op":"remove","path":"` + path + `"}` }
	if !loose {
		change("embeddeduserbatches", remove(key))
		change("embeddeduserslices", remove(key))
		w.Must(deploy(w.Context()))
		return
	}
	add := `{"op":"add","path":"` + key + `","value":"` + v1alpha1.DefaultSecretKey + `"}`
	name := remove(spec + "/apiKeySecretRef/properties/name/pattern")
	change("embeddeduserbatches", add, name, remove(spec+"/usersFrom/items/properties/configMapKeyRef/properties/name/pattern"))
	change("embeddeduserslices", add, name)
}

// awaitNames waits until the API server accepts, or refuses, references with names that no Secret can have.
func (w *world) awaitNames(accepted bool) {
	w.Helper()
	reference := v1alpha1.APIKeySecretReference{Name: "team/alloy"}
	batch := &v1alpha1.EmbeddedUserBatch{Spec: v1alpha1.EmbeddedUserBatchSpec{APIKeySecretRef: reference}}
	slice := &v1alpha1.EmbeddedUserSlice{Spec: v1alpha1.EmbeddedUserSliceSpec{APIKeySecretRef: reference}}
	for _, object := range []client.Object{batch, slice} {
		w.Eventually(func() bool {
			probe := object.DeepCopyObject().(client.Object)
			probe.SetNamespace(w.Namespace)
			probe.SetName("probe")
			return w.Create(w.Context(), probe, client.DryRunAll) == nil
		}).Should(gomega.Equal(accepted))
	}
}

// TestOldSchema_ObjectsKeepTheirStatus creates objects under the schema as it was before, which the schema of today refuses or would
// store differently.
func TestOldSchema_ObjectsKeepTheirStatus(t *testing.T) {
	w := newWorld(t, "old-schema", simulator.Options{})
	w.patchReferences(true)
	isLoose := true
	t.Cleanup(func() {
		if isLoose {
			w.patchReferences(false)
		}
	})
	w.awaitNames(true)
	before := w.start()
	w.createBatch("plain", 3)
	named := w.Batch("named", testenv.Users("named", 3)...)
	named.Spec.APIKeySecretRef.Name = "team/alloy"
	w.MustCreate(named)
	if batch := w.Await("plain", v1alpha1.ReasonSucceeded); batch.Spec.APIKeySecretRef.Key != v1alpha1.DefaultSecretKey {
		t.Fatalf("the schema has no default: %+v", batch.Spec.APIKeySecretRef)
	}
	w.Await("named", v1alpha1.ReasonSecretNotFound)
	before.Kill()
	late, source := w.Batch("late", testenv.Users("late", 3)...), w.Batch("source")
	late.Spec.APIKeySecretRef.Name = "team/alloy"
	source.Spec.UsersFrom = []v1alpha1.UsersSource{{ConfigMapKeyRef: &v1alpha1.UsersKeyReference{Name: "team/list", Key: "users.csv"}}}
	w.MustCreate(late)
	w.MustCreate(source)
	slices, requests := w.slicesOf("plain"), len(w.Sim.Requests())

	w.patchReferences(false)
	isLoose = false
	w.awaitNames(false)
	w.start()
	w.Edit("named", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users = b.Spec.Users[:2] })
	w.Edit("plain", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.APIKeySecretRef.Key = "" }) // as the manifest says
	for name, tc := range map[string]struct{ reason, message string }{
		"named":  {v1alpha1.ReasonSecretNotFound, `"team/alloy" is not a valid name of a Secret`},
		"late":   {v1alpha1.ReasonPlanRejected, `spec.apiKeySecretRef.name: Invalid value: "team/alloy"`}, // it gets no slices
		"source": {v1alpha1.ReasonSourceNotFound, `ConfigMap "team/list" does not exist`},
		"plain":  {v1alpha1.ReasonSucceeded, "3 created"},
	} {
		status := w.Await(name, tc.reason).Status
		if ready := testenv.Condition(status.Conditions, v1alpha1.ConditionReady); !strings.Contains(ready.Message, tc.message) {
			t.Errorf("%s: %s", name, ready.Message)
		}
	}
	w.Equal("slices", slices, w.slicesOf("plain"))
	if more := len(w.Sim.Requests()) - requests; more > 0 {
		t.Errorf("%d requests", more)
	}
}

// slicesOf returns the slices of a batch.
func (w *world) slicesOf(batch string) (slices []v1alpha1.EmbeddedUserSlice) {
	w.Helper()
	for _, slice := range w.Slices() {
		if metav1.IsControlledBy(&slice, w.Load(batch)) {
			slices = append(slices, slice)
		}
	}
	return slices
}
