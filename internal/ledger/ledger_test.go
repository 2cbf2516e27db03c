// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

func result(username string, r v1alpha1.Result) v1alpha1.UserResult {
	return v1alpha1.UserResult{Username: username, Result: r}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		spec []string
		old  []v1alpha1.UserResult
		news []v1alpha1.UserResult
		want []v1alpha1.UserResult
	}{
		"a new result is merged, in the order of the slice": {
			spec: []string{"a", "b", "c"}, old: []v1alpha1.UserResult{result("c", "Created")}, news: []v1alpha1.UserResult{result("a", "Existing")},
			want: []v1alpha1.UserResult{result("a", "Existing"), result("c", "Created")},
		},
		"a proof of creation stays": {
			spec: []string{"a"}, old: []v1alpha1.UserResult{result("a", "Created")}, news: []v1alpha1.UserResult{result("a", "Existing")},
			want: []v1alpha1.UserResult{result("a", "Created")},
		},
		"a user that was invalid and now exists is not invalid": {
			spec: []string{"a"}, old: []v1alpha1.UserResult{result("a", "Invalid")}, news: []v1alpha1.UserResult{result("a", "Created")},
			want: []v1alpha1.UserResult{result("a", "Created")},
		},
		"the newer of two invalid results counts": {
			spec: []string{"a"}, old: []v1alpha1.UserResult{{Username: "a", Result: "Invalid", Hash: "1"}},
			news: []v1alpha1.UserResult{{Username: "a", Result: "Invalid", Hash: "2"}},
			want: []v1alpha1.UserResult{{Username: "a", Result: "Invalid", Hash: "2"}},
		},
		"results of users that left are dropped, old and new": {
			spec: []string{"a"}, old: []v1alpha1.UserResult{result("gone", "Created")}, news: []v1alpha1.UserResult{result("gone too", "Created")},
		},
		"an unknown result is dropped": {
			spec: []string{"a"}, old: []v1alpha1.UserResult{result("a", "Nonsense")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slice := &v1alpha1.EmbeddedUserSlice{}
			for _, username := range tc.spec {
				slice.Spec.Users = append(slice.Spec.Users, v1alpha1.User{Username: username})
			}
			slice.Status.Results = tc.old
			news := map[string]v1alpha1.UserResult{}
			for _, r := range tc.news {
				news[r.Username] = r
			}
			if diff := cmp.Diff(tc.want, ledger.Merge(slice, news)); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSettled_AnInvalidUserIsRetriedWhenItsRowChanges(t *testing.T) {
	t.Parallel()
	row := v1alpha1.User{Username: "a", FullName: "A"}
	invalid := v1alpha1.UserResult{Username: "a", Result: v1alpha1.ResultInvalid, Hash: users.Hash(users.User(row))}
	if !ledger.Settled("", row, invalid) {
		t.Error("the row as it was sent is not settled")
	}
	row.FullName = "B"
	if ledger.Settled("", row, invalid) {
		t.Error("the changed row is settled")
	}
	if !ledger.Settled("", row, result("a", v1alpha1.ResultExisting)) {
		t.Error("a user that exists is not settled by its username alone")
	}
}

// TestCount_AddsUp checks that every user has exactly one state, and that Pending agrees with Count.
func TestCount_AddsUp(t *testing.T) {
	t.Parallel()
	username := rapid.SampledFrom([]string{"a", "b", "c", "d"})
	rapid.Check(t, func(t *rapid.T) {
		slice := &v1alpha1.EmbeddedUserSlice{}
		for _, name := range rapid.SliceOfDistinct(username, rapid.ID[string]).Draw(t, "users") {
			slice.Spec.Users = append(slice.Spec.Users, v1alpha1.User{Username: name})
		}
		for _, name := range rapid.SliceOf(username).Draw(t, "results") {
			known := rapid.SampledFrom([]v1alpha1.Result{"Created", "Existing", "Invalid", "x"}).Draw(t, "result")
			slice.Status.Results = append(slice.Status.Results, result(name, known))
		}
		results := ledger.Merge(slice, nil)
		c := ledger.Count(slice, results)
		if int(c.Total) != len(slice.Spec.Users) || c.Total != c.Created+c.Existing+c.Invalid+c.Pending {
			t.Fatalf("%d users are counted as %+v", len(slice.Spec.Users), c)
		}
		if int(c.Pending) != len(ledger.Pending(slice, results)) {
			t.Fatalf("%d users are pending, and %d are counted", len(ledger.Pending(slice, results)), c.Pending)
		}
	})
}
