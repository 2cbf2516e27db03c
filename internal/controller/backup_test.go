// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"slices"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// backUp returns the slices as a backup restores them: with their names and labels, and without UID and owner.
func (w *world) backUp() []v1alpha1.EmbeddedUserSlice {
	w.Helper()
	backup := w.Slices()
	for i := range backup {
		s := &backup[i]
		s.ObjectMeta = metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name, Labels: s.Labels}
	}
	return backup
}

// restore creates slices from a backup.
func (w *world) restore(backup []v1alpha1.EmbeddedUserSlice, withStatus bool) {
	w.Helper()
	for i := range backup {
		status := backup[i].Status
		w.MustCreate(&backup[i])
		if withStatus {
			backup[i].Status = status
			w.Must(w.Status().Update(w.Context(), &backup[i]))
		}
	}
}

// restoreWhole creates slices from a backup, and labels them last: a batch must not adopt one before its status is restored.
func (w *world) restoreWhole(backup []v1alpha1.EmbeddedUserSlice) {
	w.Helper()
	labels := backup[0].Labels
	for i := range backup {
		backup[i].Labels = nil
	}
	w.restore(backup, true)
	for i := range backup {
		backup[i].Labels = labels
		w.Must(w.Update(w.Context(), &backup[i]))
	}
}

// TestAdoption_WithoutAKeyABatchThatIsReadyStaysSo restores a slice into a batch to which it adds nothing.
func TestAdoption_WithoutAKeyABatchThatIsReadyStaysSo(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.CreateBatch("b", testenv.Users("user", 3)...)
	w.Await("b", v1alpha1.ReasonSucceeded)
	w.Must(w.DeleteAllOf(t.Context(), &corev1.Secret{}, client.InNamespace(w.Namespace)))
	backup := w.backUp()
	backup[0].Name = "b-00000000-0"
	w.restoreWhole(backup)
	w.Eventually(func() string {
		return testenv.Condition(w.Load("b").Status.Conditions, v1alpha1.ConditionCredentialsValid).Reason
	}).Should(gomega.Equal(v1alpha1.ReasonSecretNotFound))
	w.CreateBatch("later") // the operator has seen the slice by then
	w.Await("later", v1alpha1.ReasonSucceeded)
	w.Equal("Ready", metav1.ConditionTrue, testenv.Condition(w.Load("b").Status.Conditions, v1alpha1.ConditionReady).Status)
	w.SetKey(w.Key)
	w.Eventually(func() int { return len(w.Slices()) }).Should(gomega.Equal(1))
	w.checkAdopted(v1alpha1.UserResult{Result: v1alpha1.ResultCreated})
}

// TestAdoption_OfABackup deletes a batch and its slices, and restores both.
func TestAdoption_OfABackup(t *testing.T) {
	for name, tc := range map[string]struct {
		running, withStatus bool // while the operator runs
		want                v1alpha1.UserResult
		sent                int
	}{
		"with the status, while no operator runs":    {false, true, restored, 0},
		"without the status, while no operator runs": {false, false, v1alpha1.UserResult{Result: v1alpha1.ResultExisting}, 20},
		"with the status, while the operator runs":   {true, true, restored, 0},
		"without the status, while one runs":         {true, false, v1alpha1.UserResult{Result: v1alpha1.ResultExisting}, 20},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			w.SetKey(w.Key)
			w.CreateBatch("b", testenv.Users("user", 20)...)
			w.Await("b", v1alpha1.ReasonSucceeded)
			sent, _ := w.Sent()
			backup := w.backUp()
			if !tc.running {
				w.halt()
			}
			w.Must(w.Delete(t.Context(), w.Load("b")))
			if tc.running { // it must know that before it learns that the slices are gone
				w.CreateBatch("later")
				w.Await("later", v1alpha1.ReasonSucceeded)
			}
			w.Must(w.DeleteAllOf(t.Context(), &v1alpha1.EmbeddedUserSlice{}, client.InNamespace(w.Namespace)))
			w.restore(backup, tc.withStatus)
			w.CreateBatch("b", testenv.Users("user", 20)...)
			if !tc.running {
				w.start()
			}
			w.Equal("counts", v1alpha1.UserCounts{Total: 20, Existing: 20}, w.Await("b", v1alpha1.ReasonSucceeded).Status.Counts)
			w.checkAdopted(tc.want)
			again, _ := w.Sent()
			w.Equal("users that were sent", tc.sent, len(again)-len(sent))
			if !tc.running || tc.withStatus { // else the batch may arrive before the slice, and have one of its own first
				w.Equal("slices", backup[0].Name, w.Slices()[0].Name)
			}
		})
	}
}

