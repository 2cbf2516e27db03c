package batch

import (
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// sieve goes through the slices of a batch, one by one, and finds out which of them a plan may have to change. Most are as
// they should be: these are set aside, and need not be kept in memory whole. It is pure.
type sieve struct {
	batch  *v1alpha1.EmbeddedUserBatch
	list   *users.List
	claims []int32 // for each valid row: 1 + the number of the first slice that has it
	seen   []sifted
}

// sifted is what is known of a slice that went through.
type sifted struct {
	name  string
	aside bool // it needs no change
	rows  int  // for which it has room
	bytes int
}

func newSieve(batch *v1alpha1.EmbeddedUserBatch, list *users.List) *sieve {
	return &sieve{batch: batch, list: list, claims: make([]int32, len(list.Valid))}
}

// pass looks at one more slice, and tells whether it is set aside. One that was set aside before is not any more when this
// one has a user of it too.
func (s *sieve) pass(slice *v1alpha1.EmbeddedUserSlice) bool {
	aside := slice.DeletionTimestamp.IsZero() && len(slice.Spec.Users) > 0 && slice.Labels[v1alpha1.LabelBatch] == s.batch.Name &&
		equality.Semantic.DeepEqual(slice.Spec.APIKeySecretRef, s.batch.Spec.APIKeySecretRef)
	seen := sifted{name: slice.Name, rows: v1alpha1.MaxSliceUsers, bytes: v1alpha1.MaxSliceBytes}
	number := int32(len(s.seen) + 1) //nolint:gosec // a batch has far fewer slices
	results := ledger.Index(slice.Status.Results)
	for _, user := range slice.Spec.Users {
		seen.rows--
		seen.bytes -= users.Size(users.User(user))
		result, known := results[user.Username]
		delete(results, user.Username)
		place, wanted := s.list.Find(user.Username)
		if !wanted {
			aside = false
			continue
		}
		row := v1alpha1.User(s.list.Valid[place].User)
		stays := user == row || known && result.Result != v1alpha1.ResultInvalid && ledger.Settled(row, result)
		aside = s.claim(place, number) && stays && aside
	}
	for username := range results { // of users that left the slice
		seen.rows--
		if place, wanted := s.list.Find(username); wanted {
			s.claim(place, number)
			aside = false
		}
	}
	seen.aside = aside && seen.rows >= 0 && seen.bytes >= 0
	s.seen = append(s.seen, seen)
	return seen.aside
}

// claim notes that a slice has the user in a place of the list. It returns false if an earlier one has it too.
func (s *sieve) claim(place int, number int32) bool {
	switch claimed := s.claims[place]; claimed {
	case 0:
		s.claims[place] = number
		return true
	case number:
		return false
	default:
		s.seen[claimed-1].aside = false
		return false
	}
}

// maxRoomy is the most slices in which room for new users is used; the rest of the users gets new slices.
const maxRoomy = 16

// rest returns the rows that are in no slice set aside: those that have to be planned. Slices that have room for some of them
// are set aside no more.
func (s *sieve) rest() []users.Row {
	unplaced, smallest := 0, v1alpha1.MaxSliceBytes
	for place, claimed := range s.claims {
		if claimed == 0 {
			unplaced++
			smallest = min(smallest, users.Size(s.list.Valid[place].User))
		}
	}
	roomy := 0
	for i := range s.seen {
		if seen := &s.seen[i]; seen.aside && unplaced > 0 && roomy < maxRoomy && seen.rows > 0 && seen.bytes >= smallest {
			seen.aside = false
			unplaced -= seen.rows
			roomy++
		}
	}
	var rest []users.Row
	for place, claimed := range s.claims {
		if claimed == 0 || !s.seen[claimed-1].aside {
			rest = append(rest, s.list.Valid[place])
		}
	}
	return rest
}
