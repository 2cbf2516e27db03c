// SPDX-License-Identifier: Apache-2.0

package live

import (
	"strings"
	"syscall"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// Somebody mends what is wrong and waits at once, before the operator, which is stopped meanwhile, has seen it.
func TestWaiting_ForWhatWasJustMended(t *testing.T) {
	w := newWorld(t, "mended", simulator.Options{})
	operator := w.start()
	list := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "list", Namespace: w.Namespace}}
	batch := w.Batch("customers")
	batch.Spec.UsersFrom = []v1alpha1.UsersSource{{ConfigMapKeyRef: &v1alpha1.UsersKeyReference{Name: "list", Key: "users.csv"}}}
	w.MustCreate(list)
	w.MustCreate(batch)
	csv := func(text string) {
		list.Data = map[string]string{"users.csv": text}
		w.Must(w.Update(w.Context(), list))
	}
	observe := func() {
		w.Edit("customers", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Mode = v1alpha1.ModeObserve })
		csv("username\nann\nzoe\n")
	}
	for _, test := range []struct {
		reason string
		spoil  func()
		mend   func()
		args   []string
		first  string // what is said before the operator has seen it
	}{
		{v1alpha1.ReasonInvalidUsers, func() { csv("username\nann\nbob bob\x01\n") }, func() { csv("username\nann\nbob\n") },
			[]string{"status", "customers", "--watch"}, "mended/customers Unseen"},
		{v1alpha1.ReasonSucceeded, func() {}, func() { csv("username\nann\nbob\neve\n") },
			[]string{"status", "customers", "--watch"}, "mended/customers Unseen"},
		{v1alpha1.ReasonSucceeded, func() { w.Sim.Delete(w.Key, "ann") }, func() { w.mustRun(editor, "retry", "customers") },
			[]string{"status", "customers", "--watch"}, "mended/customers Unseen"},
		{v1alpha1.ReasonSourceUnreadable, func() { csv("<html>") }, func() { csv("username\nann\nbob\n") },
			[]string{"status", "customers", "--watch"}, "mended/customers Stalled"},
		{v1alpha1.ReasonUnauthorized, func() { w.SetKey("wrong"); csv("username\nann\nbob\neve\ndan\n") }, func() { w.SetKey(w.Key) },
			[]string{"status", "customers", "--watch"}, "mended/customers Stalled"},
		{v1alpha1.ReasonUnauthorized, func() { w.SetKey("wrong"); csv("username\nann\nbob\neve\ndan\nmax\n") }, func() { w.SetKey(w.Key) },
			[]string{"retry", "customers", "--wait"}, "asked to look up its users"},
		{v1alpha1.ReasonObserved, observe, func() { w.Sim.Seed(w.Key, "zoe"); w.mustRun(editor, "retry", "customers") },
			[]string{"status", "customers", "--watch"}, "mended/customers Unseen"},
	} {
		test.spoil()
		w.Await("customers", test.reason)
		w.Must(operator.Signal(syscall.SIGSTOP))
		test.mend()
		command, out := w.command(editor, append(test.args, "--timeout", "90s")...), &testenv.Log{}
		command.Stdout, command.Stderr = out, out
		w.Must(command.Start())
		w.Eventually(func() string { return string(out.Bytes()) }).Should(gomega.ContainSubstring(test.first))
		w.Must(operator.Signal(syscall.SIGCONT))
		if err := command.Wait(); err != nil || !strings.Contains(string(out.Bytes()), "mended/customers Ready") {
			t.Errorf("%v after %s: %v\n%s", test.args, test.reason, err, out.Bytes())
		}
	}
	w.Equal("users", 6, len(w.Sim.Users(w.Key)))
}
