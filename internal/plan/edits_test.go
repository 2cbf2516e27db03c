// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// TestPlan_RandomEdits edits a list of long names 5,000 times, while the slice controller settles some users between two edits,
// and now and then the batch is deleted and its slices are adopted. It checks that no user is lost, duplicated or moved away from a
// result.
func TestPlan_RandomEdits(t *testing.T) {
	t.Parallel()
	for run := range 25 {
		t.Run(strconv.Itoa(run), func(t *testing.T) {
			t.Parallel()
			chance := rand.New(rand.NewPCG(uint64(run), 1))
			b := testBatch()
			var existing []v1alpha1.EmbeddedUserSlice
			next, most := 0, 1+run%4
			for range 200 {
				next = edit(chance, b, next)
				if chance.IntN(20) == 0 {
					existing = recreate(chance, b, existing)
				}
				before := ownResults(existing)
				for {
					p := boundedPlanFor(b, existing, most)
					existing = after(existing, p)
					if !p.IsPartial {
						break
					}
					existing = settleSome(chance, existing)
				}
				checkEdited(t, b, existing, before)
				existing = settleSome(chance, existing)
			}
			for range 20 {
				existing = settleAll(after(existing, boundedPlanFor(b, existing, most)))
			}
			if p := planFor(b, existing); !p.IsEmpty() {
				t.Fatalf("planning does not come to rest: %d created, %d updated, %d removed", len(p.Create), len(p.Update), len(p.Remove))
			}
		})
	}
}

// edit adds, removes, changes or moves some users of a batch. The names are so long that 85 to 1000 users fit into a slice.
func edit(chance *rand.Rand, b *v1alpha1.EmbeddedUserBatch, next int) int {
	name := func() string { return strings.Repeat([]string{"x", "日", "<"}[chance.IntN(3)], chance.IntN(257)) }
	list := slices.Clone(b.Spec.Users)
	switch chance.IntN(5) {
	case 0, 1:
		for range chance.IntN(40) {
			list = append(list, v1alpha1.UserRow{Username: fmt.Sprintf("user-%d", next), FullName: name()})
			next++
		}
	case 2:
		if len(list) > 0 {
			at := chance.IntN(len(list))
			list = slices.Delete(list, at, min(len(list), at+chance.IntN(130)))
		}
	case 3:
		for range min(len(list), chance.IntN(60)) {
			list[chance.IntN(len(list))].FullName = name()
		}
	default:
		chance.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
	b.Spec.Users = list
	b.Generation++
	return next
}

// recreate replaces a batch by another one of its name, which adopts the slices.
func recreate(chance *rand.Rand, b *v1alpha1.EmbeddedUserBatch, list []v1alpha1.EmbeddedUserSlice) []v1alpha1.EmbeddedUserSlice {
	b.UID = types.UID(fmt.Sprintf("%08x-4567", chance.Uint32()))
	for i := range list {
		list[i].Status.KeyCheck = &v1alpha1.KeyCheck{Fingerprint: "key"}
		list[i].Status = ledger.Restored(&list[i], "key")
	}
	return list
}

// settleSome does what the slice controller does with some slices: users that left are dropped, and of those that are pending
// some are created, exist or are invalid.
func settleSome(chance *rand.Rand, list []v1alpha1.EmbeddedUserSlice) []v1alpha1.EmbeddedUserSlice {
	for i := range list {
		if chance.IntN(3) == 0 {
			continue
		}
		news := map[string]v1alpha1.UserResult{}
		for _, user := range ledger.Pending(&list[i], list[i].Status.Results) {
			result := v1alpha1.UserResult{Username: user.Username}
			switch chance.IntN(4) {
			case 0:
				continue
			case 1:
				result.Result, result.Hash = v1alpha1.ResultInvalid, users.Hash(user)
			case 2:
				result.Result = v1alpha1.ResultExisting
			default:
				result.Result = v1alpha1.ResultCreated
			}
			news[user.Username] = result
		}
		list[i].Status.Results = ledger.Merge(&list[i], news)
		list[i].Status.ObservedGeneration = list[i].Generation
	}
	return list
}

// checkEdited checks that every user of the batch is in one slice, within the limits, and with the result that it had.
func checkEdited(t *testing.T, b *v1alpha1.EmbeddedUserBatch, list []v1alpha1.EmbeddedUserSlice, before map[string]int) {
	t.Helper()
	placed := map[string]string{}
	for _, slice := range list {
		bytes, results := 0, ledger.Index(slice.Status.Results)
		for _, user := range slice.Spec.Users {
			if other, dup := placed[user.Username]; dup {
				t.Fatalf("%s is in %s and in %s", user.Username, other, slice.Name)
			}
			placed[user.Username] = slice.Name
			bytes += users.Size(users.User(user))
			if best := before[user.Username]; best > 1 && ledger.Rank(results[user.Username]) != best {
				t.Fatalf("%s was moved away from its result", user.Username)
			}
			delete(results, user.Username)
		}
		if len(slice.Spec.Users)+len(results) > v1alpha1.MaxSliceUsers || bytes > v1alpha1.MaxSliceBytes {
			t.Fatalf("%s has %d users of %d bytes, and %d results of others", slice.Name, len(slice.Spec.Users), bytes, len(results))
		}
	}
	for _, user := range b.Spec.Users {
		if placed[user.Username] == "" {
			t.Fatalf("%s is in no slice", user.Username)
		}
		delete(placed, user.Username)
	}
	if len(placed) > 0 {
		t.Fatalf("%d users are in a slice and in no list", len(placed))
	}
}
