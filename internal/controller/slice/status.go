// SPDX-License-Identifier: Apache-2.0

package slice

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/conditions"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/credentials"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// state is everything that the status of a slice depends on.
type state struct {
	now     time.Time
	slice   *v1alpha1.EmbeddedUserSlice
	report  sender.Report
	results []v1alpha1.UserResult
	pending []users.User

	retryDelay time.Duration

	// Of the key, read only while users are pending, or to be sent a second time.
	problem     *credentials.Problem
	fingerprint string
}

// newState joins the results of a report to those of a slice. Users that the API rejects are sent a second time after the delay.
func newState(now time.Time, slice *v1alpha1.EmbeddedUserSlice, report sender.Report, retryDelay time.Duration) state {
	s := state{now: now, slice: slice, report: report, retryDelay: retryDelay}
	s.set(ledger.Merge(slice, wireResults(report.Results)))
	return s
}

func (s *state) set(results []v1alpha1.UserResult) {
	s.results, s.pending = results, ledger.Pending(s.slice, results)
}

// untried returns how many users are pending, unless a request for them failed: a slice whose users are refused must not keep its
// place in the window from others.
func (s state) untried() int {
	if failed := s.failed(); failed != nil && !failed.Waiting && !failed.KeyRejected && !failed.Isolating {
		return 0
	}
	return len(s.pending)
}

// unconfirmed returns the users among results who are only to be confirmed.
func unconfirmed(results []v1alpha1.UserResult) (usernames []string) {
	for i := range results {
		if results[i].Pending == v1alpha1.PendingUnconfirmed {
			usernames = append(usernames, results[i].Username)
		}
	}
	return usernames
}

// status returns the status that the slice should have, and whether it is worth a write. That a request is on its way is
// not: the batch's controller sees it from the generation that is not yet observed.
func (s state) status() (next v1alpha1.EmbeddedUserSliceStatus, write bool) {
	old := s.slice.Status
	if s.report.InFlight && len(s.slice.Spec.Users) == 0 {
		return old, false // an answer is still to come, and an empty slice whose status is current gets deleted
	}
	if len(s.pending) > 0 && s.problem == nil && s.failed() == nil && !s.report.News && s.failureHolds() &&
		slices.Equal(s.results, old.Results) {
		return old, false
	}
	next = v1alpha1.EmbeddedUserSliceStatus{
		ObservedGeneration: s.slice.Generation,
		Results:            s.results,
		Counts:             ledger.Count(s.slice, s.results),
		KeyCheck:           s.keyCheck(),
		RetryTime:          s.retryTime(),
	}
	if failed := s.failed(); failed != nil && !failed.Waiting && len(s.pending) > 0 && s.problem == nil {
		next.LastAttempt = &v1alpha1.Attempt{Time: seconds(failed.Time), Outcome: failure(failed).Reason}
		nextTime := seconds(failed.Next)
		next.NextAttemptTime = &nextTime
	}
	verdict := s.verdict(next.Counts)
	next.Conditions = conditions.Replace(old.Conditions, verdict.Conditions(), s.slice.Generation, s.now)

	if verdict.Reason == v1alpha1.ReasonProgressing {
		return next, needsSomebody(old) || !slices.Equal(next.Results, old.Results)
	}
	return next, !sameButForTime(next, old)
}

// needsSomebody reports whether a status says that the slice cannot proceed until somebody changes something.
func needsSomebody(status v1alpha1.EmbeddedUserSliceStatus) bool {
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	return meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionStalled) ||
		ready != nil && ready.Reason == v1alpha1.ReasonSecretNotFound
}

// sameButForTime compares two statuses; that a key was accepted once more is not worth a write.
func sameButForTime(next, old v1alpha1.EmbeddedUserSliceStatus) bool {
	if next.KeyCheck != nil && old.KeyCheck != nil {
		check := *next.KeyCheck
		check.Time = old.KeyCheck.Time
		next.KeyCheck = &check
	}
	return equality.Semantic.DeepEqual(next, old)
}

// verdict says where the slice stands.
func (s state) verdict(counts v1alpha1.UserCounts) conditions.Verdict {
	switch {
	case counts.Pending == 0 && counts.Invalid > 0:
		return conditions.Succeeded(v1alpha1.ReasonSucceededWithInvalidUsers, ledger.Describe(counts))
	case counts.Pending == 0:
		return conditions.Succeeded(v1alpha1.ReasonSucceeded, ledger.Describe(counts))
	case s.problem != nil && s.problem.Reason == v1alpha1.ReasonSecretNotFound: // only the batch knows for how long
		return conditions.Failing(s.problem.Reason, s.problem.Message)
	case s.problem != nil:
		return conditions.Stalled(s.problem.Reason, s.problem.Message)
	case s.failed() != nil:
		return failure(s.failed())
	case s.keyIs(v1alpha1.KeyRejected): // whatever has been edited since
		return conditions.Stalled(v1alpha1.ReasonUnauthorized, s.rejectionMessage())
	default:
		return conditions.Progressing(ledger.Describe(counts))
	}
}

// failed returns the last failure, unless it was another key's.
func (s state) failed() *sender.Attempt {
	failed := s.report.Failed
	if failed == nil || failed.KeyFingerprint != s.fingerprint {
		return nil
	}
	return failed
}

