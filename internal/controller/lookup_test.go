// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
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

// reconcileAt sets the annotation that asks for a look-up, and waits until that is done.
func (w *world) reconcileAt(name, value string) *v1alpha1.EmbeddedUserBatch {
	w.Helper()
	w.annotate(name, v1alpha1.AnnotationReconcileAt, value)
	var batch *v1alpha1.EmbeddedUserBatch
	w.Eventually(func() string {
		batch = w.Load(name)
		return batch.Status.LastHandledReconcileAt
	}).Should(gomega.Equal(value), func() string { return fmt.Sprintf("status: %+v", batch.Status) })
	return batch
}

func (w *world) annotate(name, annotation, value string) {
	w.Helper()
	w.Edit(name, func(batch *v1alpha1.EmbeddedUserBatch) {
		metav1.SetMetaDataAnnotation(&batch.ObjectMeta, annotation, value)
	})
}

// removeUsers deletes users from the account of a key, as somebody else would.
func (w *world) removeUsers(key string, usernames ...string) {
	w.Helper()
	for _, username := range usernames {
		w.Sim.Delete(key, username)
	}
}

// names returns the usernames of a key's account.
func (w *world) names(key string) (usernames []string) {
	for _, user := range w.Sim.Users(key) {
		usernames = append(usernames, user.Username)
	}
	return usernames
}

// resultsOf returns how many results of each kind the slices have.
func (w *world) resultsOf() map[v1alpha1.Result]int {
	counts := map[v1alpha1.Result]int{}
	for _, result := range w.Results() {
		counts[result.Result]++
	}
	return counts
}

// eventsOf returns the notes of the events of a reason.
func (w *world) eventsOf(reason string) string {
	w.Helper()
	out, err := w.Kubectl("", "get", "events.events.k8s.io", "--field-selector=reason="+reason,
		"-o=jsonpath={range .items[*]}{.note}{\"\\n\"}{end}")
	w.Must(err)
	return out
}

func TestLookup_MissingUsersAreCreatedAgain(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.Sim.Seed(w.Key, "drift-00001@example.com", "drift-00002@example.com")
	w.CreateBatch("drift", testenv.Users("drift", 2500)...)
	w.Await("drift", v1alpha1.ReasonSucceeded)
	before := w.resultsOf()
	first, _ := w.Sent()

	batch := w.reconcileAt("drift", "nothing is missing")
	again, _ := w.Sent()
	w.Equal("usernames sent though nothing is missing", 0, len(again)-len(first))
	w.Equal("lists", 1, w.Sim.Count(simulator.List))
	w.Equal("results", before, w.resultsOf())
	confirmed := testenv.Condition(batch.Status.Conditions, v1alpha1.ConditionUsersConfirmed)
	w.Equal("condition", metav1.ConditionTrue, confirmed.Status)

	missing := []string{"drift-00000@example.com", "drift-00001@example.com", "drift-01700@example.com", "drift-02400@example.com"}
	w.removeUsers(w.Key, missing...)
	w.reconcileAt("drift", "four are missing")
	again, _ = w.Sent()
	sent := slices.Sorted(slices.Values(again[len(first):]))
	w.Equal("usernames sent again", missing, sent)
	w.Equal("users", 2500, len(w.Sim.Users(w.Key)))
	w.Equal("results", before, w.resultsOf()) // an existing user that is created again was not this operator's
	w.Equal("lists", 2, w.Sim.Count(simulator.List))
	const wanted = "4 of 2500 users that existed are missing in the Alloy account; creating them again\n"
	if note := w.eventsOf(v1alpha1.ReasonUsersMissing); note != wanted {
		t.Errorf("events: %s", note)
	}
	status := w.Await("drift", v1alpha1.ReasonSucceeded).Status
	w.Equal("counts", v1alpha1.UserCounts{Total: 2500, Created: 2498, Existing: 2}, status.Counts)
}

// TestLookup_APartialListProvesNothing has the API list only a part of the users.
func TestLookup_APartialListProvesNothing(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.CreateBatch("partial", testenv.Users("partial", 3000)...)
	w.Await("partial", v1alpha1.ReasonSucceeded)
	w.Sim.Inject(simulator.Fault{
		Operation: simulator.List, Status: http.StatusOK, Body: listOf("partial-00000@example.com", "partial-00001@example.com"),
	})
	before := w.resultsOf()

	batch := w.reconcileAt("partial", "1")
	w.Equal("users", 3000, len(w.Sim.Users(w.Key)))
	w.Equal("results", before, w.resultsOf())
	confirmed := testenv.Condition(batch.Status.Conditions, v1alpha1.ConditionUsersConfirmed)
	if confirmed.Reason != v1alpha1.ReasonListUnavailable {
		t.Errorf("condition: %+v", confirmed)
	}
	w.noneTwice()
}

