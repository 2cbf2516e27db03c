// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

func testBatch(list ...v1alpha1.User) *v1alpha1.EmbeddedUserBatch {
	b := &v1alpha1.EmbeddedUserBatch{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "b", UID: types.UID("0123-4567-89ab")},
		Spec:       v1alpha1.EmbeddedUserBatchSpec{APIKeySecretRef: v1alpha1.APIKeySecretReference{Name: "s", Key: "k"}},
	}
	for _, user := range list {
		b.Spec.Users = append(b.Spec.Users, v1alpha1.UserRow(user))
	}
	return b
}

func listOf(b *v1alpha1.EmbeddedUserBatch) *users.List {
	list := &users.List{}
	for i, user := range b.Spec.Users {
		list.Add(users.Row{User: users.User(user), Index: int32(i)}, "")
	}
	return list
}

// planFor plans a batch whose slices may all change.
func planFor(b *v1alpha1.EmbeddedUserBatch, existing []v1alpha1.EmbeddedUserSlice) Writes {
	return boundedPlanFor(b, existing, len(existing))
}

// boundedPlanFor plans a batch of whose slices only some may change.
func boundedPlanFor(b *v1alpha1.EmbeddedUserBatch, existing []v1alpha1.EmbeddedUserSlice, most int) Writes {
	p := New(b, listOf(b), most)
	for i := range existing {
		p.Add(&existing[i])
	}
	missing := p.Missing()
	for i := range existing {
		if slices.Contains(missing, existing[i].Name) {
			p.Restore(&existing[i])
		}
	}
	return p.Writes()
}

// after returns the slices after a plan was applied.
func after(existing []v1alpha1.EmbeddedUserSlice, p Writes) []v1alpha1.EmbeddedUserSlice {
	byName := map[string]v1alpha1.EmbeddedUserSlice{}
	for _, slice := range existing {
		byName[slice.Name] = slice
	}
	for i, slice := range append(slices.Clone(p.Create), p.Update...) {
		written := *slice.DeepCopy()
		written.UID = types.UID(slice.Name)
		written.Generation++
		if i < len(p.Create) {
			written.Status.ObservedGeneration = -1
		}
		byName[slice.Name] = written
	}
	for _, slice := range p.Remove {
		delete(byName, slice.Name)
	}
	result := slices.Collect(maps.Values(byName))
	slices.SortFunc(result, func(a, b v1alpha1.EmbeddedUserSlice) int { return CompareNames(a.Name, b.Name) })
	return result
}

// settleAll does what the slice controller does: it drops the results of users that left and records the generation.
func settleAll(list []v1alpha1.EmbeddedUserSlice) []v1alpha1.EmbeddedUserSlice {
	for i := range list {
		list[i].Status.Results = ledger.Merge(&list[i], nil)
		list[i].Status.ObservedGeneration = list[i].Generation
	}
	return list
}

