// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

func TestRestored(t *testing.T) {
	t.Parallel()
	hash := users.Hash(users.User{Username: "invalid"})
	kept := v1alpha1.EmbeddedUserSliceStatus{
		ObservedGeneration: -1,
		Results: []v1alpha1.UserResult{
			{Username: "created", Result: v1alpha1.ResultExisting, Reason: v1alpha1.ReasonRestored},
			{Username: "existing", Result: v1alpha1.ResultExisting},
			{Username: "unconfirmed", Result: v1alpha1.ResultExisting, Reason: v1alpha1.ReasonUnconfirmedAttempt},
			{Username: "invalid", Result: v1alpha1.ResultInvalid, Reason: "RejectedByAPI", Message: "no", Hash: hash},
		},
		Counts:   v1alpha1.UserCounts{Total: 5, Existing: 3, Invalid: 1, Pending: 1},
		KeyCheck: &v1alpha1.KeyCheck{Fingerprint: "key", Result: v1alpha1.KeyAccepted},
	}
	dropped := v1alpha1.EmbeddedUserSliceStatus{ObservedGeneration: -1, Counts: v1alpha1.UserCounts{Total: 5, Pending: 5}}
	for name, tc := range map[string]struct {
		check *v1alpha1.KeyCheck
		want  v1alpha1.EmbeddedUserSliceStatus
	}{
		"a slice of the same account proves who exists": {&v1alpha1.KeyCheck{Fingerprint: "key", Result: v1alpha1.KeyAccepted}, kept},
		"one of another account proves nothing":         {&v1alpha1.KeyCheck{Fingerprint: "other", Result: v1alpha1.KeyAccepted}, dropped},
		"one of an unknown account proves nothing":      {nil, dropped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slice := &v1alpha1.EmbeddedUserSlice{Status: *kept.DeepCopy()}
			for _, username := range []string{"created", "existing", "unconfirmed", "invalid", "pending"} {
				slice.Spec.Users = append(slice.Spec.Users, v1alpha1.User{Username: username})
			}
			slice.Status.Results[0] = result("created", v1alpha1.ResultCreated)
			slice.Status.ObservedGeneration, slice.Status.KeyCheck = 3, tc.check
			before := slice.DeepCopy()
			got := ledger.Restored(slice, "key")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, slice); diff != "" {
				t.Errorf("the slice was changed (-want +got):\n%s", diff)
			}
			slice.Status = got
			settled, want := ledger.KnownUsers(slice), int(tc.want.Counts.Total-tc.want.Counts.Pending)
			if len(settled) != want || len(settled) > 0 && !slices.Equal(settled, slice.Spec.Users[:4]) {
				t.Errorf("settled: %+v", settled)
			}
			if diff := cmp.Diff(got, ledger.Restored(slice, "key")); diff != "" {
				t.Errorf("once more (-want +got):\n%s", diff)
			}
		})
	}
}
