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

// minRejectedBackOff and maxRejectedBackOff bound the back-off after the API server refused something. Nothing tells when a
// quota or a policy changes, and planning a long list again takes a minute.
const (
	minRejectedBackOff = time.Second
	maxRejectedBackOff = 5 * time.Minute
)

// obstacle is what keeps a list from being read or planned, for the status, and when to try again.
type obstacle struct {
	verdict *conditions.Verdict // nil for nothing
	retry   time.Duration       // 0 for not before an event
}

// obstacle turns an error into an obstacle. It returns an error that may pass soon, or that leaves no batch to speak of.
func (r *Reconciler) obstacle(ctx context.Context, v view, err error) (obstacle, error) {
	if !errors.Is(err, errWaiting) {
		r.memory.cancel(v.name()) // others need not wait for this batch
	}
	switch {
	case err == nil:
		r.rejected.Forget(v.name())
		return obstacle{}, nil
	case errors.Is(err, errWaiting):
		verdict := conditions.Progressing("Waiting for memory to read the list, because other long lists are being planned")
		return obstacle{verdict: &verdict}, nil
	case errors.Is(err, errGone), errors.Is(err, errCacheBehind), !rejection.Is(err):
		return obstacle{}, err
	}
	verdict := conditions.Failing(v1alpha1.ReasonPlanRejected, "The API server refused a request: "+err.Error()+
		"; see the quotas, admission policies and roles of this namespace, and whether the operator's CRDs are up to date")
	retry := r.rejected.When(v.name())
	// The API server's words may quote users.
	log.FromContext(ctx).Info("The API server refused to have the list planned", "reason", apierrors.ReasonForError(err), "retry", retry)
	return obstacle{&verdict, retry}, nil
}
