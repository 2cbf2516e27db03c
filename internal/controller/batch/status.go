package batch

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/conditions"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/credentials"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// maxNamed is how many invalid users a condition's message names.
const maxNamed = 3

// state is everything that the status of a batch depends on.
type state struct {
	batch  *v1alpha1.EmbeddedUserBatch
	list   users.List
	slices []v1alpha1.EmbeddedUserSlice

	problem     *credentials.Problem // why there is no key
	fingerprint string               // of the key, if there is one
}

// status is what the batch's status shall be: rebuilt from scratch each time, so that nothing stays that is no longer true.
func (s state) status() v1alpha1.EmbeddedUserBatchStatus {
	counts, invalid := s.count()
	status := v1alpha1.EmbeddedUserBatchStatus{
		ObservedGeneration: s.batch.Generation,
		Counts:             counts,
		InvalidUsers:       listed(invalid),
	}
	status.InvalidUsersOmitted = int32(len(invalid) - len(status.InvalidUsers)) //nolint:gosec // at most MaxInlineUsers
	for i := range s.slices {
		status.Slices.Total++
		if s.isReady(&s.slices[i]) {
			status.Slices.Ready++
		}
	}
	shown := s.verdict(counts, invalid).Conditions()
	shown = append(shown, usersCreated(counts), usersInvalid(invalid), s.credentialsValid())
	status.Conditions = conditions.Replace(s.batch.Status.Conditions, shown, s.batch.Generation)
	return status
}

// count counts the users of the list, each once, by what the slices say of it; and names the invalid ones in the order of
// the list. Facts about a user hold whichever generation of a slice they were recorded under.
func (s state) count() (v1alpha1.UserCounts, []v1alpha1.InvalidUser) {
	var results []v1alpha1.UserResult
	for i := range s.slices {
		results = append(results, s.slices[i].Status.Results...)
	}
	index := ledger.Index(results)

	var counts v1alpha1.UserCounts
	var invalid []v1alpha1.InvalidUser
	for _, row := range s.list.Valid {
		result, known := index[row.Username]
		before := counts.Invalid
		ledger.Tally(&counts, v1alpha1.User(row.User), result, known)
		if counts.Invalid > before {
			invalid = append(invalid, v1alpha1.InvalidUser{
				Username: row.Username, Row: int32(row.Index), Reason: v1alpha1.InvalidReason(result.Reason), //nolint:gosec // below MaxInlineUsers
				Message: rejected(result),
			})
		}
	}
	for _, row := range s.list.Duplicates {
		counts.Total++
		counts.Invalid++
		invalid = append(invalid, v1alpha1.InvalidUser{
			Username: row.Username, Row: int32(row.Index), Reason: v1alpha1.InvalidReasonDuplicateUsername, //nolint:gosec // below MaxInlineUsers
			Message: "An earlier row has this username with another fullName and is used; remove one of the two",
		})
	}
	slices.SortFunc(invalid, func(a, b v1alpha1.InvalidUser) int { return int(a.Row - b.Row) })
	return counts, invalid
}

// rejected says why a user that the API did not take is invalid.
func rejected(result v1alpha1.UserResult) string {
	if result.Message != "" {
		return fmt.Sprintf("The API refused this user: %s; correct the row or remove it", result.Message)
	}
	return "The API did not take this user and holds none with exactly this username; correct the row or remove it"
}

// maxListedBytes bounds the list of invalid users: the status is stored together with a spec that may be as large as etcd
// allows.
const maxListedBytes = 32 << 10

// listed is the part of the invalid users for which the status has room.
func listed(invalid []v1alpha1.InvalidUser) []v1alpha1.InvalidUser {
	bytes := 0
	for i, user := range invalid {
		bytes += users.Size(users.User{Username: user.Username, FullName: user.Message}) + len(user.Reason)
		if i == v1alpha1.MaxInvalidUsers || bytes > maxListedBytes {
			return invalid[:i]
		}
	}
	return invalid
}

// isReady tells whether no user of a slice is pending.
func (s state) isReady(slice *v1alpha1.EmbeddedUserSlice) bool {
	return slice.Status.ObservedGeneration == slice.Generation &&
		meta.IsStatusConditionTrue(slice.Status.Conditions, v1alpha1.ConditionReady)
}

// verdict says where the batch stands. While anything can proceed by itself it is not stalled.
func (s state) verdict(counts v1alpha1.UserCounts, invalid []v1alpha1.InvalidUser) conditions.Verdict {
	switch {
	case counts.Pending > 0 && s.problem != nil:
		return conditions.Stalled(s.problem.Reason, s.problem.Message)
	case counts.Pending > 0:
		return s.worstOfSlices(conditions.Progressing(progress(counts)))
	case len(invalid) > 0 && s.batch.Spec.InvalidUserPolicy == v1alpha1.InvalidUserPolicyIgnore:
		return conditions.Succeeded(v1alpha1.ReasonSucceededWithInvalidUsers,
			ledger.Describe(counts)+"; the invalid ones are ignored, see status.invalidUsers")
	case len(invalid) > 0:
		return conditions.Stalled(v1alpha1.ReasonInvalidUsers,
			ledger.Describe(counts)+"; correct or remove the invalid ones, see status.invalidUsers")
	default:
		return conditions.Succeeded(v1alpha1.ReasonSucceeded, ledger.Describe(counts))
	}
}

