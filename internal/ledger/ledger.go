// SPDX-License-Identifier: Apache-2.0

// Package ledger interprets the results of an EmbeddedUserSlice: which of its users are settled, which are pending, and how
// new results are merged into old ones. Its functions are pure.
package ledger

import (
	"fmt"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// MaxSubmitted is the maximum number of slices with many pending users that wait in the sender under one key. The others wait as
// objects, so that a list of a million users takes little memory there. It sends one request of 1000 users at a time.
const MaxSubmitted = 50

// Settled reports whether a result applies to a user, and nothing is to be sent for it under a policy.
func Settled(policy v1alpha1.UpdatePolicy, user v1alpha1.User, result v1alpha1.UserResult) bool {
	return result.Pending == "" && Applies(user, result) && !needsUpdate(policy, user, result)
}

// Applies reports whether a result still applies to a user. Created and Existing apply whatever the full name is; Invalid applies until
// the user is corrected.
func Applies(user v1alpha1.User, result v1alpha1.UserResult) bool {
	return Exists(result) || result.Result == v1alpha1.ResultInvalid && result.Hash == users.Hash(users.User(user))
}

// IsRemovable reports whether a slice is empty and its controller has observed that.
func IsRemovable(slice *v1alpha1.EmbeddedUserSlice) bool {
	return len(slice.Spec.Users) == 0 && len(slice.Status.Results) == 0 && slice.Status.ObservedGeneration == slice.Generation
}

// Exists reports whether a result says that a user exists.
func Exists(result v1alpha1.UserResult) bool {
	return result.Result == v1alpha1.ResultCreated || result.Result == v1alpha1.ResultExisting
}

// Index returns results by username. Of several results for one username it keeps the one with the highest rank.
func Index(results []v1alpha1.UserResult) map[string]v1alpha1.UserResult {
	index := make(map[string]v1alpha1.UserResult, len(results))
	for _, result := range results {
		if old, dup := index[result.Username]; !dup || Rank(result) > Rank(old) {
			index[result.Username] = result
		}
	}
	return index
}

// Rank orders results by how hard they are to get again: the API proves only once that it created a user.
func Rank(result v1alpha1.UserResult) int {
	switch result.Result {
	case v1alpha1.ResultCreated:
		return 3
	case v1alpha1.ResultExisting:
		return 2
	case v1alpha1.ResultInvalid:
		return 1
	default:
		return 0
	}
}

// Each visits the users of a slice in order, each with its result if known.
func Each(
	slice *v1alpha1.EmbeddedUserSlice, results []v1alpha1.UserResult,
	visit func(user v1alpha1.User, result v1alpha1.UserResult, known bool),
) {
	// The operator writes results in the order of the users. If every user has one, no index is needed, which saves much time
	// and memory.
	if len(results) == len(slice.Spec.Users) {
		inOrder := true
		for i := range results {
			inOrder = inOrder && results[i].Username == slice.Spec.Users[i].Username
		}
		if inOrder {
			for i, user := range slice.Spec.Users {
				visit(user, results[i], true)
			}
			return
		}
	}
	index := Index(results)
	for _, user := range slice.Spec.Users {
		result, known := index[user.Username]
		visit(user, result, known)
	}
}

// Pending returns the users of a slice that the given results do not settle, in the order of the slice.
func Pending(slice *v1alpha1.EmbeddedUserSlice, results []v1alpha1.UserResult) []users.User {
	var pending []users.User
	Each(slice, results, func(user v1alpha1.User, result v1alpha1.UserResult, known bool) {
		if !known || !Settled(slice.Spec.UpdatePolicy, user, result) {
			pending = append(pending, users.User(user))
		}
	})
	return pending
}

// KnownUsers returns the users of a slice to whom its results apply, in the order of the slice.
func KnownUsers(slice *v1alpha1.EmbeddedUserSlice) []v1alpha1.User {
	var known []v1alpha1.User
	Each(slice, slice.Status.Results, func(user v1alpha1.User, result v1alpha1.UserResult, isKnown bool) {
		if isKnown && Applies(user, result) {
			known = append(known, user)
		}
	})
	return known
}

// Merge merges new results into those of a slice and returns the results in the order of the slice's users. Results of users that
// left the slice are dropped.
func Merge(slice *v1alpha1.EmbeddedUserSlice, news map[string]v1alpha1.UserResult) []v1alpha1.UserResult {
	var merged []v1alpha1.UserResult
	messages := 0
	Each(slice, slice.Status.Results, func(user v1alpha1.User, result v1alpha1.UserResult, _ bool) {
		if news, isNew := news[user.Username]; isNew {
			result = latest(result, news)
		}
		if result.Message != "" {
			if messages++; messages > v1alpha1.MaxResultMessages {
				result.Message = ""
			}
		}
		if Rank(result) > 0 {
			merged = append(merged, result)
		}
	})
	return merged
}

// latest returns what holds of two results for a user. A proof of creation survives a later answer that the user exists, and is
// believed after all if the answer was lost at first. A user that existed before stays one that did, whoever deleted it since.
// Merging an answer again changes nothing: that happens when the answer to a write was lost.
func latest(old, news v1alpha1.UserResult) v1alpha1.UserResult {
	isProof := news.Result == v1alpha1.ResultCreated && old.Reason == v1alpha1.ReasonUnconfirmedAttempt
	switch {
	case isStale(old, news):
		return old
	case news.UserID != "":
		return identified(old, news.UserID, news.Hash)
	case old.Result == v1alpha1.ResultCreated && news.Result == v1alpha1.ResultCreated: // it was deleted meanwhile
		return news
	case Exists(old) && Exists(news) && !isProof:
		old.Pending = ""
		return old
	default:
		news.Retried = news.Result == v1alpha1.ResultInvalid && news.Hash == old.Hash && (old.Retried || old.Pending == v1alpha1.PendingRetry)
		return news
	}
}

// isStale reports whether a result does not replace what is known of a user that is not being sent: because it ranks lower, or because
// it only says that the user was created, which has been identified since.
func isStale(old, news v1alpha1.UserResult) bool {
	isIdentified := Owns(old) && old.UserID != "" && news.UserID == ""
	return old.Pending == "" && (Rank(news) < Rank(old) || isIdentified)
}

// Restored returns the status for a slice that another batch adopts. It proves who exists, and not who was created for that batch.
// It proves nothing if the results may be of another account: if the API did not last check the key with this fingerprint.
// The slice is as one whose status describes no generation, so that its controller writes the rest anew.
func Restored(slice *v1alpha1.EmbeddedUserSlice, fingerprint string) v1alpha1.EmbeddedUserSliceStatus {
	status := *slice.Status.DeepCopy()
	if status.KeyCheck == nil || status.KeyCheck.Fingerprint != fingerprint {
		status = v1alpha1.EmbeddedUserSliceStatus{}
	}
	for i := range status.Results {
		if result := &status.Results[i]; result.Result == v1alpha1.ResultCreated {
			*result = v1alpha1.UserResult{
				Username: result.Username, Result: v1alpha1.ResultExisting, Reason: v1alpha1.ReasonRestored, Pending: result.Pending,
			}
		}
	}
	status.ObservedGeneration, status.Counts = -1, Count(slice, status.Results)
	return status
}

// Count counts the users of a slice by state, given their results.
func Count(slice *v1alpha1.EmbeddedUserSlice, results []v1alpha1.UserResult) v1alpha1.UserCounts {
	var counts v1alpha1.UserCounts
	Each(slice, results, func(user v1alpha1.User, result v1alpha1.UserResult, known bool) {
		counts.Total++
		if slice.Spec.UpdatePolicy == v1alpha1.UpdatePolicyUpdate && Exists(result) && !Owns(result) {
			counts.NotOwned++
		}
		switch {
		case !known || !Settled(slice.Spec.UpdatePolicy, user, result):
			counts.Pending++
		case result.Result == v1alpha1.ResultCreated:
			counts.Created++
		case result.Result == v1alpha1.ResultExisting:
			counts.Existing++
		default:
			counts.Invalid++
		}
	})
	return counts
}

// Describe formats counts for a message. It omits invalid and pending users, and those that are not owned, if there are none.
func Describe(counts v1alpha1.UserCounts) string {
	text := fmt.Sprintf("%d created, %d existed already", counts.Created, counts.Existing)
	if counts.Invalid > 0 {
		text += fmt.Sprintf(", %d invalid", counts.Invalid)
	}
	if counts.Pending > 0 {
		text += fmt.Sprintf(", %d pending", counts.Pending)
	}
	if counts.NotOwned > 0 {
		text += fmt.Sprintf(", %d not owned", counts.NotOwned)
	}
	return text
}
