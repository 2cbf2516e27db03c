package cached_test

import (
	"fmt"
	"runtime"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/ledger"
)

// slice returns a slice of n users, every third of which has no result.
func slice(name string, n int) *v1alpha1.EmbeddedUserSlice {
	s := &v1alpha1.EmbeddedUserSlice{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: name, UID: types.UID("uid-of-" + name), ResourceVersion: "7",
		Annotations: map[string]string{"embedded.runalloy.com/cached": "written by somebody"},
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

func transformed[T client.Object](t interface{ Fatal(...any) }, object T) T {
	kept, err := cached.Transform(object)
	if err != nil {
		t.Fatal(err)
	}
	return kept.(T)
}

func TestTransform_WhatIsKeptOfASliceSaysTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 40).Draw(t, "users")
		whole := slice("s", n)
		before := whole.DeepCopy()
		kept := transformed(t, whole)
		for range rapid.IntRange(0, 2).Draw(t, "more transforms") {
			kept = transformed(t, kept)
		}
		if diff := cmp.Diff(ledger.Count(before, before.Status.Results), cached.Counts(kept)); diff != "" {
			t.Fatalf("counts (-want +got):\n%s", diff)
		}
		if cached.SpecDigest(kept) != cached.SpecDigest(before) {
			t.Fatal("the digest is another one")
		}
		if view := cached.View(before); cached.SpecDigest(&view) != cached.SpecDigest(before) || !cmp.Equal(view.Spec, kept.Spec) {
			t.Fatal("a view differs from what a cache keeps")
		}
		if n > 10 && (cached.IsWhole(kept) || len(kept.Spec.Users) > 0 || len(kept.Status.Results) > 0) {
			t.Fatalf("of %d users the lists are kept", n)
		}
		if !cached.IsWhole(before) {
			t.Fatal("a slice stored with the annotation does not count as whole")
		}
		again, ok := cached.WholeSlice(kept)
		before.Annotations, again.Annotations = nil, nil
		if !ok && cached.Counts(kept).Pending > 0 || ok && !cmp.Equal(before, again) {
			t.Fatalf("a recent slice is not whole: %t", ok)
		}
	})
}

func TestTransform_EveryEditOfASliceIsSeen(t *testing.T) {
	t.Parallel()
	base := cached.SpecDigest(transformed(t, slice("edited", 100)))
	for name, edit := range map[string]func(*v1alpha1.EmbeddedUserSlice){
		"a full name":    func(s *v1alpha1.EmbeddedUserSlice) { s.Spec.Users[50].FullName = "x" },
		"a username":     func(s *v1alpha1.EmbeddedUserSlice) { s.Spec.Users[50].Username = "x" },
		"a missing user": func(s *v1alpha1.EmbeddedUserSlice) { s.Spec.Users = s.Spec.Users[:99] },
		"the order": func(s *v1alpha1.EmbeddedUserSlice) {
			s.Spec.Users[0], s.Spec.Users[1] = s.Spec.Users[1], s.Spec.Users[0]
		},
		"the Secret": func(s *v1alpha1.EmbeddedUserSlice) { s.Spec.APIKeySecretRef.Name = "x" },
		"the label":  func(s *v1alpha1.EmbeddedUserSlice) { s.Labels = map[string]string{v1alpha1.LabelBatch: "x"} },
	} {
		s := slice("edited", 100)
		edit(s)
		if cached.SpecDigest(transformed(t, s)) == base {
			t.Errorf("%s: the digest is the same", name)
		}
	}
}

func TestTransform_NothingOfASecretIsKept(t *testing.T) {
	t.Parallel()
	metadata := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: "s", ResourceVersion: "1", Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: "the key"}, Labels: map[string]string{"a": "b"},
	}}
	want := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "s", ResourceVersion: "1"}}
	if diff := cmp.Diff(want, transformed(t, metadata)); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

// TestTransform_AUserTakesNoMemory compares the size of cached slices of 100 users with that of slices of 1000.
func TestTransform_AUserTakesNoMemory(t *testing.T) {
	const slices = 200
	weigh := func(users int) uint64 {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		kept := make([]*v1alpha1.EmbeddedUserSlice, slices)
		for i := range kept {
			s := slice(strconv.Itoa(i), users)
			for j := range s.Spec.Users { // idle: nothing is pending
				if j%3 == 0 {
					s.Status.Results = append(s.Status.Results, v1alpha1.UserResult{Username: s.Spec.Users[j].Username, Result: v1alpha1.ResultExisting})
				}
			}
			kept[i] = transformed(t, s)
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

func TestWrites_AreAheadUntilTheCacheHasThem(t *testing.T) {
	t.Parallel()
	owner := types.NamespacedName{Namespace: "ns", Name: "owner"}
	at := func(name, version string) *v1alpha1.EmbeddedUserSlice {
		s := slice(name, 0)
		s.ResourceVersion = version
		return s
	}
	for name, tc := range map[string]struct {
		write func(*cached.Writes)
		has   []client.Object
		want  bool
	}{
		"nothing was written":                      {func(*cached.Writes) {}, nil, false},
		"an update that the cache does not have":   {func(w *cached.Writes) { w.Note(owner, at("a", "8"), "8") }, []client.Object{at("a", "7")}, true},
		"one that it has":                          {func(w *cached.Writes) { w.Note(owner, at("a", "8"), "8") }, []client.Object{at("a", "8")}, false},
		"a newer one":                              {func(w *cached.Writes) { w.Note(owner, at("a", "8"), "8") }, []client.Object{at("a", "11")}, false},
		"a created object that is not there yet":   {func(w *cached.Writes) { w.Note(owner, at("a", "8"), "8") }, []client.Object{at("b", "7")}, true},
		"a deleted object that is still there":     {func(w *cached.Writes) { w.Note(owner, at("a", "8"), "") }, []client.Object{at("a", "8")}, true},
		"a deleted object that is gone":            {func(w *cached.Writes) { w.Note(owner, at("a", "8"), "") }, nil, false},
		"one of two is missing":                    {func(w *cached.Writes) { w.Note(owner, at("a", "8"), "8"); w.Note(owner, at("b", "9"), "9") }, []client.Object{at("a", "8")}, true},
		"of an owner that is forgotten":            {func(w *cached.Writes) { w.Note(owner, at("a", "8"), "8"); w.Forget(owner) }, nil, false},
		"of another owner":                         {func(w *cached.Writes) { w.Note(types.NamespacedName{Name: "x"}, at("a", "8"), "8") }, nil, false},
		"an object that was made again by another": {func(w *cached.Writes) { s := at("a", "8"); s.UID = "other"; w.Note(owner, s, "8") }, []client.Object{at("a", "7")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var writes cached.Writes
			tc.write(&writes)
			if got := writes.AreAhead(owner, tc.has...); got != tc.want {
				t.Errorf("ahead: %t", got)
			}
		})
	}
}
