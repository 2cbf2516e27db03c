// SPDX-License-Identifier: Apache-2.0

package cached_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
)

// slice returns a slice of n users, every third of which has no result.
func slice(name string, n int) *v1alpha1.EmbeddedUserSlice {
	s := &v1alpha1.EmbeddedUserSlice{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: name, UID: types.UID("uid-of-" + name), ResourceVersion: "7",
	}}
	for i := range n {
		username := fmt.Sprintf("%s-user-%04d@example.com", name, i)
		s.Spec.Users = append(s.Spec.Users, v1alpha1.User{Username: username, FullName: fmt.Sprintf("User number %d", i)})
		if i%3 != 0 {
			s.Status.Results = append(s.Status.Results, v1alpha1.UserResult{Username: username, Result: v1alpha1.ResultCreated})
		}
	}
	return s
}

// decoded returns what an informer makes of a slice.
func decoded(t interface{ Fatal(...any) }, whole *v1alpha1.EmbeddedUserSlice) *cached.Slice {
	encoded, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	var kept cached.Slice
	if err := json.Unmarshal(encoded, &kept); err != nil {
		t.Fatal(err)
	}
	return &kept
}

func TestSlice_WhatIsKeptSaysTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		whole := slice("s", rapid.IntRange(0, 40).Draw(t, "users"))
		kept := decoded(t, whole)
		if diff := cmp.Diff(ledger.Count(whole, whole.Status.Results), kept.Counts); diff != "" {
			t.Fatalf("counts (-want +got):\n%s", diff)
		}
		if cached.SliceOf(whole).SpecDigest != kept.SpecDigest {
			t.Fatal("the digest is another one")
		}
		if kept.Name != whole.Name || kept.UID != whole.UID || kept.ResourceVersion != whole.ResourceVersion {
			t.Fatalf("the metadata differ: %+v", kept.ObjectMeta)
		}
		again, ok := kept.Whole()
		if !ok && kept.Counts.Pending > 0 || ok && !cmp.Equal(whole, again) {
			t.Fatalf("a recent slice is not whole: %t", ok)
		}
	})
}

func TestSlice_EveryEditIsSeen(t *testing.T) {
	t.Parallel()
	base := decoded(t, slice("edited", 100)).SpecDigest
	for name, edit := range map[string]func(*v1alpha1.EmbeddedUserSlice){
		"a full name":    func(s *v1alpha1.EmbeddedUserSlice) { s.Spec.Users[50].FullName = "x" },
		"a username":     func(s *v1alpha1.EmbeddedUserSlice) { s.Spec.Users[50].Username = "x" },
		"a missing user": func(s *v1alpha1.EmbeddedUserSlice) { s.Spec.Users = s.Spec.Users[:99] },
		"the order": func(s *v1alpha1.EmbeddedUserSlice) {
			s.Spec.Users[0], s.Spec.Users[1] = s.Spec.Users[1], s.Spec.Users[0]
		},
		"the Secret": func(s *v1alpha1.EmbeddedUserSlice) { s.Spec.APIKeySecretRef.Name = "x" },
		"its key":    func(s *v1alpha1.EmbeddedUserSlice) { s.Spec.APIKeySecretRef.Key = "x" },
		"the label":  func(s *v1alpha1.EmbeddedUserSlice) { s.Labels = map[string]string{v1alpha1.LabelBatch: "x"} },
	} {
		s := slice("edited", 100)
		edit(s)
		if decoded(t, s).SpecDigest == base {
			t.Errorf("%s: the digest is the same", name)
		}
	}
	for _, key := range []string{"", v1alpha1.DefaultSecretKey} {
		s := slice("edited", 100)
		s.Spec.APIKeySecretRef.Key = key
		if decoded(t, s).SpecDigest != base {
			t.Errorf("the digest with the key %q is another one than with the default", key)
		}
	}
}

func TestBatch_AListIsKeptOnlyIfItIsShort(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 10, 11, 5000} {
		batch := v1alpha1.EmbeddedUserBatch{ObjectMeta: metav1.ObjectMeta{
			Name: "b", UID: types.UID(strconv.Itoa(n)), Generation: 3, ResourceVersion: "7",
			Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: "the list", "a": "b"},
		}}
		batch.Status.ObservedGeneration = 3
		for i := range n {
			batch.Spec.Users = append(batch.Spec.Users, v1alpha1.UserRow{Username: strconv.Itoa(i)})
		}
		encoded, err := json.Marshal(batch)
		if err != nil {
			t.Fatal(err)
		}
		var kept cached.Batch
		if err := json.Unmarshal(encoded, &kept); err != nil {
			t.Fatal(err)
		}
		if _, ok := kept.Whole(); ok != (n <= 10) || kept.Generation != 3 || kept.Status.ObservedGeneration != 3 {
			t.Errorf("%d users: whole %t, generation %d", n, ok, kept.Generation)
		}
		if diff := cmp.Diff(map[string]string{"a": "b"}, kept.Annotations); diff != "" {
			t.Errorf("annotations (-want +got):\n%s", diff)
		}
	}
}

