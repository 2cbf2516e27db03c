package batch

import (
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// filter takes the slices of a batch, one by one, and finds those that a plan may change. Most need no change: the plan skips
// them, so they need not stay in memory.
type filter struct {
	batch  *v1alpha1.EmbeddedUserBatch
	list   *users.List
	owners []int32 // for each valid row, the index in seen of the first slice that has it, plus 1
	seen   []filtered
}

// filtered describes a slice that the filter has seen.
type filtered struct {
	name  string
	skip  bool // it needs no change
	rows  int  // room that is left
	bytes int  // room that is left
}

func newFilter(batch *v1alpha1.EmbeddedUserBatch, list *users.List) *filter {
	return &filter{batch: batch, list: list, owners: make([]int32, len(list.Valid))}
}

// add adds a slice and reports whether the plan can skip it. An earlier slice that shares a user with it is no longer skipped.
func (f *filter) add(slice *v1alpha1.EmbeddedUserSlice) bool {
	skip := slice.DeletionTimestamp.IsZero() && len(slice.Spec.Users) > 0 && slice.Labels[v1alpha1.LabelBatch] == f.batch.Name &&
		equality.Semantic.DeepEqual(slice.Spec.APIKeySecretRef, f.batch.Spec.APIKeySecretRef)
	seen := filtered{name: slice.Name, rows: v1alpha1.MaxSliceUsers, bytes: v1alpha1.MaxSliceBytes}
	number := int32(len(f.seen) + 1) //nolint:gosec // a batch has far fewer slices
	results := ledger.Index(slice.Status.Results)
	for _, user := range slice.Spec.Users {
		seen.rows--
		seen.bytes -= users.Size(users.User(user))
		result, known := results[user.Username]
		delete(results, user.Username)
		place, wanted := f.list.Find(user.Username)
		if !wanted {
			skip = false
			continue
		}
		row := v1alpha1.User(f.list.Valid[place].User)
		stays := user == row || known && result.Result != v1alpha1.ResultInvalid && ledger.Settled(row, result)
		skip = f.assign(place, number) && stays && skip
	}
	for username := range results { // of users that left the slice
		seen.rows--
		if place, wanted := f.list.Find(username); wanted {
			f.assign(place, number)
			skip = false
		}
	}
	seen.skip = skip && seen.rows >= 0 && seen.bytes >= 0
	f.seen = append(f.seen, seen)
	return seen.skip
}

// assign assigns the row at place to a slice. It returns false if the row already has a slice.
func (f *filter) assign(place int, number int32) bool {
	switch owner := f.owners[place]; owner {
	case 0:
		f.owners[place] = number
		return true
	case number:
		return false
	default:
		f.seen[owner-1].skip = false
		return false
	}
}

// maxRoomy is the maximum number of slices that are filled up with new users; the other users get new slices.
const maxRoomy = 16

// rest returns the rows to plan: those that are in no skipped slice. Slices with room for some of them are no longer skipped.
func (f *filter) rest() []users.Row {
	unplaced, smallest := 0, v1alpha1.MaxSliceBytes
	for place, owner := range f.owners {
		if owner == 0 {
			unplaced++
			smallest = min(smallest, users.Size(f.list.Valid[place].User))
		}
	}
	roomy := 0
	for i := range f.seen {
		if seen := &f.seen[i]; seen.skip && unplaced > 0 && roomy < maxRoomy && seen.rows > 0 && seen.bytes >= smallest {
			seen.skip = false
			unplaced -= seen.rows
			roomy++
		}
	}
	var rest []users.Row
	for place, owner := range f.owners {
		if owner == 0 || !f.seen[owner-1].skip {
			rest = append(rest, f.list.Valid[place])
		}
	}
	return rest
}
