package batch

import (
	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// filter takes the slices of a batch, one by one, and finds those that a plan may change. Most need no change, so they need not
// stay in memory.
type filter struct {
	batch  *v1alpha1.EmbeddedUserBatch
	list   *users.List
	most   int     // how many slices the plan may change
	owners []int32 // for each valid row, the index in seen of the first slice that has it, plus 1
	seen   []filtered
	kept   int
	isFull bool // some slices were deferred to a later plan
}

// filtered describes a slice that the filter has seen.
type filtered struct {
	name  string
	fate  fate
	rows  int // room that is left
	bytes int // room that is left
}

// fate is what becomes of a slice.
type fate int

const (
	unchanged fate = iota // it needs no change
	changed               // the plan may change it
	deferred              // a later plan may change it
)

func newFilter(batch *v1alpha1.EmbeddedUserBatch, list *users.List, most int) *filter {
	return &filter{batch: batch, list: list, most: most, owners: make([]int32, len(list.Valid))}
}

// add adds a slice and reports whether the plan needs it. An earlier slice that shares a user with it needs a change as well.
func (f *filter) add(slice *v1alpha1.EmbeddedUserSlice) bool {
	seen := filtered{name: slice.Name, rows: v1alpha1.MaxSliceUsers, bytes: v1alpha1.MaxSliceBytes}
	if !slice.DeletionTimestamp.IsZero() { // its users are planned into another one
		f.seen = append(f.seen, filtered{name: slice.Name})
		return false
	}
	isRight := len(slice.Spec.Users) > 0 && hasSettings(slice, f.batch)
	var places []int
	results := ledger.Index(slice.Status.Results)
	for _, user := range slice.Spec.Users {
		seen.rows--
		seen.bytes -= users.Size(users.User(user))
		result := results[user.Username]
		delete(results, user.Username)
		place, wanted := f.list.Find(user.Username)
		if !wanted {
			isRight = false
			continue
		}
		places = append(places, place)
		isRight = isRight && stays(user, v1alpha1.User(f.list.Valid[place].User), result)
	}
	for username := range results { // of users that left the slice
		seen.rows--
		if place, wanted := f.list.Find(username); wanted {
			places = append(places, place)
			isRight = false
		}
	}
	isRight = f.own(places) && isRight && seen.rows >= 0 && seen.bytes >= 0
	switch {
	case isRight:
	case f.kept < f.most:
		seen.fate = changed
		f.kept++
	default:
		seen.fate, f.isFull = deferred, true
	}
	f.seen = append(f.seen, seen)
	if seen.fate == changed {
		f.share(places)
	}
	return seen.fate == changed
}

// own assigns rows to the next slice, except for those that have one. It reports whether none has.
func (f *filter) own(places []int) bool {
	number, isFirst := int32(len(f.seen)+1), true //nolint:gosec // a batch has far fewer slices
	for _, place := range places {
		if f.owners[place] != 0 {
			isFirst = false
		} else {
			f.owners[place] = number
		}
	}
	return isFirst
}

// share has the plan change the slices that own some rows which the last slice has as well. None of them is deferred, because
// every slice that needs a change after a deferred one is deferred too.
func (f *filter) share(places []int) {
	for _, place := range places {
		if owner := &f.seen[f.owners[place]-1]; owner.fate == unchanged {
			owner.fate = changed
		}
	}
}

// changed returns the names of the slices that the plan may change, and unchanged those of the others.
func (f *filter) changed() []string   { return f.names(func(is fate) bool { return is == changed }) }
func (f *filter) unchanged() []string { return f.names(func(is fate) bool { return is != changed }) }

func (f *filter) names(match func(fate) bool) (names []string) {
	for _, seen := range f.seen {
		if match(seen.fate) {
			names = append(names, seen.name)
		}
	}
	return names
}

// maxRoomy is the maximum number of slices that are filled up with new users; the other users get new slices.
const maxRoomy = 16

// rest returns the rows to plan: those that are in no slice, or in one that the plan may change. Slices with room for some of
// them are such slices then.
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
		if seen := &f.seen[i]; seen.fate == unchanged && unplaced > 0 && roomy < maxRoomy && seen.rows > 0 && seen.bytes >= smallest {
			seen.fate = changed
			unplaced -= seen.rows
			roomy++
		}
	}
	var rest []users.Row
	for place, owner := range f.owners {
		if owner == 0 || f.seen[owner-1].fate == changed {
			rest = append(rest, f.list.Valid[place])
		}
	}
	return rest
}
