// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/conditions"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
	"github.com/embedded-user-operator/embedded-user-operator/internal/usersource"
)

// listing is what the status says of a list. It is kept when the list is not.
type listing struct {
	plan    v1alpha1.PlanStatus    // for which the list was read
	invalid []v1alpha1.InvalidUser // as many as fit into the status
	repeats int32                  // rows that repeat an earlier one exactly
	total   int32                  // length of a list that is not yet distributed over slices; else 0
	problem *listError             // why the list could not be read again; nil if it was
}

// storedListing returns what a status says of a list. It does not say for which plan there is a problem, so that the list is
// read again after a restart.
func storedListing(status v1alpha1.EmbeddedUserBatchStatus) listing {
	l := listing{invalid: status.InvalidUsers, repeats: status.RepeatedRows}
	if status.Plan != nil {
		l.plan = *status.Plan
	}
	return l
}

// isFor reports whether the listing is of the list and the slices of a plan.
func (l listing) isFor(plan v1alpha1.PlanStatus) bool {
	if l.problem != nil {
		return isSamePlan(l.problem.plan, plan)
	}
	return isSamePlan(l.plan, plan)
}

// namesRejected reports whether the listing has the rows of the rejected users of a plan, as far as they can be found.
func (l listing) namesRejected(plan v1alpha1.PlanStatus) bool {
	return l.problem != nil || l.plan.Rejected == plan.Rejected
}

// newListing summarizes a list and finds the rows of the users that the API rejected. The slices are those of the plan.
func newListing(batch *v1alpha1.EmbeddedUserBatch, list *users.List, owned []cached.Slice, plan v1alpha1.PlanStatus) listing {
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
			add(flaw.Row, v1alpha1.InvalidReasonDuplicateUsername, users.DuplicateProblem)
		} else {
			add(flaw.Row, v1alpha1.InvalidReasonInvalidRow, flaw.Problem)
		}
	}
	for i := range owned {
		for _, result := range owned[i].Rejected {
			// The API did not reject a row that was corrected since.
			if place, ok := list.Find(result.Username); ok && !ledger.IsSent(v1alpha1.User(list.Valid[place].User), result) {
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
	plan.InvalidRows = int32(list.FlawedCount)                                           //nolint:gosec // bounded by the size of a list
	return listing{plan: plan, invalid: fitting(invalid), repeats: int32(list.Repeated)} //nolint:gosec // bounded likewise
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
	kind, ref := usersource.Reference(&batch.Spec.UsersFrom[number-1])
	return &v1alpha1.SourceKey{Kind: kind, Name: ref.Name, Key: ref.Key}
}

const (
	// maxListedBytes bounds the list of invalid users, because etcd's size limit covers the status and the spec together.
	maxListedBytes = 32 << 10
	// maxText is the maximum length that the CRD allows for a text, in characters. A username in spec.users can be longer.
	maxText = 256
)

// fitting returns the invalid users that fit into the status.
func fitting(invalid []v1alpha1.InvalidUser) []v1alpha1.InvalidUser {
	bytes := 0
	for i := range invalid {
		user := &invalid[i]
		user.Username, user.Message = presentable(user.Username), presentable(user.Message)
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

// presentable returns a text that the status can hold: shortened to maxText, and without control characters and noncharacters. The
// API server reads what is applied as YAML, which cannot have them.
func presentable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\ufffe' || r == '\uffff' {
			return utf8.RuneError
		}
		return r
	}, conditions.Shorten(text, maxText))
}
