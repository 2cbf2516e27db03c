// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// drawResult draws a result for a row of a slice: of the row as it is, or of an earlier one.
func drawResult(t *rapid.T, user v1alpha1.User, isStored bool) v1alpha1.UserResult {
	r := result(user.Username, rapid.SampledFrom([]v1alpha1.Result{"Created", "Existing", "Invalid"}).Draw(t, "result"))
	switch r.Result {
	case v1alpha1.ResultCreated:
	case v1alpha1.ResultInvalid:
		if isStored && rapid.Bool().Draw(t, "corrected") {
			user.FullName = "as it was"
		}
		r.Hash = users.Hash(users.User(user))
		r.Retried = isStored && rapid.Bool().Draw(t, "retried")
	case v1alpha1.ResultExisting:
		r.Reason = rapid.SampledFrom([]string{"", v1alpha1.ReasonUnconfirmedAttempt, v1alpha1.ReasonRestored}).Draw(t, "reason")
	}
	return r
}

// drawSlice draws a slice some of whose users have results, some of them pending all the same.
func drawSlice(t *rapid.T) *v1alpha1.EmbeddedUserSlice {
	slice := &v1alpha1.EmbeddedUserSlice{}
	for i := range rapid.IntRange(0, 6).Draw(t, "users") {
		user := v1alpha1.User{Username: strconv.Itoa(i)}
		slice.Spec.Users = append(slice.Spec.Users, user)
		if rapid.Bool().Draw(t, "known") {
			r := drawResult(t, user, true)
			r.Pending = rapid.SampledFrom(reasonsToAsk).Draw(t, "pending")
			slice.Status.Results = append(slice.Status.Results, r)
		}
	}
	return slice
}

var reasonsToAsk = []v1alpha1.PendingReason{"", v1alpha1.PendingMissing, v1alpha1.PendingUnconfirmed, v1alpha1.PendingRetry}

// drawAnswers draws an answer for every pending user of a slice.
func drawAnswers(t *rapid.T, slice *v1alpha1.EmbeddedUserSlice) map[string]v1alpha1.UserResult {
	answers := map[string]v1alpha1.UserResult{}
	for _, user := range ledger.Pending(slice, slice.Status.Results) {
		answers[user.Username] = drawResult(t, v1alpha1.User(user), false)
	}
	return answers
}

// ask has users asked again for reasons that are drawn.
func ask(t *rapid.T, slice *v1alpha1.EmbeddedUserSlice) ([]v1alpha1.UserResult, int) {
	return ledger.Ask(slice, func(v1alpha1.UserResult) v1alpha1.PendingReason {
		return rapid.SampledFrom(reasonsToAsk).Draw(t, "why")
	})
}

// TestAsk_LosesNothing checks that asking again changes no result, and that every user has exactly one state.
func TestAsk_LosesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		slice := drawSlice(t)
		before := ledger.Count(slice, slice.Status.Results)
		asked, n := ask(t, slice)
		counts := ledger.Count(slice, asked)
		if counts.Total != counts.Created+counts.Existing+counts.Invalid+counts.Pending || int(counts.Pending) != int(before.Pending)+n {
			t.Fatalf("%d asked: %+v, before %+v", n, counts, before)
		}
		for i := range asked {
			asked[i].Pending = slice.Status.Results[i].Pending
		}
		if diff := cmp.Diff(slice.Status.Results, asked); diff != "" {
			t.Fatalf("asking changed results (-before +after):\n%s", diff)
		}
		retried := ledger.Retry(slice.Status.Results)
		for i := range retried {
			if changed := retried[i].Pending != slice.Status.Results[i].Pending; changed != ledger.IsRetriable(slice.Status.Results[i]) {
				t.Fatalf("a second try of %+v: %t", slice.Status.Results[i], changed)
			}
		}
	})
}

// TestMerge_WhatWasAskedComesToRest checks that after an answer for every pending user none is pending, and what is known of each.
func TestMerge_WhatWasAskedComesToRest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		slice := drawSlice(t)
		slice.Status.Results, _ = ask(t, slice)
		if diff := cmp.Diff(slice.Status.Results, ledger.Merge(slice, nil)); diff != "" {
			t.Fatalf("without an answer results changed (-before +after):\n%s", diff)
		}
		old, answers := ledger.Index(slice.Status.Results), drawAnswers(t, slice)
		slice.Status.Results = ledger.Merge(slice, answers)
		if pending := ledger.Pending(slice, slice.Status.Results); len(pending) > 0 || ledger.CountAsked(slice.Status.Results) > 0 {
			t.Fatalf("still pending: %+v", slice.Status.Results)
		}
		for _, merged := range slice.Status.Results {
			before, answer := old[merged.Username], answers[merged.Username]
			if answer.Username == "" {
				if diff := cmp.Diff(before, merged); diff != "" {
					t.Fatalf("without an answer a result changed (-before +after):\n%s", diff)
				}
				continue
			}
			checkMerged(t, before, answer, merged)
		}
		if diff := cmp.Diff(slice.Status.Results, ledger.Merge(slice, answers)); diff != "" {
			t.Fatalf("the same answers again changed results (-before +after):\n%s", diff)
		}
	})
}

// checkMerged checks what became of a result with an answer.
func checkMerged(t *rapid.T, before, answer, merged v1alpha1.UserResult) {
	existed := before.Result == v1alpha1.ResultExisting && before.Reason != v1alpha1.ReasonUnconfirmedAttempt
	isAgain := merged.Result == v1alpha1.ResultInvalid && before.Hash == merged.Hash &&
		(before.Pending == v1alpha1.PendingRetry || before.Retried)
	switch {
	case ledger.Exists(answer) != ledger.Exists(merged):
		t.Fatalf("%+v, answered with %+v, became %+v", before, answer, merged)
	case before.Result == v1alpha1.ResultCreated && ledger.Exists(answer) && merged.Result != v1alpha1.ResultCreated:
		t.Fatalf("a proof of creation was lost: %+v became %+v", before, merged)
	case existed && merged.Result == v1alpha1.ResultCreated:
		t.Fatalf("a user that existed became created: %+v became %+v", before, merged)
	case merged.Retried != isAgain:
		t.Fatalf("retried %t: %+v became %+v", merged.Retried, before, merged)
	}
}

// TestRetry_OnceForEachRow rejects a row twice, and its correction.
func TestRetry_OnceForEachRow(t *testing.T) {
	t.Parallel()
	slice := &v1alpha1.EmbeddedUserSlice{}
	slice.Spec.Users = []v1alpha1.User{{Username: "refused", FullName: "A"}}
	reject := func() {
		slice.Status.Results = ledger.Merge(slice, map[string]v1alpha1.UserResult{
			"refused": {Username: "refused", Result: v1alpha1.ResultInvalid, Hash: users.Hash(users.User(slice.Spec.Users[0]))},
		})
	}
	check := func(when string, isRetriable bool) {
		t.Helper()
		if r := slice.Status.Results[0]; ledger.IsRetriable(r) != isRetriable {
			t.Errorf("%s: %+v", when, r)
		}
	}
	reject()
	check("rejected once", true)
	slice.Status.Results = ledger.Retry(slice.Status.Results)
	check("being asked again", false)
	reject()
	check("rejected twice", false)
	slice.Spec.Users[0].FullName = "B"
	reject()
	check("corrected, and rejected once", true)
	slice.Status.Results = ledger.Retry(slice.Status.Results)
	slice.Spec.Users[0].FullName = "C"
	reject()
	check("corrected while it was being asked again", true)
}
