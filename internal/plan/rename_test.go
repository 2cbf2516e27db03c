// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/plan"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// TestPlan_FullNamesAreUpdated has another full name wanted for a user that exists.
func TestPlan_FullNamesAreUpdated(t *testing.T) {
	t.Parallel()
	const update = v1alpha1.UpdatePolicyUpdate
	owned := v1alpha1.UserResult{Username: "ann", Result: v1alpha1.ResultCreated, Hash: "1", UserID: "1"}
	for name, tc := range map[string]struct {
		policy v1alpha1.UpdatePolicy
		result v1alpha1.UserResult
		wanted string
		want   string // in the slice; empty if that is not written
	}{
		"an owned user":                  {update, owned, "Anna", "Anna"},
		"an owned user without the name": {update, owned, "", ""},
		"without the policy":             {v1alpha1.UpdatePolicyCreateOnly, owned, "Anna", ""},
		"a user that is not owned": {
			update, v1alpha1.UserResult{Username: "ann", Result: v1alpha1.ResultCreated}, "Anna", "Anna",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			batch := &v1alpha1.EmbeddedUserBatch{}
			batch.Name, batch.UID, batch.Spec.UpdatePolicy = "b", "00000000-0000", tc.policy
			batch.Spec.APIKeySecretRef.Name = "alloy"
			slice := created(t, batch, users.User{Username: "ann", FullName: "Ann"})
			slice.Status.Results = []v1alpha1.UserResult{tc.result}
			got := planned(batch, slice, users.User{Username: "ann", FullName: tc.wanted})
			if tc.want == "" {
				if !got.IsEmpty() {
					t.Errorf("planned: %+v", got)
				}
				return
			}
			if len(got.Update) != 1 || len(got.Create)+len(got.Remove) > 0 || got.Update[0].Spec.Users[0].FullName != tc.want {
				t.Errorf("planned: %+v", got)
			}
		})
	}
}

// TestPlan_AFullNameThatDoesNotFitStays fills a slice to its limit of bytes. The user stays where its result is.
func TestPlan_AFullNameThatDoesNotFitStays(t *testing.T) {
	t.Parallel()
	batch := &v1alpha1.EmbeddedUserBatch{}
	batch.Name, batch.UID, batch.Spec.UpdatePolicy = "b", "00000000-0000", v1alpha1.UpdatePolicyUpdate
	batch.Spec.APIKeySecretRef.Name = "alloy"
	var list []users.User
	for size := 0; size < v1alpha1.MaxSliceBytes-600; {
		user := users.User{Username: strings.Repeat("u", len(list)%200+1) + string(rune('a'+len(list)/200)), FullName: strings.Repeat("n", 200)}
		list, size = append(list, user), size+users.Size(user)
	}
	slice := created(t, batch, list...)
	for i := range slice.Spec.Users {
		slice.Status.Results = append(slice.Status.Results, v1alpha1.UserResult{
			Username: slice.Spec.Users[i].Username, Result: v1alpha1.ResultCreated, Hash: "1", UserID: "1",
		})
	}
	before := slice.DeepCopy()
	for i := range list {
		list[i].FullName = strings.Repeat("m", 256)
	}
	got := planned(batch, slice, list...)
	if len(got.Update) != 1 || len(got.Create)+len(got.Remove) > 0 {
		t.Fatalf("planned: %d created, %d updated, %d removed", len(got.Create), len(got.Update), len(got.Remove))
	}
	bytes, renamed := 0, 0
	for i, user := range got.Update[0].Spec.Users {
		bytes += users.Size(users.User(user))
		if user != before.Spec.Users[i] {
			renamed++
		}
	}
	if bytes > v1alpha1.MaxSliceBytes || renamed == 0 || renamed == len(list) || len(got.Update[0].Spec.Users) != len(list) {
		t.Errorf("%d bytes, %d of %d renamed", bytes, renamed, len(list))
	}
	next := got.Update[0]
	if again := planned(batch, next, list...); !again.IsEmpty() {
		t.Errorf("it does not come to rest: %s", cmp.Diff(next, again.Update))
	}
}

// created returns the slice that is planned for some users.
func created(t *testing.T, batch *v1alpha1.EmbeddedUserBatch, of ...users.User) *v1alpha1.EmbeddedUserSlice {
	t.Helper()
	list := listOf(of)
	made := plan.New(batch, &list, 100).Writes()
	if len(made.Create) != 1 {
		t.Fatalf("%d slices", len(made.Create))
	}
	return made.Create[0]
}

func listOf(of []users.User) (list users.List) {
	for i, user := range of {
		list.Add(users.Row{User: user, Index: int32(i)}, "")
	}
	return list
}

// planned returns what is planned for a batch with a slice.
func planned(batch *v1alpha1.EmbeddedUserBatch, slice *v1alpha1.EmbeddedUserSlice, of ...users.User) plan.Writes {
	list := listOf(of)
	planner := plan.New(batch, &list, 100)
	planner.Add(slice)
	return planner.Writes()
}