var (
	anyUsername = rapid.Map(rapid.IntRange(0, 30), func(i int) string { return fmt.Sprintf("user-%d", i) })
	anyUser     = rapid.Custom(func(t *rapid.T) v1alpha1.User {
		return v1alpha1.User{Username: anyUsername.Draw(t, "username"), FullName: rapid.SampledFrom([]string{"", "A", "B"}).Draw(t, "fullName")}
	})
	anyResult = rapid.Custom(func(t *rapid.T) v1alpha1.UserResult {
		user := anyUser.Draw(t, "user")
		result := v1alpha1.UserResult{
			Username: user.Username,
			Result:   rapid.SampledFrom([]v1alpha1.Result{"Created", "Existing", "Invalid", "Nonsense"}).Draw(t, "result"),
		}
		if result.Result == v1alpha1.ResultInvalid {
			result.Hash = users.Hash(users.User(user))
		}
		return result
	})
	// anyName generates names of slices, also of those that were another batch's.
	anyName = rapid.Custom(func(t *rapid.T) string {
		uid := rapid.SampledFrom([]string{"01234567", "01234568", "00000000", "ffffffff"}).Draw(t, "uid")
		return fmt.Sprintf("b-%s-%d", uid, rapid.IntRange(0, 12).Draw(t, "index"))
	})
	// anySlices generates slices in any state, including states that the operator never writes.
	anySlices = rapid.Custom(func(t *rapid.T) []v1alpha1.EmbeddedUserSlice {
		names := rapid.SliceOfNDistinct(anyName, 0, 5, rapid.ID[string]).Draw(t, "names")
		list := make([]v1alpha1.EmbeddedUserSlice, len(names))
		for i, name := range names {
			list[i] = v1alpha1.EmbeddedUserSlice{
				ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name), Generation: 2},
				Spec: v1alpha1.EmbeddedUserSliceSpec{
					APIKeySecretRef: v1alpha1.APIKeySecretReference{Name: rapid.SampledFrom([]string{"s", "other"}).Draw(t, "secret"), Key: "k"},
					Users:           rapid.SliceOfN(anyUser, 0, 15).Draw(t, "users"),
				},
				Status: v1alpha1.EmbeddedUserSliceStatus{
					ObservedGeneration: rapid.Int64Range(1, 2).Draw(t, "observed"),
					Results:            rapid.SliceOfN(anyResult, 0, 15).Draw(t, "results"),
				},
			}
			if rapid.IntRange(0, 5).Draw(t, "terminating") == 0 {
				now := metav1.Now()
				list[i].DeletionTimestamp = &now
			}
		}
		return list
	})
)

func TestPlan_AnySlicesAreRepaired(t *testing.T) {
	t.Parallel()
	rapid.Check(t, anySlicesAreRepaired)
}

func anySlicesAreRepaired(t *rapid.T) {
	planFor := planFor
	if most := rapid.IntRange(0, 6).Draw(t, "most"); most > 0 {
		planFor = func(b *v1alpha1.EmbeddedUserBatch, existing []v1alpha1.EmbeddedUserSlice) Writes {
			return boundedPlanFor(b, existing, most)
		}
	}
	b := testBatch(rapid.SliceOfN(anyUser, 0, 25).Draw(t, "list")...)
	existing := anySlices.Draw(t, "slices")
	before := ownResults(existing)
	p := planFor(b, existing)
	planned := after(existing, p)
	if !p.IsPartial {
		checkPlaced(t, b, planned)
	}

	for _, slice := range p.Create {
		hasItsName := func(other v1alpha1.EmbeddedUserSlice) bool { return other.Name == slice.Name }
		if slices.ContainsFunc(existing, hasItsName) || !IsName(slice.Name, b.Name) {
			t.Fatalf("a new slice has the name %s", slice.Name)
		}
	}
	for _, slice := range p.Remove {
		if len(slice.Status.Results) > 0 || slice.Status.ObservedGeneration != slice.Generation {
			t.Fatalf("%s is removed with %d results, observed %d of %d",
				slice.Name, len(slice.Status.Results), slice.Status.ObservedGeneration, slice.Generation)
		}
	}
	// A user that exists must stay with its result, so that it is not sent again.
	for _, slice := range planned {
		for _, user := range slice.Spec.Users {
			if best := before[user.Username]; !p.IsPartial && best > 1 && slice.DeletionTimestamp.IsZero() &&
				ledger.Rank(ledger.Index(slice.Status.Results)[user.Username]) != best {
				t.Fatalf("%s was moved away from its result", user.Username)
			}
		}
	}
	// Once the slice controller has observed the slices, planning must converge. A plan that may change one slice needs two for
	// each slice: one mends it and one removes it.
	for range 2*len(existing) + 8 {
		planned = settleAll(planned)
		planned = after(planned, planFor(b, planned))
	}
	if p := planFor(b, settleAll(planned)); !p.IsEmpty() {
		t.Fatalf("planning does not converge: %d created, %d updated, %d removed", len(p.Create), len(p.Update), len(p.Remove))
	}
	checkPlaced(t, b, planned)
}

