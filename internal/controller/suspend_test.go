// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// suspend suspends or resumes a batch as people do.
func (w *world) suspend(name string, suspend bool) {
	w.Helper()
	out, err := w.Kubectl("", "patch", "eub", name, "--type=merge", "-p", fmt.Sprintf(`{"spec":{"suspend":%t}}`, suspend))
	if err != nil {
		w.Fatal(out)
	}
}

// awaitSuspended waits until the status of a batch says that it is suspended.
func (w *world) awaitSuspended(name string) (batch *v1alpha1.EmbeddedUserBatch) {
	w.Helper()
	w.Eventually(func() bool {
		batch = w.Load(name)
		return batch.Status.ObservedGeneration == batch.Generation &&
			meta.IsStatusConditionTrue(batch.Status.Conditions, v1alpha1.ConditionSuspended)
	}).Should(gomega.BeTrue(), func() string { return fmt.Sprintf("status: %+v", batch.Status) })
	return batch
}

// sentAre checks how many requests were sent.
func (w *world) sentAre(what string, want int) {
	w.Helper()
	if _, requests := w.Sent(); requests != want {
		w.Errorf("%s: %d requests, want %d", what, requests, want)
	}
}

// waitLonger has the operator wait longer for an answer than a test holds a request.
func (w *world) waitLonger() {
	w.Helper()
	w.halt()
	w.timeout = 2 * testenv.Patience
	w.start()
}

// long is the batch "b" with so many users that each full slice is a request of its own.
func (w *world) long(slices int) *v1alpha1.EmbeddedUserBatch {
	return w.Batch("b", testenv.Users("user", slices*1000)...)
}

// countWrites counts the operator's writes of slices.
func (w *world) countWrites() (count func() int64) {
	var writes atomic.Int64
	w.forbid(func(r *http.Request) bool {
		if r.Method != http.MethodGet && strings.Contains(r.URL.Path, "/embeddeduserslices") {
			writes.Add(1)
		}
		return false
	})
	return writes.Load
}

// TestSuspend_ARunningRequestEnds suspends a batch while its first request runs, edits it, and resumes it.
func TestSuspend_ARunningRequestEnds(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.waitLonger()
	applied, release := w.Hold() // the first request proves the key: no other runs meanwhile
	w.SetKey(w.Key)
	w.MustCreate(w.long(5))
	<-applied
	w.Eventually(func() int { return len(w.Slices()) }).Should(gomega.Equal(5))
	w.suspend("b", true)
	w.Await("b", v1alpha1.ReasonSuspended)
	w.sentAre("suspended", 1)

	writes := w.countWrites()
	release()
	w.Eventually(func() int32 { return w.Load("b").Status.Counts.Created }).Should(gomega.BeEquivalentTo(1000))
	batch := w.awaitSuspended("b")
	w.Equal("counts", v1alpha1.UserCounts{Total: 5000, Created: 1000, Pending: 4000}, batch.Status.Counts)
	ready := testenv.Condition(batch.Status.Conditions, v1alpha1.ConditionReady)
	w.Equal("message", "1000 of 5000 users done: 1000 created, 0 existed already, 4000 pending; set spec.suspend to false to go on",
		ready.Message)
	w.sentAre("after the request ended", 1)
	if n := writes(); n != 1 {
		t.Errorf("%d writes of slices, want that of the results", n)
	}

	// New users are planned, and not sent.
	w.Edit("b", func(b *v1alpha1.EmbeddedUserBatch) {
		b.Spec.Users = append(b.Spec.Users[:4999], testenv.Rows(testenv.Users("new", 500)...)...)
	})
	w.Eventually(func() int32 { return w.awaitSuspended("b").Status.Counts.Total }).Should(gomega.BeEquivalentTo(5499))
	batch = w.Await("b", v1alpha1.ReasonSuspended)
	w.Equal("counts", v1alpha1.UserCounts{Total: 5499, Created: 1000, Pending: 4499}, batch.Status.Counts)
	w.Equal("slices", v1alpha1.SliceCounts{Total: 6, Ready: 1}, batch.Status.Slices)
	w.sentAre("after the edit", 1)

	w.suspend("b", false)
	batch = w.Await("b", v1alpha1.ReasonSucceeded)
	w.Equal("counts", v1alpha1.UserCounts{Total: 5499, Created: 5499}, batch.Status.Counts)
	w.Equal("condition", metav1.Condition{}, testenv.Condition(batch.Status.Conditions, v1alpha1.ConditionSuspended))
	sent, _ := w.Sent()
	if len(sent) != 5499 {
		t.Errorf("%d users were sent", len(sent))
	}
}

