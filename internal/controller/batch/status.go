package batch

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/conditions"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/credentials"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/ledger"
)

// maxNamed is the maximum number of invalid users that a condition's message names.
const maxNamed = 3

// state is everything that the status of a batch depends on.
type state struct {
	batch   *v1alpha1.EmbeddedUserBatch
	gone    bool
	slices  []v1alpha1.EmbeddedUserSlice // as cached, without long lists
	digest  string                       // of the cached batch, sources and slices
	listing listing

	problem     *credentials.Problem // why there is no key
	fingerprint string               // of the key, if there is one
}

// isPlanned reports whether the slices match the list.
func (s *state) isPlanned() bool {
	return isPlanned(s.listing.digest, s.digest) && !s.any(func(slice *v1alpha1.EmbeddedUserSlice) bool {
		return slice.DeletionTimestamp.IsZero() && cached.IsEmpty(slice) && slice.Status.ObservedGeneration == slice.Generation
	})
}

// any reports whether match returns true for one of the slices.
func (s *state) any(match func(*v1alpha1.EmbeddedUserSlice) bool) bool {
	for i := range s.slices {
		if match(&s.slices[i]) {
			return true
		}
	}
	return false
}

// isListed reports whether the slices match the list and the rows of all refused users are known.
func (s *state) isListed() bool { return s.listing.digest == s.digest }

// status returns the desired status of the batch. It is built from scratch so that nothing stale remains.
func (s state) status() v1alpha1.EmbeddedUserBatchStatus {
	counts := count(s.slices)
	counts.Total += s.listing.flawed
	counts.Invalid += s.listing.flawed
	status := v1alpha1.EmbeddedUserBatchStatus{
		ObservedGeneration: s.batch.Generation,
		Counts:             counts,
		InvalidUsers:       s.listing.invalid[:min(len(s.listing.invalid), int(counts.Invalid))],
		Digest:             s.listing.stored(),
	}
	status.InvalidUsersOmitted = counts.Invalid - int32(len(status.InvalidUsers)) //nolint:gosec // at most MaxInvalidUsers
	for i := range s.slices {
		status.Slices.Total++
		if s.isReady(&s.slices[i]) {
			status.Slices.Ready++
		}
	}
	shown := s.verdict(counts).Conditions()
	shown = append(shown, s.usersCreated(counts), usersInvalid(counts, status.InvalidUsers), s.credentialsValid())
	if len(s.batch.Spec.UsersFrom) > 0 {
		shown = append(shown, s.sourcesRead())
	}
	status.Conditions = conditions.Replace(s.batch.Status.Conditions, shown, s.batch.Generation)
	return status
}

// count counts the users of some slices by state. Results of an older generation of a slice count, because they still hold. A
// slice that is being deleted does not, because its users are planned into another one.
func count(list []v1alpha1.EmbeddedUserSlice) (counts v1alpha1.UserCounts) {
	for i := range list {
		if !list[i].DeletionTimestamp.IsZero() {
			continue
		}
		c := cached.Counts(&list[i])
		counts.Total += c.Total
		counts.Created += c.Created
		counts.Existing += c.Existing
		counts.Invalid += c.Invalid
		counts.Pending += c.Pending
	}
	return counts
}

// isReady reports whether no user of a slice is pending.
func (s state) isReady(slice *v1alpha1.EmbeddedUserSlice) bool {
	return slice.Status.ObservedGeneration == slice.Generation &&
		meta.IsStatusConditionTrue(slice.Status.Conditions, v1alpha1.ConditionReady)
}

// verdict returns the verdict on the batch, which is not stalled while any of its slices can proceed.
func (s state) verdict(counts v1alpha1.UserCounts) conditions.Verdict {
	switch {
	case counts.Pending > 0 && s.problem != nil:
		return conditions.Stalled(s.problem.Reason, s.problem.Message)
	case counts.Pending > 0:
		return s.worstOfSlices(conditions.Progressing(progress(counts)))
	case s.listing.problem != nil:
		return *s.listing.problem
	case counts.Invalid > 0 && s.batch.Spec.InvalidUserPolicy == v1alpha1.InvalidUserPolicyIgnore:
		return conditions.Succeeded(v1alpha1.ReasonSucceededWithInvalidUsers,
			ledger.Describe(counts)+"; the invalid ones are ignored, see status.invalidUsers")
	case counts.Invalid > 0:
		return conditions.Stalled(v1alpha1.ReasonInvalidUsers,
			ledger.Describe(counts)+"; correct or remove the invalid ones, see status.invalidUsers")
	default:
		return conditions.Succeeded(v1alpha1.ReasonSucceeded, ledger.Describe(counts))
	}
}