// failureHolds reports whether a failure that a status shows, perhaps written by an earlier process, is still the last that
// is known.
func (s state) failureHolds() bool {
	ready := meta.FindStatusCondition(s.slice.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || s.slice.Status.ObservedGeneration != s.slice.Generation {
		return false
	}
	switch ready.Reason {
	case v1alpha1.ReasonRetrying, v1alpha1.ReasonRequestRejected, v1alpha1.ReasonUnexpectedRedirect:
		return true
	case v1alpha1.ReasonUnauthorized:
		return s.keyIs(v1alpha1.KeyRejected)
	default:
		return false
	}
}

// keyCheck is what the API last said of a key that was sent for this slice.
func (s state) keyCheck() *v1alpha1.KeyCheck {
	old, failed := s.slice.Status.KeyCheck, s.report.Failed
	switch {
	case failed != nil && failed.KeyRejected:
		return &v1alpha1.KeyCheck{Fingerprint: failed.KeyFingerprint, Result: v1alpha1.KeyRejected, Time: seconds(failed.Time)}
	case s.report.AcceptedKey == "":
		return old
	default:
		return &v1alpha1.KeyCheck{Fingerprint: s.report.AcceptedKey, Result: v1alpha1.KeyAccepted, Time: seconds(s.report.AcceptedAt)}
	}
}

// keyIs reports whether the API last gave a result for the very key that is in the Secret now.
func (s state) keyIs(result v1alpha1.KeyResult) bool {
	check := s.keyCheck()
	return check != nil && check.Result == result && check.Fingerprint == s.fingerprint
}

// nextAttempt returns when an earlier process would have tried again, unless the key is another one since.
func (s state) nextAttempt() time.Time {
	check, next := s.slice.Status.KeyCheck, s.slice.Status.NextAttemptTime
	if next == nil || check != nil && check.Fingerprint != s.fingerprint {
		return time.Time{}
	}
	return next.Time
}

// rejectionMessage repeats what was said of the rejected key.
func (s state) rejectionMessage() string {
	ready := meta.FindStatusCondition(s.slice.Status.Conditions, v1alpha1.ConditionReady)
	if ready != nil && ready.Reason == v1alpha1.ReasonUnauthorized {
		return ready.Message
	}
	return "The Alloy API rejected the key" + credentials.RejectedHint
}

// failure says what a failed attempt means for the slice, and whose turn it is.
func failure(attempt *sender.Attempt) conditions.Verdict {
	answer := attempt.Answer
	explained := answer.Explain()
	if attempt.Isolating {
		return conditions.Retrying(explained + "; trying smaller requests, to find the users that it is about")
	}
	switch answer.Outcome {
	case alloy.Forbidden:
		return conditions.Stalled(v1alpha1.ReasonUnauthorized, explained+forbiddenHint)
	case alloy.Unauthorized:
		return conditions.Stalled(v1alpha1.ReasonUnauthorized,
			explained+credentials.RejectedHint)
	case alloy.Redirected:
		return conditions.Stalled(v1alpha1.ReasonUnexpectedRedirect,
			explained+"; it is not followed, because the API key would travel with it; correct the operator's --alloy-url")
	case alloy.Absent:
		return conditions.Stalled(v1alpha1.ReasonRequestRejected, explained+absentHint)
	case alloy.TooLarge, alloy.Refused:
		return conditions.Stalled(v1alpha1.ReasonRequestRejected,
			explained+"; "+rejectionHint(answer.StatusCode))
	default:
		return conditions.Retrying(explained + "; trying again")
	}
}

const forbiddenHint = "; put a valid API key into the Secret, check what the key may do, " +
	"and whether a gateway in between refuses these users"

const absentHint = "; a user whose fullName is to be written is not there any more; " +
	"set the annotation " + v1alpha1.AnnotationReconcileAt + " of the batch to another value to have its users looked up"

// rejectionHint names the likely cause of a request that was refused as a whole.
func rejectionHint(status int) string {
	switch status {
	case 402:
		return "check the plan and the payments of the Alloy account"
	case 404, 405, 410:
		return "check the operator's --alloy-url"
	case 413:
		return "the request is too large for the API"
	default:
		return "check the users of this batch, and the operator's --alloy-api-version"
	}
}

// wireResults turns the sender's results into those of the ledger.
func wireResults(results map[string]sender.Result) map[string]v1alpha1.UserResult {
	wire := make(map[string]v1alpha1.UserResult, len(results))
	for username, result := range results {
		entry := v1alpha1.UserResult{Username: username}
		switch result.State {
		case sender.Created:
			entry.Result = v1alpha1.ResultCreated
			if result.WasAbsent { // the operator owns it
				entry.Hash = users.Hash(result.Sent)
			}
		case sender.Identified:
			entry.Result = v1alpha1.ResultCreated
			if result.UserID != "" {
				entry.UserID, entry.Hash = result.UserID, users.Hash(result.Sent)
			}
		case sender.Existing:
			entry.Result = v1alpha1.ResultExisting
			if result.Unconfirmed {
				entry.Reason = v1alpha1.ReasonUnconfirmedAttempt
			}
		case sender.Invalid:
			entry.Result = v1alpha1.ResultInvalid
			entry.Reason = string(v1alpha1.InvalidReasonRejectedByAPI)
			entry.Hash = users.Hash(result.Sent)
			entry.Message = conditions.Shorten(result.Message, maxResultMessage)
		}
		wire[username] = entry
	}
	return wire
}

// maxResultMessage is the most characters kept of what the API said of a user.
const maxResultMessage = 100

// seconds cuts a time to what is stored, so that a status can be compared with what was read back.
func seconds(t time.Time) metav1.Time { return metav1.NewTime(t.Truncate(time.Second)) }