func TestTransform_NothingOfASecretIsKept(t *testing.T) {
	t.Parallel()
	metadata := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: "s", ResourceVersion: "1", Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: "the key"},
		Labels: map[string]string{"a": "b"},
	}}
	kept, err := cached.Transform(metadata)
	want := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "s", ResourceVersion: "1"}}
	if diff := cmp.Diff(any(want), kept); diff != "" || err != nil {
		t.Errorf("kept (-want +got), %v:\n%s", err, diff)
	}
}

// TestLong_AUserTakesNoMemory compares the size of cached slices of 100 users with that of slices of 1000.
func TestLong_AUserTakesNoMemory(t *testing.T) {
	const slices = 200
	weigh := func(users int) uint64 {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		kept := make([]*cached.Slice, slices)
		for i := range kept {
			s := slice(strconv.Itoa(i), users)
			for j := range s.Spec.Users { // idle: nothing is pending
				if j%3 == 0 {
					s.Status.Results = append(s.Status.Results, v1alpha1.UserResult{Username: s.Spec.Users[j].Username, Result: v1alpha1.ResultExisting})
				}
			}
			kept[i] = decoded(t, s)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(kept)
		return (after.HeapAlloc - min(before.HeapAlloc, after.HeapAlloc)) / slices
	}
	few, many := weigh(100), weigh(1000)
	if perUser := float64(many) - float64(few); perUser/900 > 16 {
		t.Errorf("a slice of 100 users takes %d bytes, one of 1000 %d", few, many)
	}
	if few > 10<<10 {
		t.Errorf("a slice takes %d bytes", few)
	}
}

func TestVersions_AreAheadUntilTheCacheHasThem(t *testing.T) {
	t.Parallel()
	owner := types.NamespacedName{Namespace: "ns", Name: "owner"}
	at := func(name, version string) *cached.Slice {
		s := cached.SliceOf(slice(name, 0))
		s.ResourceVersion = version
		return &s
	}
	note := func(objects ...*cached.Slice) func(*cached.Versions) {
		return func(v *cached.Versions) {
			for _, object := range objects {
				v.Note(owner, object)
			}
		}
	}
	deleted := func(v *cached.Versions) { v.NoteDeleted(owner, at("a", "8")) }
	for name, tc := range map[string]struct {
		note func(*cached.Versions)
		has  []client.Object
		want bool
	}{
		"nothing was written":                    {note(), nil, false},
		"an update that the cache does not have": {note(at("a", "8")), []client.Object{at("a", "7")}, true},
		"one that it has":                        {note(at("a", "8")), []client.Object{at("a", "8")}, false},
		"a newer one":                            {note(at("a", "8")), []client.Object{at("a", "11")}, false},
		"a created object that is not there yet": {note(at("a", "8")), []client.Object{at("b", "7")}, true},
		"a deleted object that is still there":   {deleted, []client.Object{at("a", "8")}, true},
		"a deleted object that is gone":          {deleted, nil, false},
		"one of two is missing":                  {note(at("a", "8"), at("b", "9")), []client.Object{at("a", "8")}, true},
		"an older one that was read since":       {note(at("a", "8"), at("a", "5")), []client.Object{at("a", "5")}, false},
		"of an owner that is forgotten":          {func(v *cached.Versions) { v.Note(owner, at("a", "8")); v.Forget(owner) }, nil, false},
		"of another owner": {
			func(v *cached.Versions) { v.Note(types.NamespacedName{Name: "x"}, at("a", "8")) }, nil, false,
		},
		"an object that was made again by another": {func(v *cached.Versions) {
			s := at("a", "8")
			s.UID = "other"
			v.Note(owner, s)
		}, []client.Object{at("a", "7")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var versions cached.Versions
			tc.note(&versions)
			if got := versions.AreAhead(owner, tc.has...); got != tc.want {
				t.Errorf("ahead: %t", got)
			}
		})
	}
}

func TestVersions_ExpireWhenTheCacheNeverGetsThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		owner, object := types.NamespacedName{Namespace: "ns", Name: "owner"}, cached.SliceOf(slice("a", 0))
		restored := object
		restored.ResourceVersion = "3"
		var versions cached.Versions
		versions.Note(owner, &object)
		for _, want := range []bool{true, false} { // etcd was restored from a backup
			versions.Expire(owner)
			if got := versions.AreAhead(owner, &restored); got != want {
				t.Errorf("ahead: %t", got)
			}
			time.Sleep(cached.Allowance + time.Second)
		}
	})
}