// TestSuspend_CreatedSuspended creates a batch that is suspended from the start, whatever happens to it.
func TestSuspend_CreatedSuspended(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	batch := w.long(3)
	batch.Spec.Suspend = true
	w.MustCreate(batch)
	w.Await("b", v1alpha1.ReasonSuspended)
	writes := w.countWrites()
	w.halt()
	w.start()
	w.SetKey("wrong")
	w.SetKey(w.Key)
	w.Edit("b", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users = b.Spec.Users[:2500] })
	w.Eventually(func() int32 { return w.awaitSuspended("b").Status.Counts.Pending }).Should(gomega.BeEquivalentTo(2500))
	if n := writes(); n != 1 {
		t.Errorf("%d writes of slices, want that of the edit", n)
	}
	out, err := w.Kubectl("", "get", "eub", "b", "--no-headers", "-o",
		`jsonpath={.spec.suspend} {.status.counts.pending} {.status.conditions[?(@.type=="Suspended")].status}`)
	w.Must(err)
	w.Equal("kubectl", "true 2500 True", out)
	w.Must(w.Delete(w.Context(), w.Load("b")))
	w.Eventually(func() int {
		var list v1alpha1.EmbeddedUserBatchList
		w.Must(w.List(w.Context(), &list, client.InNamespace(w.Namespace)))
		return len(list.Items)
	}).Should(gomega.BeZero())
	w.sentAre("at the end", 0)
	w.Equal("users", 0, len(w.Sim.Users(w.Key)))
}

// TestSuspend_ResumingAlwaysWorks resumes a suspended batch after something happened to it, and sees it through.
func TestSuspend_ResumingAlwaysWorks(t *testing.T) {
	restart := func(w *world) { w.halt(); w.start() }
	for name, tc := range map[string]struct {
		before    func(*world) // the batch is there
		suspended func(*world)
		reason    string // of Ready once it is resumed
		after     func(*world)
	}{
		"at once":                {suspended: func(*world) {}},
		"after a restart":        {suspended: restart},
		"while no operator runs": {suspended: func(w *world) { w.halt(); w.suspend("b", false); w.start() }},
		"with a wrong key": {
			suspended: func(w *world) { w.SetKey("wrong") }, reason: v1alpha1.ReasonUnauthorized, after: func(w *world) { w.SetKey(w.Key) },
		},
		"with a wrong key, after a restart": {
			suspended: func(w *world) { w.SetKey("wrong"); restart(w) }, reason: v1alpha1.ReasonUnauthorized,
			after: func(w *world) { w.SetKey(w.Key) },
		},
		"with a missing Secret": {
			suspended: func(w *world) {
				w.Must(w.Delete(w.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: testenv.SecretName}}))
			},
			reason: v1alpha1.ReasonSecretNotFound, after: func(w *world) { w.SetKey(w.Key) },
		},
		"after a rejected key": {
			before:    func(w *world) { w.SetKey("wrong"); w.Await("b", v1alpha1.ReasonUnauthorized) },
			suspended: func(w *world) { w.SetKey(w.Key) },
		},
		"after a failed attempt": {
			before: func(w *world) {
				w.Sim.Inject(simulator.Fault{Operation: simulator.Create, Status: 503})
				w.SetKey(w.Key)
				w.Await("b", v1alpha1.ReasonRetrying)
			},
			suspended: func(w *world) { w.Sim.ClearFaults() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			batch := w.long(2)
			batch.Spec.Suspend = tc.before == nil
			w.MustCreate(batch)
			if tc.before != nil {
				tc.before(w)
				w.suspend("b", true)
			} else {
				w.SetKey(w.Key)
			}
			w.Await("b", v1alpha1.ReasonSuspended)
			_, before := w.Sent()
			tc.suspended(w)
			if w.Load("b").Spec.Suspend {
				w.Await("b", v1alpha1.ReasonSuspended)
				w.sentAre("suspended", before)
				w.suspend("b", false)
			}
			if tc.reason != "" {
				w.Await("b", tc.reason)
				tc.after(w)
			}
			w.Equal("counts", v1alpha1.UserCounts{Total: 2000, Created: 2000}, w.Await("b", v1alpha1.ReasonSucceeded).Status.Counts)
		})
	}
}