// TestAdoption_ByABatchThatHasItsUsers restores slices into a batch whose users are in others, under other settings.
func TestAdoption_ByABatchThatHasItsUsers(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.CreateBatch("b", testenv.Users("user", 20)...)
	w.Await("b", v1alpha1.ReasonSucceeded)
	_, requests := w.Sent()
	backup := w.backUp()
	backup[0].Name = "b-00000000-0"
	backup[0].Spec.APIKeySecretRef.Name = "renamed"
	backup[0].Spec.Users = append(backup[0].Spec.Users, v1alpha1.User{Username: "left"})
	backup[0].Status.Results = append(backup[0].Status.Results, v1alpha1.UserResult{Username: "left", Result: v1alpha1.ResultCreated})
	w.halt() // else it may adopt the slice before the list has that user, and drop its result
	w.restoreWhole(backup)
	w.Edit("b", func(b *v1alpha1.EmbeddedUserBatch) {
		b.Spec.Users = append(b.Spec.Users, v1alpha1.UserRow{Username: "left"})
	})
	w.start()
	w.Eventually(func() v1alpha1.UserCounts { return w.Load("b").Status.Counts }).
		Should(gomega.Equal(v1alpha1.UserCounts{Total: 21, Created: 20, Existing: 1}))
	restored := v1alpha1.UserResult{Username: "left", Result: v1alpha1.ResultExisting, Reason: v1alpha1.ReasonRestored}
	w.Equal("the user that only the backup has", restored, w.Results()["left"])
	if _, again := w.Sent(); again != requests {
		t.Errorf("%d requests", again-requests)
	}
	for _, slice := range w.Slices() {
		if slice.Spec.APIKeySecretRef.Name != testenv.SecretName {
			t.Errorf("%s refers to the Secret %s", slice.Name, slice.Spec.APIKeySecretRef.Name)
		}
	}

	// Nothing but the slice itself tells the operator of it. Nobody needs its users, so it is removed.
	w.restore([]v1alpha1.EmbeddedUserSlice{{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "b-00000000-1", Labels: map[string]string{v1alpha1.LabelBatch: "b"}},
		Spec: v1alpha1.EmbeddedUserSliceSpec{
			APIKeySecretRef: v1alpha1.APIKeySecretReference{Name: testenv.SecretName}, Users: testenv.Users("old", 3),
		},
	}}, false)
	w.Eventually(func() bool {
		return slices.ContainsFunc(w.Slices(), func(slice v1alpha1.EmbeddedUserSlice) bool { return slice.Name == "b-00000000-1" })
	}).Should(gomega.BeFalse())
}

// TestAdoption_SendsOnlyWhoIsInTheList restores a slice without its status while the list is missing.
func TestAdoption_SendsOnlyWhoIsInTheList(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.restore([]v1alpha1.EmbeddedUserSlice{{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "b-00000000-0", Labels: map[string]string{v1alpha1.LabelBatch: "b"}},
		Spec: v1alpha1.EmbeddedUserSliceSpec{
			APIKeySecretRef: v1alpha1.APIKeySecretReference{Name: testenv.SecretName},
			Users:           []v1alpha1.User{{Username: "stays"}, {Username: "left"}},
		},
	}}, false)
	batch := w.Batch("b")
	batch.Spec.UsersFrom = []v1alpha1.UsersSource{{ConfigMapKeyRef: &v1alpha1.UsersKeyReference{Name: "list", Key: "users.csv"}}}
	w.MustCreate(batch)
	w.Eventually(func() bool {
		slice := w.Slices()[0]
		return metav1.IsControlledBy(&slice, batch) && slice.Status.ObservedGeneration == slice.Generation
	}).
		Should(gomega.BeTrue())
	w.CreateBatch("later", v1alpha1.User{Username: "later"}) // what waited before has been sent by then
	w.Await("later", v1alpha1.ReasonSucceeded)
	w.MustCreate(w.configMap("list", map[string]string{"users.csv": "username\nstays\n"}))
	w.Await("b", v1alpha1.ReasonSucceeded)
	if sent, _ := w.Sent(); !slices.Equal(sent, []string{"later", "stays"}) {
		t.Errorf("sent: %q", sent)
	}
}

// TestForeign_SlicesWithTheLabelAreReportedAndLeftAlone creates slices that the batch cannot adopt.
func TestForeign_SlicesWithTheLabelAreReportedAndLeftAlone(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	owner := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "owner"}}
	w.MustCreate(owner)
	foreign := map[string][]metav1.OwnerReference{
		"b-copy":       nil,
		"b-01234567-0": {*metav1.NewControllerRef(owner, corev1.SchemeGroupVersion.WithKind("ConfigMap"))},
	}
	for name, owners := range foreign {
		w.MustCreate(&v1alpha1.EmbeddedUserSlice{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: w.Namespace, Name: name, Labels: map[string]string{v1alpha1.LabelBatch: "b"}, OwnerReferences: owners,
			},
			Spec: v1alpha1.EmbeddedUserSliceSpec{
				APIKeySecretRef: v1alpha1.APIKeySecretReference{Name: testenv.SecretName}, Users: testenv.Users(name, 2),
			},
		})
	}
	w.CreateBatch("b", v1alpha1.User{Username: "x"})
	w.Await("b", v1alpha1.ReasonSucceeded)
	w.Edit("b", func(b *v1alpha1.EmbeddedUserBatch) {
		b.Spec.Users = append(b.Spec.Users, v1alpha1.UserRow{Username: "y"})
	})
	w.Await("b", v1alpha1.ReasonSucceeded)
	reported := func(slice, why string) gomega.OmegaMatcher {
		return gomega.And(gomega.HavePrefix(v1alpha1.ReasonForeignSlice+": "), gomega.ContainSubstring(why),
			gomega.HaveSuffix("kubectl delete eus "+slice+" -n "+w.Namespace))
	}
	w.Eventually(func() []string { return w.warnings("b") }).
		Should(gomega.ConsistOf(reported("b-copy", "b-<8 hex digits>-<number>"), reported("b-01234567-0", `ConfigMap "owner" controls it`)))
	for _, slice := range w.Slices() {
		if _, isForeign := foreign[slice.Name]; isForeign && (slice.Generation != 1 || slice.Status.ObservedGeneration != -1) {
			t.Errorf("the slice was changed: %+v", slice)
		}
	}
	if sent, _ := w.Sent(); !slices.Equal(sent, []string{"x", "y"}) {
		t.Errorf("sent: %q", sent)
	}
}
