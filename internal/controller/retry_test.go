// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// rejecting returns a world whose API rejects the users whose names begin with "refused", until accept is called.
func rejecting(t *testing.T) (w *world, accept func()) {
	var accepts atomic.Bool
	w = newWorld(t, simulator.Options{Reject: func(username string) bool {
		return strings.HasPrefix(username, "refused") && !accepts.Load()
	}})
	w.SetKey(w.Key)
	return w, func() { accepts.Store(true) }
}

// timesSent returns how often a user was sent.
func (w *world) timesSent(username string) (times int) {
	sent, _ := w.Sent()
	for _, name := range sent {
		if name == username {
			times++
		}
	}
	return times
}

// setRetry sets the time of the second try of the only slice.
func (w *world) setRetry(at time.Time) {
	w.Helper()
	w.Must(testenv.Await(w.Context(), func(ctx context.Context) error {
		slice := w.Slices()[0]
		due := metav1.NewTime(at).Rfc3339Copy()
		slice.Status.RetryTime = &due
		return w.Status().Update(ctx, &slice)
	}))
}

// refused awaits a batch with a user that the API rejects, and looks at the time of the second try.
func (w *world) refused() {
	w.Helper()
	before := time.Now().Add(-time.Second) // times are stored in seconds
	w.CreateBatch("b", v1alpha1.User{Username: "refused"}, v1alpha1.User{Username: "another-user"})
	w.Await("b", v1alpha1.ReasonInvalidUsers)
	due := w.Slices()[0].Status.RetryTime
	if due == nil || due.Before(&metav1.Time{Time: before.Add(10 * time.Minute)}) || due.After(time.Now().Add(10*time.Minute)) {
		w.Fatalf("the second try is at %v", due)
	}
}

// TestRetry_ASecondTryThatSucceeds has the API accept a user ten minutes after it rejected it. No event tells that it is due.
func TestRetry_ASecondTryThatSucceeds(t *testing.T) {
	w, accept := rejecting(t)
	w.refused()
	accept()
	w.setRetry(time.Now().Add(3 * time.Second))
	w.Equal("counts", v1alpha1.UserCounts{Total: 2, Created: 2}, w.Await("b", v1alpha1.ReasonSucceeded).Status.Counts)
	if slice := w.Slices()[0]; slice.Status.RetryTime != nil {
		t.Errorf("there is another try at %s", slice.Status.RetryTime)
	}
	w.Equal("times that it was sent", 2, w.timesSent("refused"))
	w.Equal("times that another was sent", 1, w.timesSent("another-user"))
}

// TestRetry_OnceForEachRow rejects a user twice, over restarts, and then its correction.
func TestRetry_OnceForEachRow(t *testing.T) {
	w, _ := rejecting(t)
	w.refused()
	retried := func() bool { return w.Results()["refused"].Retried }
	w.halt()
	w.setRetry(time.Now()) // while no operator runs
	w.start()
	w.Eventually(retried).Should(gomega.BeTrue())
	w.Await("b", v1alpha1.ReasonInvalidUsers)
	w.Equal("times that it was sent", 2, w.timesSent("refused"))
	w.Equal("named", "refused", w.Load("b").Status.InvalidUsers[0].Username)

	w.halt()
	w.start()
	w.Edit("b", func(b *v1alpha1.EmbeddedUserBatch) {
		b.Spec.Users = append(b.Spec.Users, v1alpha1.UserRow{Username: "one-more"})
	})
	w.Eventually(func() int32 { return w.Await("b", v1alpha1.ReasonInvalidUsers).Status.Counts.Created }).Should(gomega.BeEquivalentTo(2))
	if due := w.Slices()[0].Status.RetryTime; due != nil || !retried() {
		t.Errorf("there is a third try at %v, retried %t", due, retried())
	}
	w.Equal("times that it was sent", 2, w.timesSent("refused"))

	w.Edit("b", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users[0].FullName = "Corrected" })
	w.Eventually(func() int { return w.timesSent("refused") }).Should(gomega.Equal(3))
	w.Eventually(func() *metav1.Time { return w.Slices()[0].Status.RetryTime }).ShouldNot(gomega.BeNil())
}

// TestRetry_WaitsUntilUsersMayBeSent has a second try fall due while the batch is suspended, and while the Secret is missing.
func TestRetry_WaitsUntilUsersMayBeSent(t *testing.T) {
	for name, tc := range map[string]struct{ stop, proceed func(*world) }{
		"suspended": {
			func(w *world) { w.suspend("b", true); w.awaitSuspended("b") }, func(w *world) { w.suspend("b", false) },
		},
		"without a Secret": {
			func(w *world) {
				w.Must(w.Delete(w.Context(), w.secret(testenv.SecretName, "", "")))
				w.Eventually(func() string {
					return testenv.Condition(w.Load("b").Status.Conditions, v1alpha1.ConditionCredentialsValid).Reason
				}).Should(gomega.Equal(v1alpha1.ReasonSecretNotFound))
			}, func(w *world) { w.SetKey(w.Key) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, accept := rejecting(t)
			w.refused()
			tc.stop(w)
			accept()
			w.setRetry(ago(time.Minute).Time)
			w.halt()
			w.start()
			w.CreateBatch("probe", testenv.Users("probe", 1)...) // reconciled after the slice
			if name == "suspended" {
				w.Await("probe", v1alpha1.ReasonSucceeded)
			} else {
				w.Await("probe", v1alpha1.ReasonSecretNotFound)
			}
			batch := w.Await("b", v1alpha1.ReasonInvalidUsers)
			w.Equal("counts", v1alpha1.UserCounts{Total: 2, Created: 1, Invalid: 1}, batch.Status.Counts)
			w.Equal("times that it was sent", 1, w.timesSent("refused"))
			tc.proceed(w)
			w.Await("b", v1alpha1.ReasonSucceeded)
			w.Equal("times that it was sent", 2, w.timesSent("refused"))
		})
	}
}

// TestRetry_TheDelayIsAnOption has a second try begin by itself.
func TestRetry_TheDelayIsAnOption(t *testing.T) {
	w, _ := rejecting(t)
	w.halt()
	w.retry = 2 * time.Second
	w.start()
	w.CreateBatch("b", v1alpha1.User{Username: "refused"}, v1alpha1.User{Username: "another-user"})
	w.Eventually(func() bool { return w.Results()["refused"].Retried }).Should(gomega.BeTrue())
	w.Await("b", v1alpha1.ReasonInvalidUsers)
	w.Equal("times that it was sent", 2, w.timesSent("refused"))
}
