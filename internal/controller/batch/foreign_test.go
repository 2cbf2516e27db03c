// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
)

// foreignSlice returns a slice that an object of a kind controls, or none.
func foreignSlice(name, kind string) cached.Slice {
	slice := cached.Slice{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name)}}
	if kind != "" {
		slice.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: "owner", Controller: new(true)}}
	}
	return slice
}

func TestReports_EachForeignSliceIsReportedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reports reports
		batch := types.NamespacedName{Namespace: "ns", Name: "b"}
		nobodys, files := foreignSlice("nobodys", ""), foreignSlice("files", "ConfigMap")
		gone, dying := foreignSlice("gone", v1alpha1.EmbeddedUserBatchKind), foreignSlice("dying", v1alpha1.EmbeddedUserBatchKind)
		check := func(foreign []cached.Slice, wantWait time.Duration, want ...string) {
			t.Helper()
			due, wait := reports.due(batch, foreign)
			var names []string
			for _, slice := range due {
				names = append(names, slice.Name)
			}
			if !slices.Equal(names, want) || wait != wantWait {
				t.Errorf("reported %q, the next in %s; want %q in %s", names, wait, want, wantWait)
			}
		}
		check([]cached.Slice{nobodys, gone, dying}, foreignPatience, "nobodys")
		time.Sleep(foreignPatience / 4)
		check([]cached.Slice{nobodys, gone, dying, files}, foreignPatience*3/4, "files")
		time.Sleep(foreignPatience * 3 / 4)
		check([]cached.Slice{nobodys, gone, files}, 0, "gone") // the garbage collector has taken the other one
		check([]cached.Slice{nobodys, gone, files}, 0)
		reports.forget(batch)
		check([]cached.Slice{nobodys}, 0, "nobodys")
		check(nil, 0)
		check([]cached.Slice{nobodys}, 0, "nobodys") // it was mended and damaged again
	})
}
