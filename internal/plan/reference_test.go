// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// TestPlan_TheDefaultKeyIsNoChange plans batches with and without the default key over slices with and without it.
func TestPlan_TheDefaultKeyIsNoChange(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		stored, wanted string
		isChange       bool
	}{
		"neither names a key":                   {"", "", false},
		"the batch no longer names it":          {v1alpha1.DefaultSecretKey, "", false},
		"the slices have been written without":  {"", v1alpha1.DefaultSecretKey, false},
		"the batch names another key":           {v1alpha1.DefaultSecretKey, "other", true},
		"the batch no longer names another key": {"other", "", true},
	} {
		batch := testBatch(numberedUsers(1500)...)
		existing := after(nil, planFor(batch, nil))
		for i := range existing {
			existing[i].Spec.APIKeySecretRef.Key = tc.stored
		}
		batch.Spec.APIKeySecretRef.Key = tc.wanted
		p := planFor(batch, existing)
		if p.IsEmpty() == tc.isChange {
			t.Errorf("%s: %d slices change", name, len(p.Update))
		}
		for _, slice := range slices.Concat(p.Update, planFor(batch, nil).Create) { // slices always name the key
			if got := slice.Spec.APIKeySecretRef; got != batch.Spec.APIKeySecretRef.WithDefaultKey() {
				t.Errorf("%s: %s refers to %+v", name, slice.Name, got)
			}
		}
	}
}
