// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// TestAnswers_WhatTheStatusShows injects each answer for good, looks at the status, takes the fault away, and sees the batch
// through.
func TestAnswers_WhatTheStatusShows(t *testing.T) {
	says := func(status int) simulator.Fault {
		return simulator.Fault{Status: status, Body: `{"message":"so it is"}`}
	}
	for name, tc := range map[string]struct {
		fault   simulator.Fault
		reason  string
		message []string
		inDoubt bool // the users that the fault met may have been created
		stalls  bool // somebody has to change something
	}{
		"401": {fault: says(401), reason: v1alpha1.ReasonUnauthorized, message: []string{"401 Unauthorized", "so it is"}, stalls: true},
		"403": {fault: says(403), reason: v1alpha1.ReasonUnauthorized, message: []string{"403 Forbidden"}, stalls: true},
		"408": {fault: says(408), reason: v1alpha1.ReasonRetrying, message: []string{"408 Request Timeout", "trying again"}, inDoubt: true},
		"500": {fault: says(500), reason: v1alpha1.ReasonRetrying, message: []string{"500 Internal Server Error", "so it is"}, inDoubt: true},
		"503": {fault: says(503), reason: v1alpha1.ReasonRetrying, message: []string{"503 Service Unavailable"}, inDoubt: true},
		"425": {fault: says(425), reason: v1alpha1.ReasonRetrying, message: []string{"425 Too Early"}},
		"429": {fault: says(429), reason: v1alpha1.ReasonRetrying, message: []string{"429 Too Many Requests"}},
		"400 with another message": {
			fault: says(400), reason: v1alpha1.ReasonRequestRejected,
			message: []string{"400 Bad Request: so it is", "--alloy-api-version"}, stalls: true,
		},
		"422": {fault: says(422), reason: v1alpha1.ReasonRequestRejected, message: []string{"422 Unprocessable Entity"}, stalls: true},
		"402": {fault: says(402), reason: v1alpha1.ReasonRequestRejected, message: []string{"402 Payment Required", "plan"}, stalls: true},
		"404": {fault: says(404), reason: v1alpha1.ReasonRequestRejected, message: []string{"404 Not Found", "--alloy-url"}, stalls: true},
		"415": {fault: says(415), reason: v1alpha1.ReasonRequestRejected, message: []string{"415 Unsupported Media Type"}, stalls: true},
		"a redirect": {
			fault:  simulator.Fault{Status: 302, Header: http.Header{"Location": {"/elsewhere"}}},
			reason: v1alpha1.ReasonUnexpectedRedirect, message: []string{"302 Found", "not followed"}, stalls: true,
		},
		"success with another message": {fault: says(200), reason: v1alpha1.ReasonRetrying, message: []string{"200 OK: so it is"}, inDoubt: true},
		"half an answer": {
			fault: simulator.Fault{Apply: true, Body: `{"message":"succ`}, reason: v1alpha1.ReasonRetrying,
			message: []string{"could not be read"}, inDoubt: true,
		},
		"an answer that never ends": {
			fault: simulator.Fault{Apply: true, Endless: true}, reason: v1alpha1.ReasonRetrying,
			message: []string{"could not be read"}, inDoubt: true,
		},
		"a cut connection, not applied": {
			fault: simulator.Fault{Cut: true}, reason: v1alpha1.ReasonRetrying, message: []string{"did not answer"}, inDoubt: true,
		},
		"a cut connection, after applied": {
			fault: simulator.Fault{Apply: true, Cut: true}, reason: v1alpha1.ReasonRetrying, message: []string{"did not answer"},
			inDoubt: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			tc.fault.Operation = simulator.Create
			w.Sim.Inject(tc.fault)
			w.SetKey(w.Key)
			w.CreateBatch("faulty", testenv.Users("faulty", 3)...)
			batch := w.Await("faulty", tc.reason)
			ready := testenv.Condition(batch.Status.Conditions, v1alpha1.ConditionReady)
			if !contains(ready.Message, tc.message...) {
				t.Errorf("message: %s", ready.Message)
			}
			w.Equal("counts", v1alpha1.UserCounts{Total: 3, Pending: 3}, batch.Status.Counts)
			attempt, next := w.Slices()[0].Status.LastAttempt, w.Slices()[0].Status.NextAttemptTime
			if attempt == nil || attempt.Outcome != tc.reason || next == nil {
				t.Errorf("last attempt %+v, next attempt %v", attempt, next)
			}

			w.Sim.ClearFaults()
			if tc.stalls {
				if stalled := testenv.Condition(batch.Status.Conditions, v1alpha1.ConditionStalled); stalled.Reason != tc.reason {
					t.Errorf("Stalled: %+v", stalled)
				}
				w.Edit("faulty", func(b *v1alpha1.EmbeddedUserBatch) {
					b.Spec.Users = append(b.Spec.Users, v1alpha1.UserRow{Username: "one-more"})
				})
				if tc.reason == v1alpha1.ReasonUnauthorized { // an edit does not make a rejected key better; another one does
					w.Sim.AddKey("another")
					w.SetKey("another")
				}
			}
			status := w.Await("faulty", v1alpha1.ReasonSucceeded).Status
			if status.Counts.Pending != 0 || status.Counts.Invalid != 0 {
				t.Errorf("counts: %+v", status.Counts)
			}
			for username, result := range w.Results() {
				switch {
				case tc.fault.Apply && (result.Result != v1alpha1.ResultExisting || result.Reason != v1alpha1.ReasonUnconfirmedAttempt):
					t.Errorf("%s was created by a request without an answer, and is recorded as %+v", username, result)
				case !tc.fault.Apply && result.Result != v1alpha1.ResultCreated:
					t.Errorf("%s was created, and is recorded as %+v", username, result)
				}
			}
			if slice := w.Slices()[0].Status; slice.LastAttempt != nil || slice.NextAttemptTime != nil {
				t.Errorf("after success a failed attempt stays: %+v", slice)
			}
		})
	}
}

