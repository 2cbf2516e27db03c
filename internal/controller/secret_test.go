package controller_test

import (
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

func TestSecret_FixingItIsEnough(t *testing.T) {
	data := func(key, value string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "alloy"}, Data: map[string][]byte{key: []byte(value)}}
	}
	for name, tc := range map[string]struct {
		secret  *corev1.Secret
		reason  string
		message []string
	}{
		"no Secret":              {nil, v1alpha1.ReasonSecretNotFound, []string{`Secret "alloy" does not exist`, `create it with the API key under "apiKey"`}},
		"a Secret without a key": {data("other", "x"), v1alpha1.ReasonSecretNotFound, []string{`Secret "alloy" has no key "apiKey"`, "add it"}},
		"an empty key":           {data("apiKey", ""), v1alpha1.ReasonInvalidCredentials, []string{`"apiKey" in Secret "alloy" is empty`, "put the API key there"}},
		"only white space":       {data("apiKey", " \n"), v1alpha1.ReasonInvalidCredentials, []string{"is empty"}},
		"two lines":              {data("apiKey", "a\nb"), v1alpha1.ReasonInvalidCredentials, []string{"control character"}},
		"a quoted key":           {data("apiKey", `"a"`), v1alpha1.ReasonInvalidCredentials, []string{`"apiKey" in Secret "alloy" is in quotation marks; put`}},
		"a key encoded twice":    {data("apiKey", "c2VjcmV0Cg=="), v1alpha1.ReasonInvalidCredentials, []string{"is encoded in base64 once too often"}},
		"a wrong key":            {data("apiKey", "wrong"), v1alpha1.ReasonUnauthorized, []string{"401 Unauthorized", "put a valid API key into the Secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			if tc.secret != nil {
				tc.secret.Namespace = w.Namespace
				w.MustCreate(tc.secret)
			}
			w.CreateBatch("keys", testenv.Users("keys", 1500)...)
			status := w.Await("keys", tc.reason).Status
			ready, credentials := testenv.Condition(status.Conditions, v1alpha1.ConditionReady), testenv.Condition(status.Conditions, v1alpha1.ConditionCredentialsValid)
			if !contains(ready.Message, tc.message...) {
				t.Errorf("message: %s", ready.Message)
			}
			if credentials.Status != metav1.ConditionFalse || credentials.Reason != tc.reason || credentials.Message != ready.Message {
				t.Errorf("CredentialsValid: %+v", credentials)
			}
			if status.Counts.Pending != 1500 || status.Counts.Invalid != 0 {
				t.Errorf("counts: %+v", status.Counts)
			}
			asked := len(w.Sim.Requests())
			if tc.reason == v1alpha1.ReasonUnauthorized && asked != 1 || tc.reason != v1alpha1.ReasonUnauthorized && asked != 0 {
				t.Errorf("%d requests were sent", asked)
			}

			// People often store a key with a trailing line break.
			fixed := data("apiKey", w.Key+"\n")
			fixed.Namespace = w.Namespace
			if tc.secret == nil {
				w.MustCreate(fixed)
			} else if err := w.Update(t.Context(), fixed); err != nil {
				t.Fatal(err)
			}
			status = w.Await("keys", v1alpha1.ReasonSucceeded).Status
			if got := testenv.Condition(status.Conditions, v1alpha1.ConditionCredentialsValid); got.Status != metav1.ConditionTrue {
				t.Errorf("CredentialsValid: %+v", got)
			}
		})
	}
}

func TestSecret_ARejectedKeyIsNotRetriedAtOnce(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey("wrong")
	w.CreateBatch("first", testenv.Users("first", 3000)...)
	w.CreateBatch("second", testenv.Users("second", 1000)...)
	w.Await("first", v1alpha1.ReasonUnauthorized)
	w.Await("second", v1alpha1.ReasonUnauthorized)
	asked := len(w.Sim.Requests())
	if asked > 2 { // the second batch may have sent its request before the first was answered
		t.Errorf("%d requests were sent for four slices", asked)
	}

	var secret corev1.Secret
	w.Must(w.Get(t.Context(), client.ObjectKey{Namespace: w.Namespace, Name: "alloy"}, &secret))
	secret.Labels = map[string]string{"team": "a"}
	w.Must(w.Update(t.Context(), &secret))
	w.halt()
	w.start()
	w.CreateBatch("last")
	w.Await("last", v1alpha1.ReasonSucceeded)
	w.Await("first", v1alpha1.ReasonUnauthorized)
	w.Edit("first", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users = b.Spec.Users[:2999] })
	batch := w.Await("first", v1alpha1.ReasonUnauthorized)
	if credentials := testenv.Condition(batch.Status.Conditions, v1alpha1.ConditionCredentialsValid); credentials.Status != metav1.ConditionFalse {
		t.Errorf("CredentialsValid: %+v", credentials)
	}
	if more := len(w.Sim.Requests()) - asked; more != 0 {
		t.Errorf("a label, a restart and an edit caused %d requests", more)
	}
}

func TestSecret_WithNothingPendingABadKeyDoesNotAffectReady(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.CreateBatch("done", testenv.Users("done", 3)...)
	w.Await("done", v1alpha1.ReasonSucceeded)
	w.Must(w.DeleteAllOf(t.Context(), &corev1.Secret{}, client.InNamespace(w.Namespace)))
	w.Eventually(func() string {
		return testenv.Condition(w.Load("done").Status.Conditions, v1alpha1.ConditionCredentialsValid).Reason
	}).
		Should(gomega.Equal(v1alpha1.ReasonSecretNotFound))
	if ready := testenv.Condition(w.Load("done").Status.Conditions, v1alpha1.ConditionReady); ready.Status != metav1.ConditionTrue {
		t.Errorf("Ready: %+v", ready)
	}
}