// ownResults returns the highest rank among the results of each user.
func ownResults(list []v1alpha1.EmbeddedUserSlice) map[string]int {
	best := map[string]int{}
	for _, slice := range list {
		if !slice.DeletionTimestamp.IsZero() {
			continue
		}
		for _, result := range slice.Status.Results {
			best[result.Username] = max(best[result.Username], ledger.Rank(result))
		}
	}
	return best
}

// checkPlaced checks that every user of the batch is in exactly one slice, and no other user is in any.
func checkPlaced(t *rapid.T, b *v1alpha1.EmbeddedUserBatch, list []v1alpha1.EmbeddedUserSlice) {
	wanted := map[string]struct{}{}
	for _, row := range listOf(b).Valid {
		wanted[row.Username] = struct{}{}
	}
	placed := map[string]string{}
	for _, slice := range list {
		if !slice.DeletionTimestamp.IsZero() {
			continue
		}
		if slice.Spec.APIKeySecretRef != b.Spec.APIKeySecretRef {
			t.Fatalf("%s refers to another Secret", slice.Name)
		}
		for _, user := range slice.Spec.Users {
			if _, ok := wanted[user.Username]; !ok {
				t.Fatalf("%s is in %s and in no list", user.Username, slice.Name)
			}
			if other, dup := placed[user.Username]; dup {
				t.Fatalf("%s is in %s and in %s", user.Username, other, slice.Name)
			}
			placed[user.Username] = slice.Name
		}
	}
	if len(placed) != len(wanted) {
		t.Fatalf("%d of %d users are in a slice", len(placed), len(wanted))
	}
}

func TestPlan_LimitsAreKept(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := testBatch()
		n := rapid.IntRange(0, 3500).Draw(t, "users")
		width := rapid.SampledFrom([]int{0, 50, 256}).Draw(t, "width")
		char := rapid.SampledFrom([]string{"x", "日", "<"}).Draw(t, "character")
		for i := range n {
			b.Spec.Users = append(b.Spec.Users, v1alpha1.UserRow{Username: strconv.Itoa(i), FullName: strings.Repeat(char, width)})
		}
		list := after(nil, planFor(b, nil))
		for _, slice := range list {
			encoded, err := json.Marshal(slice.Spec.Users)
			if err != nil {
				t.Fatal(err)
			}
			if len(slice.Spec.Users) > v1alpha1.MaxSliceUsers || len(encoded) > v1alpha1.MaxSliceBytes {
				t.Fatalf("%s has %d users in %d bytes", slice.Name, len(slice.Spec.Users), len(encoded))
			}
		}
		if width == 0 && len(list) != (n+999)/1000 {
			t.Fatalf("%d short users are in %d slices", n, len(list))
		}
		checkPlaced(t, b, list)
	})
}

