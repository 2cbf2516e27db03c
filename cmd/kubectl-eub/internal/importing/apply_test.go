// SPDX-License-Identifier: Apache-2.0

package importing

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestOutcome(t *testing.T) {
	object := func(generation int64, version string) *metav1.ObjectMeta {
		return &metav1.ObjectMeta{Name: "customers", UID: "1", Generation: generation, ResourceVersion: version}
	}
	for name, test := range map[string]struct {
		before, after *metav1.ObjectMeta
		want          string
	}{
		"a new object":                     {&metav1.ObjectMeta{}, object(1, "7"), "created"},
		"a list as it was":                 {object(0, "7"), object(0, "7"), "unchanged"},
		"a list that somebody had edited":  {object(0, "7"), object(0, "8"), "changed"},
		"a batch of other lists":           {object(1, "7"), object(2, "8"), "changed"},
		"a batch whose status was written": {object(1, "7"), object(1, "8"), "unchanged"},
	} {
		if got := outcome(test.before, test.after); got != test.want {
			t.Errorf("%s is %s", name, got)
		}
	}
}