// TestSuspend_WithNothingPendingKeepsReady suspends a batch that is done, and one with an invalid user.
func TestSuspend_WithNothingPendingKeepsReady(t *testing.T) {
	w := newWorld(t, simulator.Options{Reject: func(username string) bool { return username == "refused" }})
	w.SetKey(w.Key)
	w.CreateBatch("done", testenv.Users("user", 3)...)
	w.CreateBatch("invalid", v1alpha1.User{Username: "refused"}, v1alpha1.User{Username: "accepted"})
	for name, reason := range map[string]string{"done": v1alpha1.ReasonSucceeded, "invalid": v1alpha1.ReasonInvalidUsers} {
		before := testenv.Condition(w.Await(name, reason).Status.Conditions, v1alpha1.ConditionReady)
		w.suspend(name, true)
		after := testenv.Condition(w.awaitSuspended(name).Status.Conditions, v1alpha1.ConditionReady)
		before.ObservedGeneration = after.ObservedGeneration
		w.Equal("Ready of "+name, before, after)
	}
	// A slice that becomes empty is removed all the same.
	w.Edit("done", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users = nil })
	w.Eventually(func() int32 { return w.awaitSuspended("done").Status.Slices.Total }).Should(gomega.BeZero())
}

// TestSuspend_StopsAFailingBatch suspends a batch whose requests fail: nothing more is tried, and no user is lost whose answer was.
func TestSuspend_StopsAFailingBatch(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.Sim.Inject(simulator.Fault{Operation: simulator.Create, Apply: true, Cut: true, Times: 1})
	w.Sim.Inject(simulator.Fault{Operation: simulator.Create, Status: 503})
	w.SetKey(w.Key)
	w.CreateBatch("b", testenv.Users("user", 3)...)
	w.Await("b", v1alpha1.ReasonRetrying)
	w.suspend("b", true)
	w.Await("b", v1alpha1.ReasonSuspended)
	w.Sim.ClearFaults()
	_, before := w.Sent()
	w.CreateBatch("other", testenv.Users("other", 3)...) // of the same account, which is tried again
	w.Await("other", v1alpha1.ReasonSucceeded)
	if _, requests := w.Sent(); requests == before {
		t.Error("the other batch sent nothing")
	}
	w.Equal("counts", v1alpha1.UserCounts{Total: 3, Pending: 3}, w.Load("b").Status.Counts)
	w.suspend("b", false)
	w.Equal("counts", v1alpha1.UserCounts{Total: 3, Existing: 3}, w.Await("b", v1alpha1.ReasonSucceeded).Status.Counts)
	for username, result := range w.Results() {
		if strings.HasPrefix(username, "user") && result.Reason != v1alpha1.ReasonUnconfirmedAttempt {
			t.Errorf("%s is recorded as %+v", username, result)
		}
	}
}

// TestSuspend_OldNewsOfTheBatch suspends a batch while the operator does not learn of it, and lets it learn.
func TestSuspend_OldNewsOfTheBatch(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.waitLonger()
	w.MustCreate(w.long(4))
	w.Await("b", v1alpha1.ReasonSecretNotFound)
	release := stall(&w.watches.batches)
	defer release()
	applied, proceed := w.Hold()
	w.suspend("b", true)
	w.SetKey(w.Key)
	<-applied // it does not know yet
	release()
	w.Await("b", v1alpha1.ReasonSuspended)
	proceed()
	w.Eventually(func() int32 { return w.Load("b").Status.Counts.Created }).Should(gomega.BeEquivalentTo(1000))
	w.sentAre("suspended", 1)
}
