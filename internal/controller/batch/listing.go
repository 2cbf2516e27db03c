package batch

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/conditions"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// listing is what a status says of the list of users beside what the slices know: it is kept, and the list is not.
type listing struct {
	digest  string                 // of what it was made from
	flawed  int32                  // rows that are invalid by themselves
	invalid []v1alpha1.InvalidUser // as many as the status has room for
	problem *conditions.Verdict    // why a source could not be read
}

// newListing sums a list up, and finds the rows of the users that the API refused.
func newListing(batch *v1alpha1.EmbeddedUserBatch, list *users.List, owned []v1alpha1.EmbeddedUserSlice) listing {
	type entry struct {
		row     users.Row
		invalid v1alpha1.InvalidUser
	}
	var entries []entry
	add := func(row users.Row, reason v1alpha1.InvalidReason, message string) {
		entries = append(entries, entry{row, v1alpha1.InvalidUser{
			Username: row.Username, Source: sourceKey(batch, row.Source), Row: row.Index, Reason: reason, Message: message,
		}})
	}
	for _, flaw := range list.Flawed {
		if flaw.Problem == "" {
			add(flaw.Row, v1alpha1.InvalidReasonDuplicateUsername, "An earlier row has this username with another fullName and is used; remove one of the two")
		} else {
			add(flaw.Row, v1alpha1.InvalidReasonInvalidRow, flaw.Problem)
		}
	}
	for i := range owned {
		for _, result := range cached.Refused(&owned[i]) {
			// A row that was corrected is not what the API refused.
			if place, ok := list.Find(result.Username); ok && ledger.Settled(v1alpha1.User(list.Valid[place].User), result) {
				add(list.Valid[place], v1alpha1.InvalidReason(result.Reason), rejected(result))
			}
		}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.row.Source, b.row.Source), cmp.Compare(a.row.Index, b.row.Index))
	})
	invalid := make([]v1alpha1.InvalidUser, len(entries))
	for i := range entries {
		invalid[i] = entries[i].invalid
	}
	return listing{flawed: int32(list.FlawedCount), invalid: fitting(invalid)} //nolint:gosec // below maxUsers
}

// rejected says why a user that the API did not take is invalid.
func rejected(result v1alpha1.UserResult) string {
	if result.Message != "" {
		return fmt.Sprintf("The API refused this user: %s; correct the row or remove it", result.Message)
	}
	return "The API did not take this user and holds none with exactly this username; correct the row or remove it"
}

// sourceKey names a source by its number, from 1; 0 is spec.users.
func sourceKey(batch *v1alpha1.EmbeddedUserBatch, number int32) *v1alpha1.SourceKey {
	if number == 0 {
		return nil
	}
	kind, ref := referred(&batch.Spec.UsersFrom[number-1])
	return &v1alpha1.SourceKey{Kind: kind, Name: ref.Name, Key: ref.Key}
}

const (
	// maxListedBytes bounds the list of invalid users: the status is stored together with a spec that may be as large as etcd
	// allows.
	maxListedBytes = 32 << 10
	// maxText is what the texts of an invalid user take; a row of a source can have a longer username.
	maxText = 256
)

// fitting is the part of the invalid users for which the status has room.
func fitting(invalid []v1alpha1.InvalidUser) []v1alpha1.InvalidUser {
	bytes := 0
	for i := range invalid {
		user := &invalid[i]
		user.Username, user.Message = conditions.Cut(user.Username, maxText), conditions.Cut(user.Message, maxText)
		bytes += users.Size(users.User{Username: user.Username, FullName: user.Message}) + len(user.Reason)
		if user.Source != nil {
			bytes += len(user.Source.Name) + len(user.Source.Key)
		}
		if i == v1alpha1.MaxInvalidUsers || bytes > maxListedBytes {
			return invalid[:i]
		}
	}
	return invalid
}

// stored is how a status keeps the digest of a listing: with the number of flawed rows, which stands nowhere else.
func (l listing) stored() string { return fmt.Sprintf("%s.%d", l.digest, l.flawed) }

// listingOf is the listing that a batch's status was made from.
func listingOf(batch *v1alpha1.EmbeddedUserBatch) listing {
	l := listing{invalid: batch.Status.InvalidUsers}
	var flawed string
	l.digest, flawed, _ = strings.Cut(batch.Status.Digest, ".")
	if n, err := strconv.ParseInt(flawed, 10, 32); err == nil {
		l.flawed = int32(n)
	}
	read := meta.FindStatusCondition(batch.Status.Conditions, v1alpha1.ConditionSourcesRead)
	if read != nil && read.Status == metav1.ConditionFalse {
		problem := conditions.Stalled(read.Reason, read.Message)
		l.problem = &problem
	}
	return l
}

// relist reads the list only to find the rows of users that the API has refused since. While users are pending that may have
// to wait, for the time that is returned.
func (r *Reconciler) relist(ctx context.Context, s *state) (wait time.Duration, err error) {
	if wait := r.memory.listWait(s.batch); wait > 0 && count(s.slices).Pending > 0 {
		return wait, nil
	}
	seen := s.batch
	read, err := r.read(ctx, s)
	defer read.release()
	if err != nil || s.gone {
		return 0, err
	}
	current := digest(s.batch, read.versions, s.slices)
	if read.busy || !isPlanned(current, s.digest) { // what was read is newer than the cache, and has to be planned first
		s.batch = seen
		return shortly, nil
	}
	if read.problem == nil {
		s.listing = newListing(s.batch, &read.list, s.slices)
	}
	s.listing.problem, s.listing.digest = read.problem, current
	r.memory.learn(s.batch, s.listing, read.took)
	return 0, nil
}
