// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/conditions"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/rejection"
)

const (
	// minRefusedBackOff and maxRefusedBackOff bound the back-off after the API server refused something. Nothing tells when a
	// quota or a policy changes, and planning a long list again takes a minute.
	minRefusedBackOff = time.Second
	maxRefusedBackOff = 5 * time.Minute
	// quietFailures is the number of failures of the API server in a row that do not show in the status. Most pass at once.
	quietFailures = 3
)

// obstacle is what keeps a list from being read or planned, for the status, and when to try again.
type obstacle struct {
	verdict *conditions.Verdict // nil for nothing
	retry   time.Duration       // 0 for not before an event
}

// refusal is an obstacle that the API server put in the way of a plan. Until it is tried again, events change nothing.
type refusal struct {
	plan    v1alpha1.PlanStatus
	listing listing
	verdict conditions.Verdict
	until   time.Time
}

// obstacle turns an error into an obstacle. It returns an error that may pass soon, or that leaves no batch to speak of.
func (r *Reconciler) obstacle(ctx context.Context, v view, l listing, err error) (obstacle, error) {
	if !errors.Is(err, errWaiting) {
		r.memory.cancel(v.name()) // others need not wait for this batch
	}
	var verdict conditions.Verdict
	var undecided *undecidedError
	switch {
	case errors.As(err, &undecided):
		verdict = conditions.Stalled(undecided.key.Reason, undecided.key.Message)
		return obstacle{verdict: &verdict}, nil
	case err == nil:
		r.refused.Forget(v.name())
		r.unfinished.update(v.batch, func(m *memo) { m.refusal = nil })
		return obstacle{}, nil
	case errors.Is(err, errWaiting):
		verdict = conditions.Progressing("Waiting for memory to read the list, because other long lists are being planned")
		return obstacle{verdict: &verdict}, nil
	case rejection.Is(err):
		verdict = conditions.Failing(v1alpha1.ReasonPlanRejected, "The API server refused a request: "+err.Error()+
			"; see the quotas, admission policies and roles of this namespace, and whether the operator's CRDs are up to date")
	case !rejection.IsAnswer(err), apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), r.refused.NumRequeues(v.name()) < quietFailures:
		if rejection.IsAnswer(err) {
			r.refused.When(v.name())
		}
		return obstacle{}, err
	default:
		verdict = conditions.Retrying("The API server failed: " + err.Error() + "; trying again")
	}
	retry := r.refused.When(v.name())
	r.unfinished.update(v.batch, func(m *memo) { m.refusal = &refusal{v.plan(), l, verdict, time.Now().Add(retry)} })
	// The API server's words may quote users.
	log.FromContext(ctx).Info("The API server refused to have the list planned", "reason", apierrors.ReasonForError(err), "retry", retry)
	return obstacle{&verdict, retry}, nil
}
