// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"maps"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// Planner distributes the users of a list over the slices of a batch and changes as few slices as possible. It is given the slices
// one by one, in any state, and repairs inconsistent ones; only those that change stay in memory.
//
//   - A user with a result stays in the slice that has the result; if several do, in the one with the highest rank.
//   - A user without a result stays in its slice while the slice keeps its limits.
//   - Every other user goes into the first slice with room, and then into new slices. A row that left the spec takes up room
//     until the slice controller has dropped its result.
//   - A slice is removed once it is empty and its controller has observed that.
type Planner struct {
	batch   *v1alpha1.EmbeddedUserBatch
	list    *users.List
	most    int // how many stored slices may change
	homes   []home
	drafts  []*draft
	changes int
	isFull  bool // some slices were deferred to a later plan
}

// home is where a valid row of the list is or belongs.
type home struct {
	draft  int32 // its number, from 1; 0 for none
	rank   int8  // of what the draft has of the user: the result, and then whether the user is in the spec
	placed bool
}

// draft is a slice as it should be.
type draft struct {
	name  string
	fate  fate
	slice *v1alpha1.EmbeddedUserSlice // as stored; nil unless it changes
	rows  int                         // number of distinct usernames among users and results
	bytes int                         // size of the users as JSON

	number  int32
	results map[string]v1alpha1.UserResult
	users   []v1alpha1.User
}

// fate is what becomes of a slice.
type fate int

const (
	unchanged fate = iota // it needs no change
	changed               // the plan may change it
	deferred              // a later plan may change it
)

// New returns a planner for the list of a batch, that changes at most so many of the slices that are stored.
func New(batch *v1alpha1.EmbeddedUserBatch, list *users.List, most int) *Planner {
	return &Planner{batch: batch, list: list, most: most, homes: make([]home, len(list.Valid))}
}

// claim is a row of the list that a slice has.
type claim struct {
	place int
	rank  int8
}

// Add adds a slice that the batch controls.
func (p *Planner) Add(slice *v1alpha1.EmbeddedUserSlice) {
	number := int32(len(p.drafts) + 1) //nolint:gosec // a batch has far fewer slices
	d := &draft{name: slice.Name, number: number, rows: v1alpha1.MaxSliceUsers}
	p.drafts = append(p.drafts, d)
	if !slice.DeletionTimestamp.IsZero() { // its users are planned into another one
		return
	}
	claims, isRight := p.claims(d, slice)
	for _, c := range claims {
		if h := &p.homes[c.place]; h.draft == 0 {
			*h = home{draft: d.number, rank: c.rank}
		} else {
			isRight = false
		}
	}
	switch {
	case isRight && d.rows <= v1alpha1.MaxSliceUsers && d.bytes <= v1alpha1.MaxSliceBytes:
	case p.changes == p.most:
		d.fate, p.isFull = deferred, true
		for _, c := range claims { // a result in its spec stays
			if h := &p.homes[c.place]; c.rank > h.rank && c.rank%2 == 1 && p.drafts[h.draft-1].fate == changed {
				*h = home{draft: d.number, rank: c.rank}
			}
		}
	default:
		p.changes++
		kept := *slice
		d.fate, d.slice = changed, &kept
		p.share(d, claims)
	}
}

// claims returns the rows of the list that a slice has, and whether it needs no change, as far as it alone tells.
func (p *Planner) claims(d *draft, slice *v1alpha1.EmbeddedUserSlice) (claims []claim, isRight bool) {
	results := ledger.Index(slice.Status.Results)
	isRight, d.rows = hasSettings(slice, p.batch) && !ledger.IsRemovable(slice), len(results)
	left := maps.Clone(results) // of users that left the slice
	for _, user := range slice.Spec.Users {
		result, known := results[user.Username]
		delete(left, user.Username)
		if !known {
			d.rows++
		}
		d.bytes += users.Size(users.User(user))
		place, wanted := p.list.Find(user.Username)
		if wanted {
			claims = append(claims, claim{place, int8(2*ledger.Rank(result) + 1)}) //nolint:gosec // a rank is at most 3
		}
		isRight = isRight && wanted && stays(p.batch, user, v1alpha1.User(p.list.Valid[place].User), result)
	}
	for username, result := range left {
		if place, wanted := p.list.Find(username); wanted {
			claims, isRight = append(claims, claim{place, int8(2 * ledger.Rank(result))}), false //nolint:gosec // a rank is at most 3
		}
	}
	return claims, isRight
}

// share settles which slice keeps the rows that a draft claims and others have as well. Those others change. None of them is
// deferred, because every slice that needs a change after a deferred one is deferred too.
func (p *Planner) share(d *draft, claims []claim) {
	for _, c := range claims {
		h := &p.homes[c.place]
		if other := p.drafts[h.draft-1]; other.fate == unchanged {
			other.fate = changed
		}
		if c.rank > h.rank {
			*h = home{draft: d.number, rank: c.rank}
		}
	}
}

// stays reports whether a row of a slice may stay as it is although another one is wanted for its user: if they are equal, or the
// user exists and no full name is to be written. With the policy Update the row changes even if the operator does not own the user: if it
// is deleted in the account, the operator creates it again, and owns it then.
func stays(batch *v1alpha1.EmbeddedUserBatch, user, wanted v1alpha1.User, result v1alpha1.UserResult) bool {
	isKept := batch.Spec.UpdatePolicy != v1alpha1.UpdatePolicyUpdate || wanted.FullName == ""
	return user == wanted || ledger.Exists(result) && isKept
}

// hasSettings reports whether a slice has what every slice of a batch has besides users.
func hasSettings(slice *v1alpha1.EmbeddedUserSlice, batch *v1alpha1.EmbeddedUserBatch) bool {
	wanted := settings(batch)
	return slice.Labels[v1alpha1.LabelBatch] == batch.Name && slice.Spec.UpdatePolicy == wanted.UpdatePolicy &&
		slice.Spec.APIKeySecretRef.WithDefaultKey() == wanted.APIKeySecretRef
}

// maxRoomy is the maximum number of slices that are filled up with new users; the other users get new slices.
const maxRoomy = 16

// Missing returns the names of the slices that change although they need not, because they have room for new users or share users
// with others. They must be restored before the plan is made.
func (p *Planner) Missing() (names []string) {
	unplaced, smallest, roomy := 0, v1alpha1.MaxSliceBytes, 0
	for place, h := range p.homes {
		if h.draft == 0 {
			unplaced++
			smallest = min(smallest, users.Size(p.list.Valid[place].User))
		}
	}
	for _, d := range p.drafts {
		if d.fate == unchanged && unplaced > 0 && roomy < maxRoomy &&
			d.rows < v1alpha1.MaxSliceUsers && d.bytes+smallest <= v1alpha1.MaxSliceBytes {
			d.fate = changed
			unplaced -= v1alpha1.MaxSliceUsers - d.rows
			roomy++
		}
		if d.fate == changed && d.slice == nil {
			names = append(names, d.name)
		}
	}
	return names
}

// Restore adds a missing slice once more.
func (p *Planner) Restore(slice *v1alpha1.EmbeddedUserSlice) {
	for _, d := range p.drafts {
		if d.name == slice.Name {
			d.slice = slice
		}
	}
}
