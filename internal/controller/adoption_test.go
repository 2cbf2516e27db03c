// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// orphan deletes the batch b with --cascade=orphan and does what the garbage collector does then, which envtest does not have.
func (w *world) orphan() {
	w.Helper()
	batch := w.Load("b")
	w.Must(w.Delete(w.Context(), batch, client.PropagationPolicy(metav1.DeletePropagationOrphan)))
	for _, slice := range w.Slices() {
		if metav1.IsControlledBy(&slice, batch) {
			w.Must(w.Patch(w.Context(), &slice, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"ownerReferences":null}}`))))
		}
	}
	w.Must(w.Patch(w.Context(), batch, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))))
	isGone := func() bool { return apierrors.IsNotFound(w.Get(w.Context(), client.ObjectKeyFromObject(batch), batch)) }
	w.Eventually(isGone).Should(gomega.BeTrue())
}

// checkAdopted checks that each slice belongs to the batch b, and that its users have a result.
func (w *world) checkAdopted(want v1alpha1.UserResult) {
	w.Helper()
	owner := w.Load("b")
	for _, slice := range w.Slices() {
		if !metav1.IsControlledBy(&slice, owner) {
			w.Errorf("%s has the owners %+v", slice.Name, slice.OwnerReferences)
		}
	}
	for username, result := range w.Results() {
		if want.Username = username; result != want {
			w.Errorf("result %+v, want %+v", result, want)
		}
	}
}

var restored = v1alpha1.UserResult{Result: v1alpha1.ResultExisting, Reason: v1alpha1.ReasonRestored}

func TestAdoption_TheSlicesOfADeletedBatchProveWhoExists(t *testing.T) {
	w := newWorld(t, simulator.Options{Reject: func(username string) bool { return username == "refused" }})
	w.Sim.Seed(w.Key, "seeded")
	w.SetKey(w.Key)
	list := append(testenv.Users("user", 1200), v1alpha1.User{Username: "seeded"}, v1alpha1.User{Username: "refused"})
	w.CreateBatch("b", list...)
	w.Await("b", v1alpha1.ReasonInvalidUsers)
	before, requests := w.Slices(), len(w.Sim.Requests())

	w.orphan()
	w.CreateBatch("b", list...)
	status := w.Await("b", v1alpha1.ReasonInvalidUsers).Status
	w.Equal("counts", v1alpha1.UserCounts{Total: 1202, Existing: 1201, Invalid: 1}, status.Counts)
	results := w.Results()
	w.Equal("a user that existed", v1alpha1.UserResult{Username: "seeded", Result: v1alpha1.ResultExisting}, results["seeded"])
	w.Equal("a created user", v1alpha1.ReasonRestored, results[list[0].Username].Reason)
	w.Equal("a refused user", v1alpha1.ResultInvalid, results["refused"].Result)
	w.Equal("requests", requests, len(w.Sim.Requests()))
	w.Eventually(func() v1alpha1.SliceCounts { return w.Load("b").Status.Slices }).
		Should(gomega.Equal(v1alpha1.SliceCounts{Total: 2, Ready: 2}))

	w.Edit("b", func(b *v1alpha1.EmbeddedUserBatch) {
		b.Spec.Users = append(b.Spec.Users, v1alpha1.UserRow{Username: "new"})
	})
	w.Eventually(func() v1alpha1.Result { return w.Results()["new"].Result }).Should(gomega.Equal(v1alpha1.ResultCreated))
	w.Equal("requests for one user", requests+1, len(w.Sim.Requests()))
	var names, want []string
	for i, slice := range w.Slices() {
		names, want = append(names, slice.Name), append(want, before[i].Name)
	}
	w.Equal("names", want, names)
}

func TestAdoption_ResultsOfAnotherAccountAreDropped(t *testing.T) {
	w := newWorld(t, simulator.Options{Keys: []string{"other"}})
	w.SetKey(w.Key)
	w.CreateBatch("b", testenv.Users("user", 20)...)
	w.Await("b", v1alpha1.ReasonSucceeded)
	w.orphan()
	w.SetKey("other")
	w.CreateBatch("b", testenv.Users("user", 20)...)
	w.Await("b", v1alpha1.ReasonSucceeded)
	w.checkAdopted(v1alpha1.UserResult{Result: v1alpha1.ResultCreated})
	w.Equal("users of the other account", 20, len(w.Sim.Users("other")))
}

// TestAdoption_AnAnswerFromBeforeDoesNotCount deletes a batch while a request of it runs, and creates it with another key.
func TestAdoption_AnAnswerFromBeforeDoesNotCount(t *testing.T) {
	w := newWorld(t, simulator.Options{Keys: []string{"other"}})
	applied, release := w.Hold()
	w.SetKey(w.Key)
	w.CreateBatch("b", testenv.Users("user", 3)...)
	<-applied
	w.orphan()
	w.SetKey("other")
	release()
	w.Eventually(func() bool { return w.Sim.Requests()[0].Answered }).Should(gomega.BeTrue())
	w.CreateBatch("b", testenv.Users("user", 3)...)
	w.Await("b", v1alpha1.ReasonSucceeded)
	w.Equal("users of the other account", 3, len(w.Sim.Users("other")))
}

// TestAdoption_WaitsForTheKey has no key to tell whether the results are of the same account.
func TestAdoption_WaitsForTheKey(t *testing.T) {
	for name, secret := range map[string]func(*world){
		"no Secret": func(w *world) { w.Must(w.DeleteAllOf(w.Context(), &corev1.Secret{}, client.InNamespace(w.Namespace))) },
		"no key":    func(w *world) { w.SetKey("") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			w.SetKey(w.Key)
			w.CreateBatch("b", testenv.Users("user", 20)...)
			w.Await("b", v1alpha1.ReasonSucceeded)
			requests := len(w.Sim.Requests())
			w.orphan()
			secret(w)
			before := w.Slices()
			w.CreateBatch("b", testenv.Users("user", 20)...)
			status := w.Await("b", v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonInvalidCredentials).Status
			if created := testenv.Condition(status.Conditions, v1alpha1.ConditionUsersCreated); created.Status != metav1.ConditionFalse {
				t.Errorf("UsersCreated: %+v", created)
			}
			w.Equal("slices", before, w.Slices())
			w.SetKey(w.Key)
			w.Await("b", v1alpha1.ReasonSucceeded)
			w.checkAdopted(restored)
			w.Equal("requests", requests, len(w.Sim.Requests()))
		})
	}
}

// TestAdoption_IsSafeAtEveryStep has each write of an adoption fail, and the process end in between.
func TestAdoption_IsSafeAtEveryStep(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.CreateBatch("b", testenv.Users("user", 20)...)
	w.Await("b", v1alpha1.ReasonSucceeded)
	requests := len(w.Sim.Requests())
	w.orphan()
	refuse := func(isRefused func(path string) bool) {
		w.forbid(func(r *http.Request) bool { return r.Method == http.MethodPut && isRefused(r.URL.Path) })
	}
	refuse(func(path string) bool { return strings.HasSuffix(path, "/status") })
	w.CreateBatch("b", testenv.Users("user", 20)...)
	w.Await("b", v1alpha1.ReasonPlanRejected)
	if slice := w.Slices()[0]; len(slice.OwnerReferences) > 0 || slice.Status.Counts.Created != 20 {
		t.Errorf("the slice was changed: %+v", slice)
	}
	w.halt()
	refuse(func(path string) bool { return !strings.HasSuffix(path, "/status") })
	w.start()
	w.Eventually(func() int32 { return w.Slices()[0].Status.Counts.Existing }).Should(gomega.BeEquivalentTo(20))
	if slice := w.Slices()[0]; len(slice.OwnerReferences) > 0 {
		t.Errorf("the slice has an owner: %+v", slice)
	}
	w.halt()
	w.forbidNothing()
	w.start()
	w.Await("b", v1alpha1.ReasonSucceeded)
	w.checkAdopted(restored)
	w.Equal("requests", requests, len(w.Sim.Requests()))
}

// TestAdoption_WithAStaleCache has the operator learn late what happened to the batch, and to its slices.
func TestAdoption_WithAStaleCache(t *testing.T) {
	isRead := func(r *http.Request, resource, labels string) bool {
		return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, resource) && r.URL.Query().Has("labelSelector") == (labels != "")
	}
	for name, tc := range map[string]struct {
		late func(*world) (release func())
		asks func(*http.Request) bool // that the operator asks the API server
	}{
		"the batch was deleted": {
			func(w *world) func() { return stall(&w.watches.batches) },
			func(r *http.Request) bool { return isRead(r, "/embeddeduserbatches/b", "") },
		},
		"the slices lost their batch": {
			func(w *world) func() { return stall(&w.watches.slices) },
			func(r *http.Request) bool { return isRead(r, "/embeddeduserslices", "batch") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			w.SetKey(w.Key)
			w.CreateBatch("b", testenv.Users("user", 20)...)
			w.Await("b", v1alpha1.ReasonSucceeded)
			requests := len(w.Sim.Requests())
			var asked atomic.Bool
			w.forbid(func(r *http.Request) bool {
				if tc.asks(r) {
					asked.Store(true)
				}
				return false
			})
			release := tc.late(w)
			defer release()
			w.orphan()
			w.CreateBatch("b", testenv.Users("user", 20)...)
			w.Eventually(asked.Load).Should(gomega.BeTrue())
			release()
			w.Await("b", v1alpha1.ReasonSucceeded)
			w.checkAdopted(restored)
			w.Equal("requests", requests, len(w.Sim.Requests()))
		})
	}
}
