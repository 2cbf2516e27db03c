// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// TestReference_EqualManifestsDoNotConflict applies the same manifest in two ways. The API server must not have added to an atomic
// struct what neither says.
func TestReference_EqualManifestsDoNotConflict(t *testing.T) {
	const fields = "users: [{username: ann}]\n" +
		"  usersFrom: [{configMapKeyRef: {name: list, key: users.csv}}, {secretKeyRef: {name: list, key: users.csv, optional: true}}]"
	for name, commands := range map[string][][]string{
		"kubectl create and then a server-side apply": {{"create"}, {"apply", "--server-side"}},
		"kubectl apply and then a server-side apply":  {{"apply"}, {"apply", "--server-side"}},
		"two server-side managers": {
			{"apply", "--server-side", "--field-manager=one"}, {"apply", "--server-side", "--field-manager=two"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			w.SetKey(w.Key)
			w.MustCreate(w.configMap("list", map[string]string{"users.csv": "username\nlisted\n"}))
			for _, command := range commands {
				if out, err := w.Kubectl(manifest("b", fields), append(command, "-f", "-")...); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				w.Await("b", v1alpha1.ReasonSucceeded) // with the default key
			}
			batch := w.Load("b")
			credentials := testenv.Condition(batch.Status.Conditions, v1alpha1.ConditionCredentialsValid)
			if credentials.Reason != v1alpha1.ReasonCredentialsAccepted {
				t.Errorf("CredentialsValid: %+v", credentials)
			}
			if want := (v1alpha1.APIKeySecretReference{Name: "alloy"}); batch.Spec.APIKeySecretRef != want || batch.Generation != 1 {
				t.Errorf("generation %d: %+v", batch.Generation, batch.Spec)
			}
		})
	}
}

// TestReference_TheDefaultKeyMayComeAndGo starts with a batch as the API server stored it when the schema had the default.
func TestReference_TheDefaultKeyMayComeAndGo(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	batch := w.Batch("b", testenv.Users("user", 1500)...)
	batch.Spec.APIKeySecretRef.Key = v1alpha1.DefaultSecretKey
	w.MustCreate(batch)
	w.Await("b", v1alpha1.ReasonSucceeded)
	before, requests := w.Slices(), len(w.Sim.Requests())
	for _, key := range []string{"", v1alpha1.DefaultSecretKey, ""} {
		w.Edit("b", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.APIKeySecretRef.Key = key })
		w.Await("b", v1alpha1.ReasonSucceeded)
	}
	w.halt()
	w.start()
	w.CreateBatch("last") // once it is Ready, the operator has seen all earlier changes
	w.Await("last", v1alpha1.ReasonSucceeded)
	w.Equal("slices", before, w.Slices())
	if more := len(w.Sim.Requests()) - requests; more > 0 {
		t.Errorf("%d requests", more)
	}
}
