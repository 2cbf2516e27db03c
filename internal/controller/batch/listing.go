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

// listing is the part of the status that comes from the list and not from the slices. It is kept when the list is not.
type listing struct {
	digest  string                 // of the list and slices it was computed from
	flawed  int32                  // number of rows that are not valid users
	invalid []v1alpha1.InvalidUser // as many as fit into the status
	problem *conditions.Verdict    // why a source could not be read, if so
}

// newListing summarizes a list and finds the rows of the users that the API refused.
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
			add(flaw.Row, v1alpha1.InvalidReasonDuplicateUsername, "An earlier row with the same username and a different fullName is used; remove one of the two")
		} else {
			add(flaw.Row, v1alpha1.InvalidReasonInvalidRow, flaw.Problem)
		}
	}
	for i := range owned {
		for _, result := range cached.Refused(&owned[i]) {
			// The API did not refuse a row that was corrected since.
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

// rejected returns the message for a user that the API did not accept.
func rejected(result v1alpha1.UserResult) string {
	if result.Message != "" {
		return fmt.Sprintf("The API refused this user: %s; correct the row or remove it", result.Message)
	}
	return "The API did not accept this user and has none with exactly this username; correct the row or remove it"
}

// sourceKey returns the source with the given number, counted from 1; 0 is spec.users.
func sourceKey(batch *v1alpha1.EmbeddedUserBatch, number int32) *v1alpha1.SourceKey {
	if number == 0 {
		return nil
	}
	kind, ref := referred(&batch.Spec.UsersFrom[number-1])
	return &v1alpha1.SourceKey{Kind: kind, Name: ref.Name, Key: ref.Key}
}

const (
	// maxListedBytes bounds the list of invalid users, because etcd's size limit covers the status and the spec together.
	maxListedBytes = 32 << 10
	// maxText is the maximum length that the CRD allows for a text; the username in a row of a source can be longer.
	maxText = 256
)

// fitting returns the invalid users that fit into the status.
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

// stored returns the digest for the status, with the number of flawed rows, which is stored nowhere else.
func (l listing) stored() string { return fmt.Sprintf("%s.%d", l.digest, l.flawed) }

// listingOf restores the listing from the status of a batch.
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

// refreshListing reads the list to find the rows of users that the API refused since it was planned. While users are pending
// this is rate limited: the result is the time until it is due.
func (r *Reconciler) refreshListing(ctx context.Context, s *state) (wait time.Duration, err error) {
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
	if read.busy || !isPlanned(current, s.digest) { // the list is newer than the cache and must be planned first
		s.batch = seen
		return requeueDelay, nil
	}
	if read.problem == nil {
		s.listing = newListing(s.batch, &read.list, s.slices)
	}
	s.listing.problem, s.listing.digest = read.problem, current
	r.memory.learn(s.batch, s.listing, read.took)
	return 0, nil
}
