// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/conditions"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/credentials"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// anyUser generates one of thirty users, and anyResult a result of one.
var (
	anyUser = rapid.Custom(func(t *rapid.T) v1alpha1.User {
		return v1alpha1.User{
			Username: fmt.Sprintf("user-%d", rapid.IntRange(0, 30).Draw(t, "username")),
			FullName: rapid.SampledFrom([]string{"", "A", "B"}).Draw(t, "fullName"),
		}
	})
	anyResult = rapid.Custom(func(t *rapid.T) v1alpha1.UserResult {
		user := anyUser.Draw(t, "user")
		result := rapid.SampledFrom([]v1alpha1.Result{"Created", "Existing", "Invalid", "Nonsense"}).Draw(t, "result")
		return v1alpha1.UserResult{Username: user.Username, Result: result, Hash: users.Hash(users.User(user))}
	})
)

// anyFacts generates a batch and slices in any state, including states that the operator never writes.
var anyFacts = rapid.Custom(func(t *rapid.T) facts {
	b := &v1alpha1.EmbeddedUserBatch{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "b", UID: "0123-4567-89ab", Generation: 3}}
	var list users.List
	for i, user := range rapid.SliceOfN(anyUser, 0, 25).Draw(t, "list") {
		list.Add(users.Row{User: users.User(user), Index: int32(i)}, "")
	}
	b.Spec.InvalidUserPolicy = rapid.SampledFrom([]v1alpha1.InvalidUserPolicy{"Fail", "Ignore", ""}).Draw(t, "policy")
	var f facts
	isSettled := rapid.Bool().Draw(t, "settled") // nothing is pending
	for i := range rapid.IntRange(0, 5).Draw(t, "slices") {
		whole := v1alpha1.EmbeddedUserSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: fmt.Sprintf("b-01234567-%d", i), Generation: 2}}
		whole.Spec.Users = rapid.SliceOfN(anyUser, 0, 15).Draw(t, "users")
		whole.Status.Results = rapid.SliceOfN(anyResult, 0, 15).Draw(t, "results")
		if isSettled {
			whole.Status.Results = nil
			for _, user := range whole.Spec.Users {
				whole.Status.Results = append(whole.Status.Results, v1alpha1.UserResult{Username: user.Username, Result: v1alpha1.ResultCreated})
			}
		}
		whole.Status.ObservedGeneration = rapid.Int64Range(1, 2).Draw(t, "observed")
		if rapid.IntRange(0, 5).Draw(t, "terminating") == 0 {
			now := metav1.Now()
			whole.DeletionTimestamp = &now
		}
		slice := cached.SliceOf(&whole)
		reason := rapid.SampledFrom([]string{
			"", "Progressing", "Retrying", "Succeeded", "SecretNotFound", "InvalidCredentials", "Unauthorized", "RequestRejected",
			"UnexpectedRedirect", "Nonsense",
		}).Draw(t, "reason")
		if reason != "" {
			slice.Ready = &metav1.Condition{
				Type: v1alpha1.ConditionReady, Reason: reason, Message: rapid.SampledFrom([]string{"one", "two"}).Draw(t, "message"),
				Status: rapid.SampledFrom([]metav1.ConditionStatus{"True", "False", "Unknown"}).Draw(t, "status"),
			}
		}
		slice.APIKeySecretRef.Name = rapid.SampledFrom([]string{"", "other"}).Draw(t, "secret")
		if rapid.Bool().Draw(t, "checked") {
			slice.KeyCheck = &v1alpha1.KeyCheck{
				Fingerprint: rapid.SampledFrom([]string{"current", "old"}).Draw(t, "fingerprint"),
				Result:      rapid.SampledFrom([]v1alpha1.KeyResult{v1alpha1.KeyAccepted, v1alpha1.KeyRejected}).Draw(t, "key"),
			}
		}
		f.slices = append(f.slices, slice)
	}
	kept := cached.BatchOf(b)
	f.batch, f.key.fingerprint, f.now = &kept, "current", anInstant
	f.listing = newListing(b, &list, f.slices, f.plan())
	if rapid.IntRange(0, 3).Draw(t, "problem") == 0 {
		f.key.problem = &credentials.Problem{Reason: v1alpha1.ReasonSecretNotFound, Message: "gone"}
	}
	if rapid.IntRange(0, 3).Draw(t, "source") == 0 {
		reason := rapid.SampledFrom([]string{"SourceNotFound", "SourceUnreadable"}).Draw(t, "listing")
		f.listing.problem = &listError{Verdict: conditions.Stalled(reason, "no list")}
		kept.UsersFrom = make([]v1alpha1.UsersSource, 1)
	}
	if rapid.Bool().Draw(t, "planning") {
		f.listing.total = rapid.Int32Range(1, 50).Draw(t, "total")
	}
	if rapid.IntRange(0, 5).Draw(t, "obstacle") == 0 {
		verdict := conditions.Failing(v1alpha1.ReasonPlanRejected, "no")
		f.obstacle = &verdict
	}
	return f
})

func TestStatus_OfAnySlicesKeepsTheContract(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := anyFacts.Draw(t, "facts")
		status := summarize(f)
		c := status.Counts
		if c.Total != c.Created+c.Existing+c.Invalid+c.Pending {
			t.Fatalf("counts: %+v", c)
		}
		if int(c.Invalid) != len(status.InvalidUsers)+int(status.InvalidUsersOmitted) {
			t.Fatalf("%d invalid, %d listed", c.Invalid, len(status.InvalidUsers))
		}
		if !slices.IsSortedFunc(status.InvalidUsers, func(a, b v1alpha1.InvalidUser) int { return int(a.Row - b.Row) }) {
			t.Fatalf("invalid users are not in the order of the list: %+v", status.InvalidUsers)
		}
		ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
		reconciling := meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReconciling)
		stalled := meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionStalled)
		switch {
		case reconciling && stalled, (ready.Status == metav1.ConditionTrue) == (reconciling || stalled):
			t.Fatalf("Ready %s, Reconciling %t, Stalled %t", ready.Status, reconciling, stalled)
		case stalled && awaited[ready.Reason] != "":
			t.Fatalf("stalled with %s at once", ready.Reason)
		case ready.Status == metav1.ConditionTrue && f.listing.total > 0:
			t.Fatal("Ready while the list is being distributed")
		case ready.Status == metav1.ConditionTrue && c.Pending > 0:
			t.Fatalf("Ready with %d pending", c.Pending)
		case c.Pending == 0 && c.Invalid == 0 && f.obstacle == nil && f.listing.problem == nil && f.listing.total == 0 &&
			ready.Status != metav1.ConditionTrue:
			t.Fatalf("nothing is left to do, and Ready says %s", ready.Reason)
		}
		// The status must not depend on the order in which the cache lists slices.
		f.batch.Status = status
		slices.SortFunc(f.slices, byName)
		once := summarize(f)
		f.batch.Status = once
		if again := summarize(f); !equality.Semantic.DeepEqual(once, again) {
			t.Fatalf("the status is not stable:\n%+v\n%+v", once, again)
		}
	})
}