// stalledReasons lists the reasons for which a slice can be stalled, the most urgent first.
var stalledReasons = []string{
	v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonInvalidCredentials, v1alpha1.ReasonUnauthorized,
	v1alpha1.ReasonRequestRejected, v1alpha1.ReasonUnexpectedRedirect,
}

// worstOfSlices returns the verdict on the slices that are not ready: retrying if one is, progressing if one can proceed,
// else stalled for the most urgent reason.
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

// outdated reports whether a slice is stalled for a reason that no longer holds: the Secret was fixed or has another key.
func (s state) outdated(slice *v1alpha1.EmbeddedUserSlice, ready *metav1.Condition) bool {
	switch ready.Reason {
	case v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonInvalidCredentials:
		return true // this reconcile found a key
	case v1alpha1.ReasonUnauthorized:
		return slice.Status.KeyCheck != nil && slice.Status.KeyCheck.Fingerprint != s.fingerprint
	default:
		return false
	}
}

func (s state) usersCreated(counts v1alpha1.UserCounts) metav1.Condition {
	if s.listing.problem != nil {
		return conditions.New(v1alpha1.ConditionUsersCreated, metav1.ConditionFalse, s.listing.problem.Reason, ledger.Describe(counts)+" of the list as it was last read")
	}
	if counts.Pending > 0 {
		return conditions.New(v1alpha1.ConditionUsersCreated, metav1.ConditionFalse, v1alpha1.ReasonUsersPending, ledger.Describe(counts))
	}
	return conditions.New(v1alpha1.ConditionUsersCreated, metav1.ConditionTrue, v1alpha1.ReasonAllUsersExist, ledger.Describe(counts))
}

func (s state) sourcesRead() metav1.Condition {
	if problem := s.listing.problem; problem != nil {
		return conditions.New(v1alpha1.ConditionSourcesRead, metav1.ConditionFalse, problem.Reason, problem.Message)
	}
	return conditions.New(v1alpha1.ConditionSourcesRead, metav1.ConditionTrue, v1alpha1.ReasonSourcesRead, "Every list that spec.usersFrom names was read")
}

func usersInvalid(counts v1alpha1.UserCounts, invalid []v1alpha1.InvalidUser) metav1.Condition {
	if counts.Invalid == 0 {
		return conditions.New(v1alpha1.ConditionUsersInvalid, metav1.ConditionFalse, v1alpha1.ReasonNoInvalidUsers, "No user is invalid")
	}
	named := make([]string, 0, maxNamed)
	for _, user := range invalid[:min(len(invalid), maxNamed)] {
		where := fmt.Sprintf("row %d", user.Row)
		if user.Source != nil {
			where += fmt.Sprintf(" of %s %s, %s", user.Source.Kind, user.Source.Name, user.Source.Key)
		}
		named = append(named, fmt.Sprintf("%q in %s (%s)", user.Username, where, user.Reason))
	}
	message := fmt.Sprintf("%d invalid", counts.Invalid)
	if len(named) > 0 {
		message += ": " + strings.Join(named, ", ")
		if more := int(counts.Invalid) - len(named); more > 0 {
			message += fmt.Sprintf(" and %d more", more)
		}
	}
	return conditions.New(v1alpha1.ConditionUsersInvalid, metav1.ConditionTrue, v1alpha1.ReasonInvalidUsers, message)
}

// credentialsValid returns the condition for the API's last verdict on the key that is in the Secret now.
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

func progress(counts v1alpha1.UserCounts) string {
	return fmt.Sprintf("%d of %d users done: %s", counts.Total-counts.Pending, counts.Total, ledger.Describe(counts))
}
