// SPDX-License-Identifier: Apache-2.0

package live

import (
	"strings"
	"syscall"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// listed creates a list, and a batch of it and of an optional list that does not exist. The result changes the list.
func (w *world) listed() (change func(csv string)) {
	w.Helper()
	list := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "list", Namespace: w.Namespace}}
	batch := w.Batch("customers")
	batch.Spec.UsersFrom = []v1alpha1.UsersSource{
		{ConfigMapKeyRef: &v1alpha1.UsersKeyReference{Name: "list", Key: "users.csv"}},
		{ConfigMapKeyRef: &v1alpha1.UsersKeyReference{Name: "more", Key: "users.csv", Optional: true}},
	}
	w.MustCreate(list)
	w.MustCreate(batch)
	return func(csv string) {
		w.Helper()
		list.Data = map[string]string{"users.csv": csv}
		w.Must(w.Update(w.Context(), list))
	}
}

// ends checks how a command ends that must not wait for what does not come.
func (w *world) ends(code int, said string, args ...string) {
	w.Helper()
	out, errOut, got := w.run(editor, args...)
	if got != code || !strings.Contains(out+errOut, said) {
		w.Errorf("%v: exit code %d\n%s%s", args, got, out, errOut)
	}
}

func TestWaiting_EndsIfTheListCannotBeRead(t *testing.T) {
	w := newWorld(t, "unreadable", simulator.Options{})
	operator := w.start()
	change := w.listed()
	change("username\nann\n")
	w.Await("customers", v1alpha1.ReasonSucceeded)
	change("<html>")
	w.Await("customers", v1alpha1.ReasonSourceUnreadable)
	w.ends(0, "Stalled (SourceUnreadable)", "status", "customers")
	w.ends(1, "customers Stalled", "status", "customers", "--watch", "--timeout", "60s")
	w.ends(1, "customers Stalled", "status", "customers", "--watch", "--timeout", "3s")
	change("username\nann\n")
	w.Await("customers", v1alpha1.ReasonSucceeded)

	// An optional list that comes and goes before the operator has seen it leaves no trace in the status.
	w.Must(operator.Signal(syscall.SIGSTOP))
	more := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "more", Namespace: w.Namespace}}
	w.MustCreate(more)
	command, out := w.command(editor, "status", "customers", "--watch", "--timeout", "60s"), &testenv.Log{}
	command.Stdout, command.Stderr = out, out
	w.Must(command.Start())
	w.Eventually(func() string { return string(out.Bytes()) }).Should(gomega.ContainSubstring("customers Unseen"))
	w.Must(w.Delete(w.Context(), more))
	if err := command.Wait(); err != nil || !strings.Contains(string(out.Bytes()), "customers Ready") {
		t.Errorf("an optional list is gone again: %v\n%s", err, out.Bytes())
	}
	w.Must(operator.Signal(syscall.SIGCONT))
}

// Nobody is looked up under a key that the API rejects, or for a batch that is suspended.
func TestWaiting_EndsIfNobodyIsLookedUp(t *testing.T) {
	w := newWorld(t, "vain", simulator.Options{})
	w.start()
	change := w.listed()
	change("username\nann\n")
	w.Await("customers", v1alpha1.ReasonSucceeded)
	w.Edit("customers", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Suspend = true })
	w.mustRun(editor, "suspend", "customers", "--wait")
	w.mustRun(editor, "retry", "customers")
	w.ends(0, "vain/customers Ready", "status", "customers", "--watch", "--timeout", "60s")
	w.mustRun(editor, "resume", "customers", "--wait", "--timeout", "60s")
	w.mustRun(editor, "retry", "customers", "--wait", "--timeout", "60s")

	w.SetKey("wrong")
	w.Eventually(func() bool {
		return meta.IsStatusConditionFalse(w.Load("customers").Status.Conditions, v1alpha1.ConditionCredentialsValid)
	}).Should(gomega.BeTrue())
	w.ends(1, "once the Secret has an API key that is valid", "retry", "customers", "--wait", "--timeout", "60s")
	w.ends(0, "vain/customers Ready", "status", "customers", "--watch", "--timeout", "60s")
	change("username\nann\nbob\n")
	w.Await("customers", v1alpha1.ReasonUnauthorized)
	w.ends(1, "customers Stalled", "retry", "customers", "--wait", "--timeout", "3s")
	w.ends(1, "customers Stalled", "status", "customers", "--watch", "--timeout", "3s")
}

// The role view may not get Secrets.
func TestStatus_SaysThatAListMayHaveChanged(t *testing.T) {
	w := newWorld(t, "secret-list", simulator.Options{})
	operator := w.start()
	list := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "list", Namespace: w.Namespace}, Data: map[string][]byte{
		"users.csv": []byte("username\nann\n"),
	}}
	batch := w.Batch("customers")
	batch.Spec.UsersFrom = []v1alpha1.UsersSource{{SecretKeyRef: &v1alpha1.UsersKeyReference{Name: "list", Key: "users.csv"}}}
	w.MustCreate(list)
	w.MustCreate(batch)
	w.Await("customers", v1alpha1.ReasonSucceeded)
	if screen := w.mustRun(editor, "status", "customers"); !strings.Contains(screen, "Ready") || strings.Contains(screen, "Not shown") {
		t.Error(screen)
	}
	w.Must(operator.Signal(syscall.SIGSTOP))
	list.Data["users.csv"] = []byte("username\nann\nbob\n")
	w.Must(w.Update(w.Context(), list))
	w.ends(0, "secret-list/customers   Unseen", "status", "customers")
	screen := w.mustRun(viewer, "status", "customers")
	for _, part := range []string{"Ready", "Not shown  whether a list has changed", "get secrets"} {
		if !strings.Contains(screen, part) {
			t.Errorf("%q is missing:\n%s", part, screen)
		}
	}
	w.Must(operator.Signal(syscall.SIGCONT))
}
