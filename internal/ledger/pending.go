// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// Ask returns the results of a slice in which users are pending again, and how many those are. why says for which reason; an empty
// one leaves a user as it is. It is asked only of users that are not being sent.
func Ask(
	slice *v1alpha1.EmbeddedUserSlice, why func(v1alpha1.UserResult) v1alpha1.PendingReason,
) (results []v1alpha1.UserResult, asked int) {
	wanted := make(map[string]v1alpha1.User, len(slice.Spec.Users))
	for _, user := range slice.Spec.Users {
		wanted[user.Username] = user
	}
	results = slices.Clone(slice.Status.Results)
	for i := range results {
		user, isWanted := wanted[results[i].Username]
		if !isWanted || IsSent(user, results[i]) {
			continue
		}
		if results[i].Pending = why(results[i]); results[i].Pending != "" {
			asked++
		}
	}
	return results, asked
}

// IsSent reports whether a user is to be sent to be created or confirmed, given its result.
func IsSent(user v1alpha1.User, result v1alpha1.UserResult) bool {
	return result.Pending != "" || !Applies(user, result)
}

// Retry returns results in which every user is pending that the API has rejected only once.
func Retry(results []v1alpha1.UserResult) []v1alpha1.UserResult {
	results = slices.Clone(results)
	for i := range results {
		if IsRetriable(results[i]) {
			results[i].Pending = v1alpha1.PendingRetry
		}
	}
	return results
}

// IsRetriable reports whether the API has rejected a user only once, and is not being asked again.
func IsRetriable(result v1alpha1.UserResult) bool {
	return result.Result == v1alpha1.ResultInvalid && result.Pending == "" && !result.Retried
}

// Observe returns the results of a slice after the account's list was read, and how many have changed: a user that the list has
// exists, and is not missing any more.
func Observe(slice *v1alpha1.EmbeddedUserSlice, has func(username string) bool) (results []v1alpha1.UserResult, changed int) {
	news := map[string]v1alpha1.UserResult{}
	Each(slice, slice.Status.Results, func(user v1alpha1.User, result v1alpha1.UserResult, known bool) {
		if (!known || IsSent(user, result)) && has(user.Username) {
			news[user.Username] = v1alpha1.UserResult{Username: user.Username, Result: v1alpha1.ResultExisting}
		}
	})
	return Merge(slice, news), len(news)
}

// CountAsked counts the results whose users are pending again.
func CountAsked(results []v1alpha1.UserResult) (asked int32) {
	for i := range results {
		if results[i].Pending != "" {
			asked++
		}
	}
	return asked
}
