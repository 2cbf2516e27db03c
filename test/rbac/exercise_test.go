// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"context"
	"crypto/tls"
	"net/http"
	"strings"

	"github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// withoutStreams has client-go list objects before it watches them, as it does if an older API server cannot stream lists.
const withoutStreams = "KUBE_FEATURE_WatchListClient=false"

// exercise has the operator do all that it does, and then hands over to a second replica.
func (w *world) exercise(args, standby []string, hasSecureMetrics bool) {
	w.Helper()
	first := w.start(args...)
	w.Must(first.AwaitReady(w.Context()))
	w.keys()
	w.lists()
	w.edits()
	w.adoption()
	w.rejection()
	w.Must(w.Delete(w.Context(), w.Load("edited")))
	if hasSecureMetrics {
		w.scrape(first)
	}

	w.env = []string{withoutStreams}
	second := w.start(append(args, standby...)...)
	w.Must(first.Stop())
	w.CreateBatch("after-the-handover", testenv.Users("later", 3)...)
	w.Await("after-the-handover", v1alpha1.ReasonSucceeded)
	w.Must(second.AwaitReady(w.Context()))
	w.Must(second.Stop())
}

// keys has a batch wait for its Secret, and then for the right key in it.
func (w *world) keys() {
	w.Helper()
	const secret = "later"
	batch := w.Batch("keys", testenv.Users("keys", 3)...)
	batch.Spec.APIKeySecretRef.Name = secret
	w.MustCreate(batch)
	w.Await(batch.Name, v1alpha1.ReasonSecretNotFound)
	w.Must(testenv.WriteKey(w.Context(), w, w.Namespace, secret, "wrong"))
	w.Await(batch.Name, v1alpha1.ReasonUnauthorized)
	w.Must(testenv.WriteKey(w.Context(), w, w.Namespace, secret, w.Key))
	w.Await(batch.Name, v1alpha1.ReasonSucceeded)
}

// lists creates a batch with lists in a ConfigMap and a Secret, and changes them.
func (w *world) lists() {
	w.Helper()
	list := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "list"}}
	hidden := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "list"}}
	w.Put(list, func() { list.Data = map[string]string{"users.csv": "username\nopen\n"} })
	w.Put(hidden, func() { hidden.Data = map[string][]byte{"users.csv": []byte("username\nhidden\n")} })
	batch := w.Batch("lists")
	ref := &v1alpha1.UsersKeyReference{Name: "list", Key: "users.csv"}
	batch.Spec.UsersFrom = []v1alpha1.UsersSource{{ConfigMapKeyRef: ref}, {SecretKeyRef: ref}}
	w.MustCreate(batch)
	w.Await("lists", v1alpha1.ReasonSucceeded)
	w.Put(list, func() { list.Data["users.csv"] += "opened\n" })
	w.Put(hidden, func() { hidden.Data["users.csv"] = append(hidden.Data["users.csv"], "hidden-later\n"...) })
	w.Eventually(func() []string { return usernames(w) }).Should(gomega.ContainElements("open", "hidden", "opened", "hidden-later"))
}

func usernames(w *world) []string {
	var all []string
	for username, result := range w.Results() {
		if result.Result == v1alpha1.ResultCreated {
			all = append(all, username)
		}
	}
	return all
}

// edits creates a batch with two slices and removes the users of one, so that the slice is deleted.
func (w *world) edits() {
	w.Helper()
	w.CreateBatch("edited", testenv.Users("edited", 1500)...)
	w.Await("edited", v1alpha1.ReasonSucceeded)
	w.Edit("edited", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users = b.Spec.Users[:900] })
	w.Eventually(func() int32 { return w.Load("edited").Status.Slices.Total }).Should(gomega.BeEquivalentTo(1))
	w.Await("edited", v1alpha1.ReasonSucceeded)
}

// adoption takes the owner from the slice of a batch, as a restore from a backup does.
func (w *world) adoption() {
	w.Helper()
	w.CreateBatch("adopting", testenv.Users("adopted", 20)...)
	w.Await("adopting", v1alpha1.ReasonSucceeded)
	owner := w.Load("adopting")
	for _, slice := range w.Slices() {
		if metav1.IsControlledBy(&slice, owner) {
			w.Must(w.Patch(w.Context(), &slice, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"ownerReferences":null}}`))))
		}
	}
	w.Eventually(func() int32 { return w.Load("adopting").Status.Counts.Existing }).Should(gomega.BeEquivalentTo(20))
}

// rejection has an admission policy refuse the status of slices until the operator has reported that twice in one event.
func (w *world) rejection() {
	w.Helper()
	allow := w.refuseStatuses()
	w.CreateBatch("refused", testenv.Users("refused", 3)...)
	w.Eventually(func() int32 {
		var list eventsv1.EventList
		w.Must(w.List(w.Context(), &list, client.InNamespace(w.Namespace)))
		most := int32(0)
		for _, event := range list.Items {
			if event.Reason == v1alpha1.ReasonStatusRejected && event.Series != nil {
				most = max(most, event.Series.Count)
			}
		}
		return most
	}).Should(gomega.BeNumerically(">", 1))
	allow()
	w.Await("refused", v1alpha1.ReasonSucceeded)
}

// refuseStatuses has an admission policy refuse the status of each slice in the world's namespace, of which there is one.
func (w *world) refuseStatuses() (allow func()) {
	w.Helper()
	fail := admissionv1.Fail
	policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: w.Namespace}}
	policy.Spec.FailurePolicy = &fail
	policy.Spec.Validations = []admissionv1.Validation{{Expression: "false"}}
	policy.Spec.MatchConstraints = &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
		RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Update},
			Rule: admissionv1.Rule{
				APIGroups: []string{v1alpha1.SchemeGroupVersion.Group}, APIVersions: []string{"*"}, Resources: []string{"embeddeduserslices/status"},
			},
		},
	}}}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: w.Namespace}}
	binding.Spec.PolicyName, binding.Spec.ValidationActions = w.Namespace, []admissionv1.ValidationAction{admissionv1.Deny}
	binding.Spec.MatchResources = &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{
		MatchLabels: map[string]string{corev1.LabelMetadataName: w.Namespace},
	}}
	w.MustCreate(policy)
	w.MustCreate(binding)
	w.Eventually(func() bool { // until the API server applies the policy
		slice := w.Slices()[0]
		return apierrors.IsInvalid(w.Status().Update(w.Context(), &slice, client.DryRunAll))
	}).Should(gomega.BeTrue())
	return func() {
		w.Must(w.Delete(w.Context(), binding))
		w.Must(w.Delete(w.Context(), policy))
	}
}

// scrape gets the metrics with a token.
func (w *world) scrape(operator *testenv.Operator) {
	w.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "prometheus"}}
	w.MustCreate(account)
	token := &authenticationv1.TokenRequest{}
	w.Must(w.SubResource("token").Create(w.Context(), account, token))
	if out, err := w.Kubectl("", "create", "clusterrolebinding", w.Namespace, "--clusterrole=embedded-user-operator-metrics-reader",
		"--serviceaccount="+w.Namespace+":prometheus"); err != nil {
		w.Fatalf("%v: %s", err, out)
	}
	selfSigned := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	w.Must(testenv.Await(w.Context(), func(ctx context.Context) error {
		url := strings.Replace(operator.Metrics, "http://", "https://", 1) + "/metrics"
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+token.Status.Token)
		response, err := selfSigned.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close() //nolint:errcheck // not read
		w.Equal("the metrics", http.StatusOK, response.StatusCode)
		return nil
	}))
}
