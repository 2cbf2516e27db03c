// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// shown is a list that shows one user.
type shown struct {
	userID, fullName string
	isSeen           bool // the user was created or written since, and the list does not show it
	isGone           bool
}

func (s shown) Has(string) bool { return !s.isGone }

func (s shown) Shown(username string) (userID, hash string, ok bool) {
	return s.userID, hashOf(username, s.fullName), !s.isSeen && !s.isGone
}

func hashOf(username, fullName string) string {
	return users.Hash(users.User{Username: username, FullName: fullName})
}

func TestOwnership(t *testing.T) {
	t.Parallel()
	created := v1alpha1.UserResult{Username: "ann", Result: v1alpha1.ResultCreated, Hash: hashOf("ann", "Ann")}
	identified, notOwned := created, created
	identified.UserID, notOwned.Hash = "1", ""
	other := identified
	other.Hash = hashOf("ann", "Anna")
	long := strings.Repeat("1", v1alpha1.MaxUserID+1)
	for name, tc := range map[string]struct {
		result  v1alpha1.UserResult
		list    shown
		correct bool
		want    v1alpha1.UserResult
	}{
		"a userId is learned":                           {created, shown{userID: "1", fullName: "Ann"}, false, identified},
		"a user created since is learned from the next": {created, shown{isSeen: true}, false, created},
		"a user that is gone is not owned":              {created, shown{isGone: true}, false, notOwned},
		"a user with another name is not owned":         {created, shown{userID: "1", fullName: "Bob"}, false, notOwned},
		"a user without a userId is not owned":          {created, shown{fullName: "Ann"}, false, notOwned},
		"a user with a long userId is not owned":        {created, shown{userID: long, fullName: "Ann"}, false, notOwned},
		"a learned userId stays":                        {identified, shown{userID: "2", fullName: "Ann"}, false, identified},
		"a user that is not owned stays so":             {notOwned, shown{userID: "1", fullName: "Ann"}, false, notOwned},
		"an unchanged name is left alone":               {identified, shown{userID: "1", fullName: "Ann"}, true, identified},
		"a changed name shows":                          {identified, shown{userID: "1", fullName: "Anna"}, true, other},
		"a name written since does not show":            {identified, shown{userID: "1", fullName: "Anna", isSeen: true}, true, identified},
		"another user of the name is not owned":         {identified, shown{userID: "2", fullName: "Ann"}, true, notOwned},
		"a missing user stays owned until it is sent":   {identified, shown{isGone: true}, true, identified},
		"an unknown userId is not compared":             {created, shown{userID: "1", fullName: "Anna"}, true, created},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slice := &v1alpha1.EmbeddedUserSlice{}
			slice.Spec.Users = []v1alpha1.User{{Username: "ann", FullName: "Ann"}}
			slice.Status.Results = []v1alpha1.UserResult{tc.result}
			rewrite := ledger.Identify
			if tc.correct {
				rewrite = ledger.Correct
			}
			if _, changed := rewrite(slice, tc.list); changed > 0 {
				t.Error("the policy CreateOnly changes a result")
			}
			slice.Spec.UpdatePolicy = v1alpha1.UpdatePolicyUpdate
			got, changed := rewrite(slice, tc.list)
			if diff := cmp.Diff([]v1alpha1.UserResult{tc.want}, got); diff != "" || (changed == 1) != (tc.want != tc.result) {
				t.Errorf("%d changed (-want +got):\n%s", changed, diff)
			}
		})
	}
}

// TestOwnership_WhoIsPending checks what the full name of a row means for its user.
func TestOwnership_WhoIsPending(t *testing.T) {
	t.Parallel()
	const update = v1alpha1.UpdatePolicyUpdate
	owned := v1alpha1.UserResult{Username: "ann", Result: v1alpha1.ResultCreated, Hash: hashOf("ann", "Ann"), UserID: "1"}
	unidentified, notOwned, existing := owned, owned, owned
	unidentified.UserID, notOwned.Hash, existing.Result, existing.Hash = "", "", v1alpha1.ResultExisting, ""
	for name, tc := range map[string]struct {
		policy   v1alpha1.UpdatePolicy
		fullName string
		result   v1alpha1.UserResult
		want     v1alpha1.UserCounts
	}{
		"the name that Alloy has":        {update, "Ann", owned, v1alpha1.UserCounts{Created: 1}},
		"another name":                   {update, "Anna", owned, v1alpha1.UserCounts{Pending: 1}},
		"another name, without policy":   {"", "Anna", owned, v1alpha1.UserCounts{Created: 1}},
		"no name":                        {update, "", owned, v1alpha1.UserCounts{Created: 1}},
		"no userId":                      {update, "Ann", unidentified, v1alpha1.UserCounts{Pending: 1}},
		"no userId, without policy":      {"", "Ann", unidentified, v1alpha1.UserCounts{Created: 1}},
		"another name of somebody else":  {update, "Anna", notOwned, v1alpha1.UserCounts{Created: 1, NotOwned: 1}},
		"another name of who was there":  {update, "Anna", existing, v1alpha1.UserCounts{Existing: 1, NotOwned: 1}},
		"somebody else's without policy": {"", "Anna", notOwned, v1alpha1.UserCounts{Created: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slice := &v1alpha1.EmbeddedUserSlice{}
			slice.Spec.UpdatePolicy, slice.Spec.Users = tc.policy, []v1alpha1.User{{Username: "ann", FullName: tc.fullName}}
			tc.want.Total = 1
			if diff := cmp.Diff(tc.want, ledger.Count(slice, []v1alpha1.UserResult{tc.result})); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMerge_AnEditedUser(t *testing.T) {
	t.Parallel()
	owned := v1alpha1.UserResult{Username: "ann", Result: v1alpha1.ResultCreated, Hash: hashOf("ann", "Ann"), UserID: "1"}
	edited, again, unowned := owned, owned, owned
	edited.Hash, again.UserID, unowned.Hash, unowned.UserID = hashOf("ann", "Anna"), "", "", ""
	missing := owned
	missing.Pending = v1alpha1.PendingMissing
	otherID := edited
	otherID.UserID = "2"
	for name, tc := range map[string]struct{ old, news, want v1alpha1.UserResult }{
		"a full name was written":                      {owned, edited, edited},
		"another user has the name":                    {owned, otherID, unowned},
		"its userId cannot be learned":                 {again, unowned, unowned},
		"it was deleted and is created again":          {missing, again, again},
		"it was created again without a list before":   {missing, unowned, unowned},
		"its creation is told once more":               {owned, again, owned},
		"it could not be read before a list showed it": {owned, unowned, owned},
		"it exists after all":                          {missing, result("ann", v1alpha1.ResultExisting), owned},
		"an edit of a user that is not owned is late":  {unowned, edited, unowned},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slice := &v1alpha1.EmbeddedUserSlice{}
			slice.Spec.UpdatePolicy = v1alpha1.UpdatePolicyUpdate
			slice.Spec.Users, slice.Status.Results = []v1alpha1.User{{Username: "ann", FullName: "Ann"}}, []v1alpha1.UserResult{tc.old}
			got := ledger.Merge(slice, map[string]v1alpha1.UserResult{"ann": tc.news})
			if diff := cmp.Diff([]v1alpha1.UserResult{tc.want}, got); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
			slice.Status.Results = got
			if diff := cmp.Diff(got, ledger.Merge(slice, map[string]v1alpha1.UserResult{"ann": tc.news})); diff != "" {
				t.Errorf("merged again (-want +got):\n%s", diff)
			}
		})
	}
}
