// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"slices"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/conditions"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
)

// verdict returns the verdict on the batch, which is not stalled while any of its slices can proceed. It does not know for how long
// something has been missing; see patient.
func (f facts) verdict(counts v1alpha1.UserCounts) conditions.Verdict {
	switch {
	case f.obstacle != nil:
		return *f.obstacle
	case f.found.approval != "":
		return *f.found.verdict
	case f.listing.total > 0:
		return conditions.Progressing(progress(counts))
	case counts.Pending > 0:
		return f.verdictOnPending(counts)
	case f.listing.problem != nil:
		return f.listing.problem.Verdict
	case counts.Invalid > 0 && f.batch.InvalidUserPolicy == v1alpha1.InvalidUserPolicyIgnore:
		return conditions.Succeeded(v1alpha1.ReasonSucceededWithInvalidUsers,
			ledger.Describe(counts)+"; the invalid ones are ignored, see status.invalidUsers")
	case counts.Invalid > 0:
		return conditions.Stalled(v1alpha1.ReasonInvalidUsers,
			ledger.Describe(counts)+"; correct or remove the invalid ones, see status.invalidUsers")
	default:
		return conditions.Succeeded(v1alpha1.ReasonSucceeded, ledger.Describe(counts))
	}
}

// verdictOnPending returns the verdict on a batch with pending users.
func (f facts) verdictOnPending(counts v1alpha1.UserCounts) conditions.Verdict {
	switch {
	case f.batch.Suspend:
		return suspended(counts)
	case f.found.verdict != nil:
		return *f.found.verdict
	case f.batch.Mode == v1alpha1.ModeObserve && f.key.problem == nil:
		return observed(counts)
	default:
		return f.worstOfSlices(conditions.Progressing(progress(counts)))
	}
}

// stalledReasons lists the reasons for which a slice cannot proceed, the most urgent first. The last three are the batch's.
var stalledReasons = []string{
	v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonInvalidCredentials, v1alpha1.ReasonUnauthorized,
	v1alpha1.ReasonRequestRejected, v1alpha1.ReasonUnexpectedRedirect,
	v1alpha1.ReasonSourceNotFound, v1alpha1.ReasonSourceUnreadable, v1alpha1.ReasonListTooLarge,
}

// worstOfSlices returns the verdict on the slices that are not ready: retrying if one is, progressing if one can proceed, else
// the most urgent reason. While many cannot proceed, the others wait for them.
func (f facts) worstOfSlices(progressing conditions.Verdict) conditions.Verdict {
	var retrying, worst *conditions.Verdict
	proceeds, stuck := false, 0
	for i := range f.slices {
		if isReady(&f.slices[i]) {
			continue
		}
		switch verdict := f.verdictOn(&f.slices[i]); {
		case verdict == nil:
			proceeds = true
		case verdict.Reason == v1alpha1.ReasonRetrying:
			retrying = verdict
		default:
			stuck++
			if worst == nil || slices.Index(stalledReasons, verdict.Reason) < slices.Index(stalledReasons, worst.Reason) {
				worst = verdict
			}
		}
	}
	switch {
	case retrying != nil:
		return *retrying
	case worst != nil && (!proceeds || stuck >= ledger.MaxSubmitted):
		return *worst
	default:
		return progressing
	}
}

// verdictOn returns the verdict on a slice whose pending users cannot be sent; nil if they can.
func (f facts) verdictOn(slice *cached.Slice) *conditions.Verdict {
	hasKey := slice.APIKeySecretRef.WithDefaultKey() == f.batch.APIKeySecretRef.WithDefaultKey()
	var verdict conditions.Verdict
	switch ready := slice.Ready; {
	case hasKey && f.key.problem != nil:
		verdict = conditions.Stalled(f.key.problem.Reason, f.key.problem.Message)
	case ready == nil || slice.ObservedGeneration != slice.Generation:
		return nil
	case ready.Reason == v1alpha1.ReasonRetrying:
		verdict = conditions.Retrying(ready.Message)
	case !slices.Contains(stalledReasons, ready.Reason):
		return nil
	case !hasKey && f.listing.problem != nil: // the slice gets the batch's key once the list can be read
		verdict = f.listing.problem.Verdict
	case f.outdated(slice):
		return nil
	default:
		verdict = conditions.Stalled(ready.Reason, ready.Message)
	}
	return &verdict
}

// outdated reports whether a slice is stalled for a reason that no longer holds: the Secret was fixed or has another key.
func (f facts) outdated(slice *cached.Slice) bool {
	switch slice.Ready.Reason {
	case v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonInvalidCredentials:
		return true // this reconcile found a key
	case v1alpha1.ReasonUnauthorized:
		return slice.KeyCheck != nil && slice.KeyCheck.Fingerprint != f.key.fingerprint
	default:
		return false
	}
}
