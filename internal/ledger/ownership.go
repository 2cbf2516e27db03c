// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// MaxReads is the most userIds that are learned one by one. A list costs the API about as much as some dozens of single reads.
const MaxReads = 20

// Owns reports whether the operator may write the full name of a user: an answer proves that it created the user, and the account's
// list lacked the user before.
func Owns(result v1alpha1.UserResult) bool {
	return result.Result == v1alpha1.ResultCreated && result.Hash != ""
}

// IsUnidentified reports whether the userId of an owned user is still to be learned.
func IsUnidentified(result v1alpha1.UserResult) bool { return Owns(result) && result.UserID == "" }

// needsUpdate reports whether a policy requires a request for an owned user: to learn its userId, or to write its full name.
func needsUpdate(policy v1alpha1.UpdatePolicy, user v1alpha1.User, result v1alpha1.UserResult) bool {
	if policy != v1alpha1.UpdatePolicyUpdate || !Owns(result) {
		return false
	}
	return result.UserID == "" || user.FullName != "" && result.Hash != users.Hash(users.User(user))
}

// CountUpdates counts the owned users of a slice that exist and whose userId is still to be learned, or whose full name is to be
// written.
func CountUpdates(slice *v1alpha1.EmbeddedUserSlice) (unidentified, outdated int32) {
	Each(slice, slice.Status.Results, func(user v1alpha1.User, result v1alpha1.UserResult, known bool) {
		switch {
		case !known || IsSent(user, result) || !needsUpdate(slice.Spec.UpdatePolicy, user, result):
		case result.UserID == "":
			unidentified++
		default:
			outdated++
		}
	})
	return unidentified, outdated
}

// disowned returns a result for a user whose full name is not to be written any more.
func disowned(result v1alpha1.UserResult) v1alpha1.UserResult {
	result.Hash, result.UserID = "", ""
	return result
}

// identified returns the result of an owned user that the API has shown with a userId, and with a full name that makes its row have a
// hash. One that is shown with another userId than before, or at first with another full name than it was created with, is not
// owned: somebody else may have created it after it was deleted.
func identified(old v1alpha1.UserResult, userID, hash string) v1alpha1.UserResult {
	switch {
	case !Owns(old):
		return old
	case userID == "", len(userID) > v1alpha1.MaxUserID, old.UserID == "" && old.Hash != hash, old.UserID != "" && old.UserID != userID:
		return disowned(old)
	}
	old.UserID, old.Hash = userID, hash
	return old
}

// List is the list of the users of an account.
type List interface {
	// Has reports whether a user exists: the list shows it, or it was created since.
	Has(username string) bool
	// Shown returns the userId of a user, and the hash of a row with its full name. It is not ok if the list does not show the user, or
	// if its full name was written since.
	Shown(username string) (userID, hash string, ok bool)
}

// Identify returns the results of a slice with the userIds that a list shows of owned users, and how many were changed. One that does
// not exist any more is not owned any more.
func Identify(slice *v1alpha1.EmbeddedUserSlice, list List) (results []v1alpha1.UserResult, changed int) {
	return rewrite(slice, func(result v1alpha1.UserResult) v1alpha1.UserResult {
		if !IsUnidentified(result) {
			return result
		}
		userID, hash, isShown := list.Shown(result.Username)
		if !isShown && list.Has(result.Username) { // a later list will show it
			return result
		}
		return identified(result, userID, hash)
	})
}

// Disown returns the results of a slice in which users whose userId cannot be learned are not owned, and how many those are.
func Disown(slice *v1alpha1.EmbeddedUserSlice) (results []v1alpha1.UserResult, changed int) {
	return rewrite(slice, func(result v1alpha1.UserResult) v1alpha1.UserResult {
		if IsUnidentified(result) {
			return disowned(result)
		}
		return result
	})
}

// Correct returns the results of a slice with the full names that a list shows of owned users, and how many were changed. A full name
// that somebody else has changed makes its user pending, so that it is written again.
func Correct(slice *v1alpha1.EmbeddedUserSlice, list List) (results []v1alpha1.UserResult, changed int) {
	return rewrite(slice, func(result v1alpha1.UserResult) v1alpha1.UserResult {
		if userID, hash, ok := list.Shown(result.Username); ok && result.UserID != "" {
			return identified(result, userID, hash)
		}
		return result
	})
}

// rewrite changes the results of a slice that has the policy Update.
func rewrite(
	slice *v1alpha1.EmbeddedUserSlice, change func(v1alpha1.UserResult) v1alpha1.UserResult,
) (results []v1alpha1.UserResult, changed int) {
	results = slice.Status.Results
	if slice.Spec.UpdatePolicy != v1alpha1.UpdatePolicyUpdate {
		return results, 0
	}
	for i, before := range slice.Status.Results {
		after := change(before)
		if after == before {
			continue
		}
		if changed == 0 {
			results = slices.Clone(results)
		}
		results[i] = after
		changed++
	}
	return results, changed
}