func TestLookup_WithoutAListEachSliceIsSentOnce(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.CreateBatch("listless", testenv.Users("listless", 2500)...)
	w.Await("listless", v1alpha1.ReasonSucceeded)
	w.Sim.Inject(simulator.Fault{Operation: simulator.List, Status: http.StatusForbidden, Body: "{}"})
	before, first := w.resultsOf(), w.Sim.Count(simulator.Create)
	w.removeUsers(w.Key, "listless-00007@example.com")

	batch := w.reconcileAt("listless", "1")
	w.Equal("requests", 3, w.Sim.Count(simulator.Create)-first)
	w.Equal("users", 2500, len(w.Sim.Users(w.Key)))
	w.Equal("results", before, w.resultsOf())
	confirmed := testenv.Condition(batch.Status.Conditions, v1alpha1.ConditionUsersConfirmed)
	if confirmed.Reason != v1alpha1.ReasonListUnavailable || !strings.Contains(confirmed.Message, "each user was sent once instead") {
		t.Errorf("condition: %+v", confirmed)
	}
	w.Equal("reads of single users", 0, w.Sim.Count(simulator.Get))
}

// noneTwice checks that no user was created twice, but those that were deleted meanwhile.
func (w *world) noneTwice(deleted ...string) {
	w.Helper()
	seen := map[string]bool{}
	for _, request := range w.Sim.Requests() {
		for _, username := range request.Created {
			if seen[username] && !slices.Contains(deleted, username) {
				w.Errorf("%s was created twice", username)
			}
			seen[username] = true
		}
	}
}

// listOf returns the answer to GET /users with some users.
func listOf(usernames ...string) string {
	users := make([]map[string]string, len(usernames))
	for i, username := range usernames {
		users[i] = map[string]string{"userId": strconv.Itoa(i), "username": username}
	}
	body, _ := json.Marshal(map[string]any{"data": users}) //nolint:errchkjson // strings always encode
	return string(body)
}

func TestLookup_ARejectedUserIsTriedAgainOnDemand(t *testing.T) {
	var full atomic.Bool
	full.Store(true)
	w := newWorld(t, simulator.Options{Reject: func(username string) bool { return full.Load() && username == "seats-00001@example.com" }})
	w.SetKey(w.Key)
	w.CreateBatch("seats", testenv.Users("seats", 3)...)
	status := w.Await("seats", v1alpha1.ReasonInvalidUsers).Status
	w.Equal("counts", v1alpha1.UserCounts{Total: 3, Created: 2, Invalid: 1}, status.Counts)

	w.reconcileAt("seats", "still full")
	w.Equal("reason", v1alpha1.ReasonInvalidUsers, testenv.Condition(w.Load("seats").Status.Conditions, v1alpha1.ConditionReady).Reason)
	full.Store(false)
	w.reconcileAt("seats", "bought some")
	w.Await("seats", v1alpha1.ReasonSucceeded)
	w.Equal("users", 3, len(w.Sim.Users(w.Key)))
}

// TestLookup_AnotherKeyOfTheAccount rotates the key: the account is the same, so only a list is read.
func TestLookup_AnotherKeyOfTheAccount(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.CreateBatch("rotated", testenv.Users("rotated", 1200)...)
	w.Await("rotated", v1alpha1.ReasonSucceeded)
	before, sent := w.Load("rotated").Status.KeyFingerprint, w.Sim.Count(simulator.Create)

	w.Sim.AddKey("new-key")
	w.Sim.Seed("new-key", w.names(w.Key)...)
	w.removeUsers("new-key", "rotated-00000@example.com")
	w.SetKey("new-key")
	w.Eventually(func() string { return w.Load("rotated").Status.KeyFingerprint }).ShouldNot(gomega.Equal(before))
	w.Eventually(func() int { return len(w.Sim.Users("new-key")) }).Should(gomega.Equal(1200))
	w.Await("rotated", v1alpha1.ReasonSucceeded)
	w.Equal("requests", 1, w.Sim.Count(simulator.Create)-sent)
	w.Equal("lists", 1, w.Sim.Count(simulator.List))
}

