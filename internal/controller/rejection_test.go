// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// forbid has the API server refuse requests of the world's operator that match.
func (w *world) forbid(match func(*http.Request) bool) { w.forbidden.Store(&match) }

func (w *world) forbidNothing() { w.forbidden.Store(nil) }

// forbidding answers for the API server as it does when the operator lacks rights.
type forbidding struct {
	world *world
	next  http.RoundTripper
}

func (f forbidding) RoundTrip(r *http.Request) (*http.Response, error) {
	if match := f.world.forbidden.Load(); match == nil || !(*match)(r) {
		response, err := f.next.RoundTrip(r)
		if err == nil && f.world.restored.Load() {
			f.world.fromTheFuture(r, response)
		}
		if err == nil {
			f.world.watches.wrap(r, response)
		}
		return response, err
	}
	body := `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"not allowed"}`
	return &http.Response{
		StatusCode: http.StatusForbidden, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, nil
}

// deny has an admission policy deny operations on a resource of the world's namespace, and returns a function that removes it.
func (w *world) deny(resource string, operations ...admissionv1.OperationType) (remove func()) {
	w.Helper()
	name := w.Namespace + "-" + strings.ReplaceAll(resource, "/", "-")
	fail, deny := admissionv1.Fail, admissionv1.Deny
	rule := admissionv1.RuleWithOperations{
		Operations: operations,
		Rule: admissionv1.Rule{
			APIGroups: []string{v1alpha1.SchemeGroupVersion.Group}, APIVersions: []string{"*"}, Resources: []string{resource},
		},
	}
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: &fail,
			MatchConstraints: &admissionv1.MatchResources{
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: rule}},
			},
			Validations: []admissionv1.Validation{{Expression: "false", Message: "the platform team said no"}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionv1.ValidationAction{deny},
			MatchResources: &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{corev1.LabelMetadataName: w.Namespace},
			}},
		},
	}
	w.MustCreate(policy)
	w.MustCreate(binding)
	remove = func() {
		for _, object := range []client.Object{binding, policy} {
			if err := w.Delete(w.Context(), object); client.IgnoreNotFound(err) != nil {
				w.Error(err)
			}
		}
	}
	return remove
}

// limitSlices limits the number of slices with a quota, whose status the quota controller would set.
func (w *world) limitSlices(most int64) (remove func()) {
	w.Helper()
	const slices = "count/embeddeduserslices.embedded.runalloy.com"
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "quota"}}
	quota.Spec.Hard = corev1.ResourceList{slices: *resource.NewQuantity(most, resource.DecimalSI)}
	w.MustCreate(quota)
	quota.Status.Hard, quota.Status.Used = quota.Spec.Hard, corev1.ResourceList{slices: resource.MustParse("0")}
	w.Expect(w.Status().Update(w.Context(), quota)).To(gomega.Succeed())
	return func() { w.Expect(w.Delete(w.Context(), quota)).To(gomega.Succeed()) }
}

// awaitDenied waits until the API server applies what denies new slices.
func (w *world) awaitDenied() {
	w.Helper()
	w.Eventually(func() bool {
		slice := &v1alpha1.EmbeddedUserSlice{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "probe"}}
		slice.Spec.APIKeySecretRef = v1alpha1.APIKeySecretReference{Name: "x", Key: "x"}
		err := w.Create(w.Context(), slice, client.DryRunAll)
		return apierrors.IsForbidden(err) || apierrors.IsInvalid(err)
	}).Should(gomega.BeTrue())
}

func TestRejection_WhatDeniesTheSlicesIsInTheStatus(t *testing.T) {
	for name, tc := range map[string]struct {
		deny func(*world) (remove func())
		want []string
	}{
		"an admission policy": {
			func(w *world) func() { return w.deny("embeddeduserslices", admissionv1.Create) },
			[]string{"creating slice", "the platform team said no"},
		},
		"a quota": {
			func(w *world) func() { return w.limitSlices(0) }, []string{"creating slice", "exceeded quota: quota"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			w.SetKey(w.Key)
			remove := tc.deny(w)
			w.awaitDenied()
			w.CreateBatch("b", testenv.Users("user", 3)...)
			began := time.Now()
			w.checkRejected("b", tc.want...)
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("the status says so after %s", took)
			}
			if _, requests := w.Sent(); requests > 0 {
				t.Errorf("%d requests", requests)
			}
			remove()
			w.Await("b", v1alpha1.ReasonSucceeded)
		})
	}
}

// checkRejected waits until the status of a batch shows a rejection, and an event does.
func (w *world) checkRejected(name string, want ...string) {
	w.Helper()
	status := w.Await(name, v1alpha1.ReasonPlanRejected).Status
	if ready := testenv.Condition(status.Conditions, v1alpha1.ConditionReady); !contains(ready.Message, want...) {
		w.Errorf("message: %s", ready.Message)
	}
	w.Eventually(func() []string { return w.warnings(name) }).Should(gomega.ContainElement(
		gomega.And(gomega.HavePrefix(v1alpha1.ReasonPlanRejected+": "), gomega.ContainSubstring("see the message of the condition"))))
}