func TestAnswers_NoConnection(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.halt()
	good := w.URL
	w.URL = "http://127.0.0.1:1" // nobody listens there
	w.start()
	w.SetKey(w.Key)
	w.CreateBatch("offline", testenv.Users("offline", 3)...)
	w.Await("offline", v1alpha1.ReasonRetrying)
	w.halt()
	w.URL, w.timeout = good, time.Second
	w.start()
	w.Await("offline", v1alpha1.ReasonSucceeded)
}

// TestAnswers_Verification has the API name users as invalid without a reason.
func TestAnswers_Verification(t *testing.T) {
	reject := func(username string) bool { return username == "refused" || username == "." }
	for name, tc := range map[string]struct {
		options  simulator.Options
		existing int
		fault    *simulator.Fault
		gets     int
		lists    int
		refused  []string
	}{
		"a few are asked for one by one": {existing: 20, gets: 20},
		"many are looked up in the list": {existing: 21, lists: 1},
		"one that is not acceptable is looked for twice": {
			options: simulator.Options{Reject: reject}, existing: 2, gets: 5, refused: []string{"refused"},
		},
		"a dot does not go into a path": {
			options: simulator.Options{Reject: reject}, existing: 2, gets: 2, lists: 2, refused: []string{"."},
		},
		"a 404 without JSON proves nothing": {
			existing: 1, gets: 1, lists: 1, fault: &simulator.Fault{Operation: simulator.Get, Status: 404, Body: "<html>"},
		},
		"an answer for another user proves nothing": {
			existing: 1, gets: 1, lists: 1, fault: &simulator.Fault{Operation: simulator.Get, Body: `{"userId":"1","username":"somebody else"}`},
		},
		"reading calls may lag behind": {
			existing: 1, gets: 3, fault: &simulator.Fault{Operation: simulator.Get, Times: 1, Status: 404, Body: `{"message":"not yet"}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tc.options)
			users := testenv.Users("user", 50)
			for _, user := range users[:tc.existing] {
				w.Sim.Seed(w.Key, user.Username)
			}
			if tc.fault != nil {
				w.Sim.Inject(*tc.fault)
			}
			for _, username := range tc.refused {
				users = append(users, v1alpha1.User{Username: username})
			}
			w.SetKey(w.Key)
			w.CreateBatch("verified", users...)
			reason := v1alpha1.ReasonSucceeded
			if len(tc.refused) > 0 {
				reason = v1alpha1.ReasonInvalidUsers
			}
			status := w.Await("verified", reason).Status
			want := v1alpha1.UserCounts{
				Total: int32(len(users)), Created: int32(50 - tc.existing), Existing: int32(tc.existing), Invalid: int32(len(tc.refused)),
			}
			w.Equal("counts", want, status.Counts)
			if gets, lists := w.Sim.Count(simulator.Get), w.Sim.Count(simulator.List); gets != tc.gets || lists != tc.lists {
				t.Errorf("%d single reads and %d lists, want %d and %d", gets, lists, tc.gets, tc.lists)
			}
			for i, username := range tc.refused {
				if got := status.InvalidUsers[i]; got.Username != username || got.Row != 50 || got.Reason != v1alpha1.InvalidReasonRejectedByAPI {
					t.Errorf("invalid user: %+v", got)
				}
			}
		})
	}
}

func TestAnswers_ACorrectedUserIsTriedAgain(t *testing.T) {
	w := newWorld(t, simulator.Options{Reject: func(username string) bool { return username == "refused" }})
	w.SetKey(w.Key)
	w.CreateBatch("typo", v1alpha1.User{Username: "good"}, v1alpha1.User{Username: "refused", FullName: "A"})
	w.Await("typo", v1alpha1.ReasonInvalidUsers)
	_, before := w.Sent()

	w.Edit("typo", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users[0].FullName = "Another name for a user that exists" })
	w.Await("typo", v1alpha1.ReasonInvalidUsers)
	if _, requests := w.Sent(); requests != before {
		t.Errorf("renaming a user that exists sent %d requests", requests-before)
	}
	w.Edit("typo", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users[1].FullName = "B" })
	w.Eventually(func() int { _, requests := w.Sent(); return requests }).Should(gomega.Equal(before + 1))
	w.Await("typo", v1alpha1.ReasonInvalidUsers)
	w.Edit("typo", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users[1].Username = "accepted" })
	status := w.Await("typo", v1alpha1.ReasonSucceeded).Status
	w.Equal("counts", v1alpha1.UserCounts{Total: 2, Created: 2}, status.Counts)
}

func TestAnswers_OneRefusedUserIsNamed(t *testing.T) {
	for name, status := range map[string]int{"400": 400, "422": 422, "413": 413} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			users := testenv.Users("many", 1000)
			bad := users[321].Username
			w.Sim.Inject(simulator.Fault{
				Operation: simulator.Create, Status: status, Body: `{"message":"not with this domain"}`,
				Match: func(r simulator.Request) bool { return slices.Contains(r.Usernames, bad) },
			})
			w.SetKey(w.Key)
			w.CreateBatch("one", users...)
			got := w.Await("one", v1alpha1.ReasonInvalidUsers).Status
			w.Equal("counts", v1alpha1.UserCounts{Total: 1000, Created: 999, Invalid: 1}, got.Counts)
			want := []v1alpha1.InvalidUser{{
				Username: bad, Row: 321, Reason: v1alpha1.InvalidReasonRejectedByAPI,
				Message: "The API refused this user: not with this domain; correct the row or remove it",
			}}
			w.Equal("invalid users", want, got.InvalidUsers)
			if _, requests := w.Sent(); requests > 30 {
				t.Errorf("%d requests were sent", requests)
			}
		})
	}
}

func TestAnswers_TenRefusedUsersTakeAtMost160Requests(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	users := testenv.Users("many", 1000)
	bad := map[string]bool{}
	for i := range 10 {
		bad[users[i*97+13].Username] = true
	}
	w.Sim.Inject(simulator.Fault{
		Operation: simulator.Create, Status: 400, Body: `{"message":"no"}`,
		Match: func(r simulator.Request) bool {
			return slices.ContainsFunc(r.Usernames, func(u string) bool { return bad[u] })
		},
	})
	w.SetKey(w.Key)
	w.CreateBatch("ten", users...)
	// One user goes last, to show that the API still creates users. If it is one of the ten, it stays pending.
	w.Eventually(func() int32 {
		counts := w.Load("ten").Status.Counts
		return counts.Created + counts.Invalid
	}).Should(gomega.BeNumerically(">=", 999))
	if _, requests := w.Sent(); requests > 160 {
		t.Errorf("%d requests were sent", requests)
	}
	for username, result := range w.Results() {
		if (result.Result == v1alpha1.ResultInvalid) != bad[username] {
			t.Errorf("%s: %+v", username, result)
		}
	}
}