// stalledReasons are the reasons for which a slice can be stalled, the most urgent first.
var stalledReasons = []string{
	v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonInvalidCredentials, v1alpha1.ReasonUnauthorized,
	v1alpha1.ReasonRequestRejected, v1alpha1.ReasonUnexpectedRedirect,
}

// worstOfSlices says where those slices stand that are not ready: retrying, if one is; progressing, if one can proceed;
// else stalled, for the most urgent reason.
func (s state) worstOfSlices(progressing conditions.Verdict) conditions.Verdict {
	var retrying, stalled *metav1.Condition
	proceeds := len(s.slices) == 0
	for i := range s.slices {
		slice := &s.slices[i]
		if s.isReady(slice) {
			continue
		}
		ready := meta.FindStatusCondition(slice.Status.Conditions, v1alpha1.ConditionReady)
		switch {
		case ready == nil || slice.Status.ObservedGeneration != slice.Generation:
			proceeds = true
		case ready.Reason == v1alpha1.ReasonRetrying:
			retrying = ready
		case s.outdated(slice, ready), !slices.Contains(stalledReasons, ready.Reason):
			proceeds = true
		case stalled == nil || slices.Index(stalledReasons, ready.Reason) < slices.Index(stalledReasons, stalled.Reason):
			stalled = ready
		}
	}
	switch {
	case retrying != nil:
		return conditions.Retrying(retrying.Message)
	case stalled != nil && !proceeds:
		return conditions.Stalled(stalled.Reason, stalled.Message)
	default:
		return progressing
	}
}

// outdated tells whether a slice is stalled for a reason that is gone: the Secret was mended, or holds another key.
func (s state) outdated(slice *v1alpha1.EmbeddedUserSlice, ready *metav1.Condition) bool {
	switch ready.Reason {
	case v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonInvalidCredentials:
		return true // the batch's own look found a key
	case v1alpha1.ReasonUnauthorized:
		return slice.Status.KeyCheck == nil || slice.Status.KeyCheck.Fingerprint != s.fingerprint
	default:
		return false
	}
}

func usersCreated(counts v1alpha1.UserCounts) metav1.Condition {
	if counts.Pending > 0 {
		return conditions.New(v1alpha1.ConditionUsersCreated, metav1.ConditionFalse, v1alpha1.ReasonUsersPending, ledger.Describe(counts))
	}
	return conditions.New(v1alpha1.ConditionUsersCreated, metav1.ConditionTrue, v1alpha1.ReasonAllUsersExist, ledger.Describe(counts))
}

func usersInvalid(invalid []v1alpha1.InvalidUser) metav1.Condition {
	if len(invalid) == 0 {
		return conditions.New(v1alpha1.ConditionUsersInvalid, metav1.ConditionFalse, v1alpha1.ReasonNoInvalidUsers, "No user is invalid")
	}
	named := make([]string, 0, maxNamed)
	for _, user := range invalid[:min(len(invalid), maxNamed)] {
		named = append(named, fmt.Sprintf("%q in row %d (%s)", user.Username, user.Row, user.Reason))
	}
	message := fmt.Sprintf("%d invalid: %s", len(invalid), strings.Join(named, ", "))
	if more := len(invalid) - len(named); more > 0 {
		message += fmt.Sprintf(" and %d more", more)
	}
	return conditions.New(v1alpha1.ConditionUsersInvalid, metav1.ConditionTrue, v1alpha1.ReasonInvalidUsers, message)
}

// credentialsValid tells what the API last said of the key that is in the Secret now.
func (s state) credentialsValid() metav1.Condition {
	if s.problem != nil {
		return conditions.New(v1alpha1.ConditionCredentialsValid, metav1.ConditionFalse, s.problem.Reason, s.problem.Message)
	}
	var last *v1alpha1.EmbeddedUserSlice
	for i := range s.slices {
		check := s.slices[i].Status.KeyCheck
		if check != nil && check.Fingerprint == s.fingerprint && (last == nil || last.Status.KeyCheck.Time.Before(&check.Time)) {
			last = &s.slices[i]
		}
	}
	switch {
	case last == nil:
		return conditions.New(v1alpha1.ConditionCredentialsValid, metav1.ConditionUnknown, v1alpha1.ReasonCredentialsNotTried, "The Alloy API has not answered a request with this key")
	case last.Status.KeyCheck.Result == v1alpha1.KeyAccepted:
		return conditions.New(v1alpha1.ConditionCredentialsValid, metav1.ConditionTrue, v1alpha1.ReasonCredentialsAccepted, "The Alloy API accepted the key")
	}
	message := "The Alloy API rejected the key; put a valid API key into the Secret, it is used as soon as it changes"
	if ready := meta.FindStatusCondition(last.Status.Conditions, v1alpha1.ConditionReady); ready != nil && ready.Reason == v1alpha1.ReasonUnauthorized {
		message = ready.Message
	}
	return conditions.New(v1alpha1.ConditionCredentialsValid, metav1.ConditionFalse, v1alpha1.ReasonUnauthorized, message)
}

// progress says how far the batch is.
func progress(counts v1alpha1.UserCounts) string {
	return fmt.Sprintf("%d of %d users done: %s", counts.Total-counts.Pending, counts.Total, ledger.Describe(counts))
}