// warnings returns the warnings about a batch, each as its reason and its note.
func (w *world) warnings(batch string) (warnings []string) {
	w.Helper()
	var list eventsv1.EventList
	w.Must(w.List(w.Context(), &list, client.InNamespace(w.Namespace)))
	for _, event := range list.Items {
		if event.Type == corev1.EventTypeWarning && event.Regarding.Name == batch {
			warnings = append(warnings, event.Reason+": "+event.Note)
		}
	}
	return warnings
}

func TestRejection_AnEditThatIsDeniedIsNotReady(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.CreateBatch("b", testenv.Users("user", 3)...)
	w.Await("b", v1alpha1.ReasonSucceeded)
	remove := w.deny("embeddeduserslices", admissionv1.Create, admissionv1.Update)
	w.awaitDenied()
	w.Edit("b", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users = testenv.Rows(testenv.Users("user", 5)...) })
	w.checkRejected("b", "updating slice", "the platform team said no")
	if counts := w.Load("b").Status.Counts; counts.Created != 3 || counts.Pending != 2 {
		t.Errorf("counts: %+v", counts)
	}
	remove()
	if counts := w.Await("b", v1alpha1.ReasonSucceeded).Status.Counts; counts.Created != 5 {
		t.Errorf("counts: %+v", counts)
	}
}

func TestRejection_MissingRightsAreInTheStatus(t *testing.T) {
	for name, tc := range map[string]struct {
		method, resource string
		want             string
	}{
		"to read the Secret":     {http.MethodGet, "/secrets/alloy", `reading Secret "alloy"`},
		"to read a list":         {http.MethodGet, "/configmaps/list", `reading ConfigMap "list"`},
		"to create slices":       {http.MethodPost, "/embeddeduserslices", "creating slice"},
		"to read a batch's list": {http.MethodGet, "/embeddeduserbatches/b", "reading the batch"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			w.forbid(func(r *http.Request) bool { return r.Method == tc.method && strings.HasSuffix(r.URL.Path, tc.resource) })
			w.SetKey(w.Key)
			w.MustCreate(w.configMap("list", map[string]string{"users.csv": "username\n" + lines("listed", 3)}))
			batch := w.Batch("b", testenv.Users("user", 20)...)
			batch.Spec.UsersFrom = []v1alpha1.UsersSource{configMapSource("list", "users.csv")}
			w.MustCreate(batch)
			if tc.resource == "/embeddeduserbatches/b" { // once the list is no longer in memory
				w.Await("b", v1alpha1.ReasonSucceeded)
				w.halt()
				w.start()
				w.Put(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "list"}}, func() {})
				w.change(w.configMap("list", nil), map[string]string{"users.csv": "username\nanother\n"})
			}
			w.checkRejected("b", tc.want, "not allowed")
			w.forbidNothing()
			w.Await("b", v1alpha1.ReasonSucceeded)
		})
	}
}

// TestRejection_EventsDoNotShortenTheBackOff changes labels of a batch whose slices are refused.
func TestRejection_EventsDoNotShortenTheBackOff(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	var attempts atomic.Int32
	w.forbid(func(r *http.Request) bool {
		isCreate := r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/embeddeduserslices")
		if isCreate {
			attempts.Add(1)
		}
		return isCreate
	})
	w.CreateBatch("b", testenv.Users("user", 3)...)
	w.Eventually(attempts.Load).Should(gomega.BeNumerically(">=", 3)) // the next one is due in four seconds
	w.Await("b", v1alpha1.ReasonPlanRejected)
	before, began := attempts.Load(), time.Now()
	for i := range 20 {
		w.Edit("b", func(b *v1alpha1.EmbeddedUserBatch) { b.Labels = map[string]string{"edit": strconv.Itoa(i)} })
	}
	if more, took := attempts.Load()-before, time.Since(began); more > 1 && took < 3*time.Second {
		t.Errorf("%d attempts in %s", more, took)
	}
	w.forbidNothing()
	w.Edit("b", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users = testenv.Rows(testenv.Users("user", 4)...) }) // tried at once
	w.Await("b", v1alpha1.ReasonSucceeded)
}

// TestRejection_AStatusThatIsDeniedHasAnEvent denies the status of slices, and then that of batches.
func TestRejection_AStatusThatIsDeniedHasAnEvent(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.CreateBatch("probe", testenv.Users("probe", 1)...)
	w.Await("probe", v1alpha1.ReasonSucceeded)
	for resource, probe := range map[string]client.Object{
		"embeddeduserslices/status": &w.Slices()[0], "embeddeduserbatches/status": w.Load("probe"),
	} {
		name := strings.ReplaceAll(resource, "/", "-")
		remove := w.deny(resource, admissionv1.Update)
		w.Eventually(func() error { return w.Status().Update(w.Context(), probe, client.DryRunAll) }).ShouldNot(gomega.Succeed())
		w.CreateBatch(name, testenv.Users(name, 3)...)
		w.Eventually(func() []string { return w.warnings(name) }).
			Should(gomega.ContainElement(gomega.HavePrefix(v1alpha1.ReasonStatusRejected + ": ")))
		remove()
		w.Await(name, v1alpha1.ReasonSucceeded)
	}
}