// TestLookup_AKeyOfAnotherAccount puts a development key in place of the production key.
func TestLookup_AKeyOfAnotherAccount(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.CreateBatch("moved", testenv.Users("moved", 1200)...)
	w.Await("moved", v1alpha1.ReasonSucceeded)
	before, sent := w.Load("moved"), w.Sim.Count(simulator.Create)
	w.Sim.AddKey("development")
	w.Sim.Seed("development", "moved-00000@example.com")

	w.SetKey("development")
	status := w.Await("moved", v1alpha1.ReasonAccountChanged).Status
	ready := testenv.Condition(status.Conditions, v1alpha1.ConditionReady)
	if status.Approval == "" || !contains(ready.Message, "1199 of 1200 users", v1alpha1.AnnotationApprove+"="+status.Approval) {
		t.Errorf("approval %q, message: %s", status.Approval, ready.Message)
	}
	// Users that are added wait as well, and no other approval will do.
	w.Edit("moved", func(batch *v1alpha1.EmbeddedUserBatch) {
		batch.Spec.Users = append(batch.Spec.Users, v1alpha1.UserRow{Username: "added"})
		metav1.SetMetaDataAnnotation(&batch.ObjectMeta, v1alpha1.AnnotationApprove, "yes")
	})
	status = w.Await("moved", v1alpha1.ReasonAccountChanged).Status
	w.Equal("requests", 0, w.Sim.Count(simulator.Create)-sent)
	w.Equal("users", 1, len(w.Sim.Users("development")))

	// The right key needs no approval.
	w.SetKey(w.Key)
	status = w.Await("moved", v1alpha1.ReasonSucceeded).Status
	w.Equal("key", before.Status.KeyFingerprint, status.KeyFingerprint)
	w.Equal("approval", "", status.Approval)

	w.SetKey("development")
	status = w.Await("moved", v1alpha1.ReasonAccountChanged).Status
	w.annotate("moved", v1alpha1.AnnotationApprove, status.Approval)
	status = w.Await("moved", v1alpha1.ReasonSucceeded).Status
	w.Equal("users", 1201, len(w.Sim.Users("development")))
	w.Equal("counts", v1alpha1.UserCounts{Total: 1201, Created: 1201}, status.Counts)
}

func TestLookup_AnObservedBatchSendsNothing(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.Sim.Seed(w.Key, "live-00000@example.com", "live-00001@example.com", "live-01100@example.com")
	batch := w.Batch("live", testenv.Users("live", 1200)...)
	batch.Spec.Mode = v1alpha1.ModeObserve
	batch.Spec.Users = append(batch.Spec.Users, v1alpha1.UserRow{Username: " "})
	w.MustCreate(batch)
	status := w.Await("live", v1alpha1.ReasonObserved).Status
	w.Equal("counts", v1alpha1.UserCounts{Total: 1201, Existing: 3, Pending: 1197, Invalid: 1}, status.Counts)
	w.Equal("requests", []simulator.Operation{simulator.List}, w.operations())

	w.halt() // what was observed is not read again
	w.start()
	w.Edit("live", func(batch *v1alpha1.EmbeddedUserBatch) { batch.Labels = map[string]string{"touched": "yes"} })
	time.Sleep(time.Second)
	w.Equal("requests after a restart", []simulator.Operation{simulator.List}, w.operations())

	w.Edit("live", func(batch *v1alpha1.EmbeddedUserBatch) {
		batch.Spec.Mode = v1alpha1.ModeApply
		batch.Spec.Users = batch.Spec.Users[:1200]
	})
	status = w.Await("live", v1alpha1.ReasonSucceeded).Status
	w.Equal("counts", v1alpha1.UserCounts{Total: 1200, Created: 1197, Existing: 3}, status.Counts)
	sent, _ := w.Sent()
	w.Equal("usernames sent", 1197, len(sent))
}

func (w *world) operations() (operations []simulator.Operation) {
	for _, request := range w.Sim.Requests() {
		operations = append(operations, request.Operation)
	}
	return operations
}

// TestLookup_AnUnchangedResyncWritesOneTime checks what a resync costs that finds nothing, and that one that finds something mends it.
func TestLookup_AnUnchangedResyncWritesOneTime(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.CreateBatch("resynced", testenv.Users("resynced", 1200)...)
	w.Await("resynced", v1alpha1.ReasonSucceeded)
	w.halt()
	w.resync = 3 * time.Second
	w.start()
	lists := func(n int) func() int { return func() int { return w.Sim.Count(simulator.List) - n } }
	w.Eventually(lists(0)).Should(gomega.BeNumerically(">=", 2)) // the condition UsersConfirmed is there since the first

	before, slicesBefore := w.Load("resynced"), w.Slices()
	seen := w.Sim.Count(simulator.List)
	w.Eventually(lists(seen)).Should(gomega.BeNumerically(">=", 2))
	after := w.Load("resynced")
	w.Equal("slices", slicesBefore, w.Slices())
	w.Equal("requests that create users", 2, w.Sim.Count(simulator.Create))
	if !before.Status.LastResyncTime.Before(after.Status.LastResyncTime) {
		t.Errorf("resynced at %s and then at %s", before.Status.LastResyncTime, after.Status.LastResyncTime)
	}
	after.Status.LastResyncTime = before.Status.LastResyncTime
	w.Equal("status but for the time", before.Status, after.Status)

	w.removeUsers(w.Key, "resynced-00007@example.com")
	w.Eventually(func() int { return len(w.Sim.Users(w.Key)) }).Should(gomega.Equal(1200))
	w.Await("resynced", v1alpha1.ReasonSucceeded)
	w.noneTwice("resynced-00007@example.com")
}