func TestPlan_EditsTouchFewSlices(t *testing.T) {
	t.Parallel()
	list := make([]v1alpha1.User, 2500)
	for i := range list {
		list[i] = v1alpha1.User{Username: fmt.Sprintf("user-%04d", i)}
	}
	existing := after(nil, planFor(testBatch(list...), nil))
	for i := range existing {
		for _, user := range existing[i].Spec.Users {
			created := v1alpha1.UserResult{Username: user.Username, Result: v1alpha1.ResultCreated}
			existing[i].Status.Results = append(existing[i].Status.Results, created)
		}
	}
	existing = settleAll(existing)

	for name, tc := range map[string]struct {
		edit    func([]v1alpha1.User) []v1alpha1.User
		updated []string
		created int
	}{
		"nothing":       {func(l []v1alpha1.User) []v1alpha1.User { return l }, nil, 0},
		"another order": {func(l []v1alpha1.User) []v1alpha1.User { slices.Reverse(l); return l }, nil, 0},
		"appending one": {func(l []v1alpha1.User) []v1alpha1.User { return append(l, v1alpha1.User{Username: "new"}) }, []string{"2"}, 0},
		"one at the start": {
			func(l []v1alpha1.User) []v1alpha1.User { return slices.Insert(l, 0, v1alpha1.User{Username: "new"}) },
			[]string{"2"}, 0,
		},
		"removing one":          {func(l []v1alpha1.User) []v1alpha1.User { return slices.Delete(l, 1500, 1501) }, []string{"1"}, 0},
		"exchanging one":        {func(l []v1alpha1.User) []v1alpha1.User { l[10].Username = "new"; return l }, []string{"0", "2"}, 0},
		"renaming one":          {func(l []v1alpha1.User) []v1alpha1.User { l[10].FullName = "A"; return l }, nil, 0},
		"more than the holes":   {func(l []v1alpha1.User) []v1alpha1.User { return append(l, numberedUsers(600)...) }, []string{"2"}, 1},
		"removing all of slice": {func(l []v1alpha1.User) []v1alpha1.User { return l[:2000] }, []string{"2"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := testBatch(tc.edit(slices.Clone(list))...)
			for name, p := range map[string]Writes{"all": planFor(b, existing), "two": boundedPlanFor(b, existing, 2)} {
				var updated []string
				for _, slice := range p.Update {
					updated = append(updated, strings.TrimPrefix(slice.Name, "b-01234567-"))
				}
				if !slices.Equal(updated, tc.updated) || len(p.Create) != tc.created || len(p.Remove) != 0 {
					t.Errorf("%s: updated %v, created %d, removed %d", name, updated, len(p.Create), len(p.Remove))
				}
			}
		})
	}
}

// TestPlan_PendingUsersStayWhenAnotherGrows fills a slice by bytes and makes one of its users longer.
func TestPlan_PendingUsersStayWhenAnotherGrows(t *testing.T) {
	t.Parallel()
	list := make([]v1alpha1.User, 700)
	for i := range list {
		list[i] = v1alpha1.User{Username: fmt.Sprintf("user-%04d", i), FullName: strings.Repeat("x", 220)}
	}
	existing := after(nil, planFor(testBatch(list...), nil)) // all are pending, and may be in flight
	first := existing[0].Spec.Users
	if len(first) == len(list) {
		t.Fatal("the slice is not full")
	}
	list[0].FullName = strings.Repeat("x", 256)
	planned := after(existing, planFor(testBatch(list...), existing))
	if diff := cmp.Diff(first[1:], planned[0].Spec.Users); diff != "" {
		t.Errorf("users that were not edited (-want +got):\n%s", diff)
	}
}

func numberedUsers(n int) []v1alpha1.User {
	list := make([]v1alpha1.User, n)
	for i := range list {
		list[i].Username = fmt.Sprintf("more-%d", i)
	}
	return list
}

func TestPlan_NewSlicesAreOwnedAndNamedAfterTheBatch(t *testing.T) {
	t.Parallel()
	p := planFor(testBatch(numberedUsers(1001)...), nil)
	for i, slice := range p.Create {
		owner := metav1.GetControllerOf(slice)
		if slice.Name != fmt.Sprintf("b-01234567-%d", i) || slice.Labels[v1alpha1.LabelBatch] != "b" ||
			owner == nil || owner.UID != "0123-4567-89ab" {
			t.Errorf("%s: labels %v, owner %+v", slice.Name, slice.Labels, owner)
		}
	}
}

// BenchmarkPlan plans a batch without slices, and filters and plans a batch that has not changed.
func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		batch := testBatch(numberedUsers(n)...)
		list := listOf(batch)
		existing := after(nil, planFor(batch, nil))
		b.Run(fmt.Sprintf("new/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if New(batch, list, 0).Writes().IsEmpty() {
					b.Fatal("the plan is empty")
				}
			}
		})
		b.Run(fmt.Sprintf("unchanged/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !boundedPlanFor(batch, existing, 100).IsEmpty() {
					b.Fatal("the plan is not empty")
				}
			}
		})
	}
}

// FuzzPlan runs TestPlan_AnySlicesAreRepaired with fuzzed input.
func FuzzPlan(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(anySlicesAreRepaired))
}
