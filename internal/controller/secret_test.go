// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
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
	const missing, unusable, rejected = v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonInvalidCredentials, v1alpha1.ReasonUnauthorized
	for name, tc := range map[string]struct {
		secret  *corev1.Secret
		reason  string
		message []string
	}{
		"no Secret":              {nil, missing, []string{`Secret "alloy" does not exist`, `create it with the API key under "apiKey"`}},
		"a Secret without a key": {data("other", "x"), missing, []string{`Secret "alloy" has no key "apiKey"`, "add it"}},
		"an empty key":           {data("apiKey", ""), unusable, []string{`"apiKey" in Secret "alloy" is empty`, "put the API key there"}},
		"only white space":       {data("apiKey", " \n"), unusable, []string{"is empty"}},
		"two lines":              {data("apiKey", "a\nb"), unusable, []string{"control character"}},
		"a quoted key":           {data("apiKey", `"a"`), unusable, []string{`"apiKey" in Secret "alloy" is in quotation marks; put`}},
		"a key encoded twice":    {data("apiKey", "c2VjcmV0Cg=="), unusable, []string{"is encoded in base64 once too often"}},
		"a wrong key":            {data("apiKey", "wrong"), rejected, []string{"401 Unauthorized", "put a valid API key into the Secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			if tc.secret != nil {
				tc.secret.Namespace = w.Namespace
				w.MustCreate(tc.secret)
			}
			w.CreateBatch("keys", testenv.Users("keys", 1500)...)
			status := w.Await("keys", tc.reason).Status
			ready := testenv.Condition(status.Conditions, v1alpha1.ConditionReady)
			credentials := testenv.Condition(status.Conditions, v1alpha1.ConditionCredentialsValid)
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
			if tc.reason == rejected && asked != 1 || tc.reason != rejected && asked != 0 {
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

// TestSecret_KeysAsPeoplePasteThem stores the key of the account in many forms: those without a cure can be used.
func TestSecret_KeysAsPeoplePasteThem(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	line := base64.StdEncoding.EncodeToString([]byte(w.Key + "\n"))
	const (
		oneLine = "put the API key there alone, on one line"
		noQuote = "put the API key there without them"
		once    = "put the API key itself under stringData, or encode it once"
		there   = "put the API key there as Alloy shows it"
	)
	rows := map[string]struct{ value, cure string }{
		"a line break":                       {w.Key + "\n", ""},
		"a line break of Windows":            {w.Key + "\r\n", ""},
		"empty lines around it":              {"\n\n" + w.Key + "\n\n", ""},
		"spaces around it":                   {" \t" + w.Key + "\u00a0", ""},
		"a byte order mark":                  {"\ufeff" + w.Key, ""},
		"a byte order mark and a line break": {"\ufeff" + w.Key + "\r\n", ""},
		"the scheme":                         {"Bearer " + w.Key, ""},
		"the scheme in lower case":           {"bearer " + w.Key + "\n", ""},
		"a byte order mark and the scheme":   {"\ufeffBearer  " + w.Key, ""},

		"quotation marks":                  {`"` + w.Key + `"`, noQuote},
		"single quotation marks":           {"'" + w.Key + "'\n", noQuote},
		"the scheme and quotation marks":   {`Bearer "` + w.Key + `"`, noQuote},
		"two keys":                         {w.Key + "\n" + w.Key, oneLine},
		"two lines in quotation marks":     {`"` + w.Key + "\r\nanother\"", oneLine},
		"base64 of it and a line break":    {line, once},
		"the same with a line break":       {line + "\n", once},
		"base64 of it in two lines":        {line[:8] + "\n" + line[8:], oneLine},
		"UTF-16, as a redirect on Windows": {"\xff\xfe" + strings.Join(strings.Split(w.Key, ""), "\x00") + "\x00", oneLine},
		"the scheme alone":                 {"Bearer ", there},
		"nothing but a byte order mark":    {"\ufeff", there},
	}
	batches, usable := map[string]string{}, []string{} // by row; the usernames to be sent
	for name, row := range rows {
		id := fmt.Sprintf("row-%02d", len(batches))
		if batches[name] = id; row.cure == "" {
			usable = append(usable, id)
		}
		w.MustCreate(w.secret(id, "apiKey", row.value))
		batch := w.Batch(id, v1alpha1.User{Username: id})
		batch.Spec.APIKeySecretRef.Name = id
		w.MustCreate(batch)
	}
	for name, row := range rows {
		reason := v1alpha1.ReasonSucceeded
		if row.cure != "" {
			reason = v1alpha1.ReasonInvalidCredentials
		}
		status := w.Await(batches[name], reason).Status
		ready := testenv.Condition(status.Conditions, v1alpha1.ConditionReady)
		stalled := testenv.Condition(status.Conditions, v1alpha1.ConditionStalled)
		if !contains(ready.Message, row.cure) || contains(ready.Message, w.Key) || (stalled.Type != "") != (row.cure != "") {
			t.Errorf("%s: %q, %+v", name, ready.Message, stalled)
		}
	}
	sent, _ := w.Sent()
	slices.Sort(sent)
	w.Equal("sent", usable, sent)
	w.Expect(w.Sim.Users(w.Key)).To(gomega.HaveLen(len(usable)))
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
	credentials := testenv.Condition(batch.Status.Conditions, v1alpha1.ConditionCredentialsValid)
	if credentials.Status != metav1.ConditionFalse {
		t.Errorf("CredentialsValid: %+v", credentials)
	}
	if more := len(w.Sim.Requests()) - asked; more != 0 {
		t.Errorf("a label, a restart and an edit caused %d requests", more)
	}
}

// TestSecret_ADeletedKeyIsNotUsed deletes the Secret of a batch that waits to be tried again, and lets another batch use the same key.
func TestSecret_ADeletedKeyIsNotUsed(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.Sim.Inject(simulator.Fault{Operation: simulator.Create, Status: http.StatusTooManyRequests})
	w.CreateBatch("waits", testenv.Users("waits", 3)...)
	w.Await("waits", v1alpha1.ReasonRetrying)
	w.Must(w.DeleteAllOf(t.Context(), &corev1.Secret{}, client.InNamespace(w.Namespace)))
	w.Await("waits", v1alpha1.ReasonSecretNotFound)
	w.Sim.ClearFaults()
	w.MustCreate(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "another"}, Data: map[string][]byte{"apiKey": []byte(w.Key)},
	})
	batch := w.Batch("other", testenv.Users("other", 3)...)
	batch.Spec.APIKeySecretRef.Name = "another"
	w.MustCreate(batch)
	w.Await("other", v1alpha1.ReasonSucceeded)
	for _, user := range w.Sim.Users(w.Key) {
		if !strings.HasPrefix(user.Username, "other") {
			t.Errorf("%s was created with a key that is deleted", user.Username)
		}
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
	w.setSince("done", v1alpha1.ConditionCredentialsValid, ago(patience)) // it stays so however long the Secret is missing
	w.CreateBatch("last")                                                 // once it is Ready, the operator has seen all earlier changes
	w.Await("last", v1alpha1.ReasonSucceeded)
	if ready := testenv.Condition(w.Load("done").Status.Conditions, v1alpha1.ConditionReady); ready.Status != metav1.ConditionTrue {
		t.Errorf("Ready: %+v", ready)
	}
}
