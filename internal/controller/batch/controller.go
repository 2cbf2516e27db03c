// Package batch is the controller of EmbeddedUserBatch: it spreads the users of a batch over EmbeddedUserSlices, and sums up
// in the batch's status what the slices say. It never calls the Alloy API.
//
// A list of users is in memory only while it is planned. What a status says of it is kept, and marked with a digest of the
// list and the slices that it was made from.
package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	applyv1alpha1 "github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/credentials"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/index"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/redact"
)

// fieldOwner owns the status of batches in server-side apply.
const fieldOwner = client.FieldOwner("embeddeduserbatch-controller")

// Reconciler reconciles EmbeddedUserBatches.
type Reconciler struct {
	client.Client               // reads from the cache, which has no long lists
	Live          client.Reader // reads from the API server
	Metadata      client.Reader // reads the metadata of ConfigMaps and Secrets from the cache
	Credentials   *credentials.Store
	Recorder      events.EventRecorder
	// Fingerprint identifies an API key at the API that is used.
	Fingerprint func(alloy.Key) string
	// Controller options, such as the number of workers.
	Controller controller.Options

	written cached.Writes // statuses
	planned cached.Writes // slices
	memory  memory
	large   chan struct{} // holds a token while a long list is in memory
}

var _ reconcile.Reconciler = (*Reconciler)(nil)

// +kubebuilder:rbac:groups=embedded.runalloy.com,resources=embeddeduserbatches,verbs=get;list;watch
// +kubebuilder:rbac:groups=embedded.runalloy.com,resources=embeddeduserbatches/status,verbs=patch
// +kubebuilder:rbac:groups=embedded.runalloy.com,resources=embeddeduserbatches/finalizers,verbs=update
// +kubebuilder:rbac:groups=embedded.runalloy.com,resources=embeddeduserslices,verbs=get;list;watch;create;update;delete
// +kubebuilder:rbac:groups="",resources=configmaps;secrets,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager registers the controller. It watches batches, their slices, and ConfigMaps and Secrets as metadata only.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if r.Client == nil || r.Live == nil || r.Metadata == nil || r.Credentials == nil || r.Recorder == nil || r.Fingerprint == nil {
		return errors.New("one of Client, Live, Metadata, Credentials, Recorder and Fingerprint is not set")
	}
	r.large = make(chan struct{}, 1)
	// Status updates are not filtered out: the one that this controller wrote may not be the one that it wants to be last.
	err := ctrl.NewControllerManagedBy(mgr).
		Named("embeddeduserbatch").
		WithOptions(r.Controller).
		For(&v1alpha1.EmbeddedUserBatch{}).
		Watches(&v1alpha1.EmbeddedUserSlice{}, ownerOf()).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.batchesBy(index.KeyRef, index.SecretSource))).
		WatchesMetadata(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(r.batchesBy(index.ConfigMapSource))).
		Complete(r)
	if err != nil {
		return fmt.Errorf("building the controller: %w", err)
	}
	return nil
}

// Reconcile plans the slices of a batch and sums them up. The cache decides only that there is nothing to plan: then the
// digest in the batch's status is that of what the cache holds.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	s, err := r.observe(ctx, req)
	if err != nil {
		return reconcile.Result{}, err
	}
	if s == nil {
		return reconcile.Result{RequeueAfter: cached.Allowance}, nil // an event will come long before
	}
	var later time.Duration
	switch {
	case s.gone:
		return reconcile.Result{}, nil
	case !s.isPlanned():
		if wait, err := r.plan(ctx, s); err != nil || s.gone || wait > 0 {
			return reconcile.Result{RequeueAfter: wait}, err
		}
	case !s.isListed():
		if later, err = r.relist(ctx, s); err != nil || s.gone {
			return reconcile.Result{}, err
		}
	}
	key, problem, err := r.Credentials.Read(ctx, s.batch.Namespace, s.batch.Spec.APIKeySecretRef)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("getting the API key: %w", err)
	}
	s.problem, s.fingerprint = problem, r.Fingerprint(key)
	wait, err := r.writeStatus(ctx, s)
	return reconcile.Result{RequeueAfter: soonest(later, wait)}, err
}

// shortly is when a batch is looked at again that had to wait for another one, or for the cache.
const shortly = 500 * time.Millisecond

// soonest is the smaller of two delays, of which 0 is none.
func soonest(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// observe reads a batch and its slices from the cache. It returns nil when the cache does not have yet what this process
// wrote. A batch that is gone, or going, is marked so: the garbage collector takes its slices, and its users stay.
func (r *Reconciler) observe(ctx context.Context, req reconcile.Request) (*state, error) {
	s := &state{batch: &v1alpha1.EmbeddedUserBatch{}}
	err := client.IgnoreNotFound(r.Get(ctx, req.NamespacedName, s.batch))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the batch: %w", err)
	case s.batch.UID == "", !s.batch.DeletionTimestamp.IsZero():
		r.written.Forget(req.NamespacedName)
		r.planned.Forget(req.NamespacedName)
		r.memory.forget(req.NamespacedName)
		s.gone = true
		return s, nil
	}
	var list v1alpha1.EmbeddedUserSliceList
	if err := r.List(ctx, &list, client.InNamespace(req.Namespace), client.MatchingFields{index.Owner: string(s.batch.UID)}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the slices: %w", err)
	}
	s.slices = owned(list.Items, s.batch)
	objects := make([]client.Object, len(s.slices))
	for i := range s.slices {
		objects[i] = &s.slices[i]
	}
	if r.memory.isAhead(s.batch) || r.written.AreAhead(req.NamespacedName, s.batch) || r.planned.AreAhead(req.NamespacedName, objects...) {
		return nil, nil //nolint:nilnil // no state that could be used is an answer, not a failure
	}
	versions, err := r.sourceVersions(ctx, s.batch)
	if err != nil {
		return nil, err
	}
	s.digest = digest(s.batch, versions, s.slices)
	s.listing = listingOf(s.batch)
	if learned, ok := r.memory.recall(s.batch); ok && s.listing.digest != s.digest {
		s.listing = learned
	}
	return s, nil
}

// writeStatus applies the batch's status if it has changed, and tells what is new about it. What only shows progress waits
// until it is due, for the time that is returned.
func (r *Reconciler) writeStatus(ctx context.Context, s *state) (wait time.Duration, err error) {
	old, status := s.batch.Status, s.status()
	if equality.Semantic.DeepEqual(old, status) {
		if status.Counts.Pending == 0 {
			r.memory.forget(client.ObjectKeyFromObject(s.batch))
		}
		return 0, nil
	}
	if wait := r.memory.pace(s.batch, status); wait > 0 {
		return wait, nil
	}
	encoded, err := json.Marshal(status)
	if err != nil {
		return 0, fmt.Errorf("encoding the status: %w", err)
	}
	applied := applyv1alpha1.EmbeddedUserBatchStatus()
	if err := json.Unmarshal(encoded, applied); err != nil {
		return 0, fmt.Errorf("decoding the status: %w", err)
	}
	config := applyv1alpha1.EmbeddedUserBatch(s.batch.Name, s.batch.Namespace).WithUID(s.batch.UID).WithStatus(applied)
	if err := r.Status().Apply(ctx, config, fieldOwner, client.ForceOwnership); err != nil {
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // gone, or made again under its name
			return 0, nil
		}
		if isTooLarge(err) {
			r.Recorder.Eventf(s.batch, nil, corev1.EventTypeWarning, v1alpha1.ReasonStatusTooLarge, actionCreateUsers,
				"The list leaves no room for the status within etcd's limit of 1.5 MiB for an object; spread it over two batches. Until then see the EmbeddedUserSlices")
		}
		return 0, fmt.Errorf("writing the status: %w", redact.Error(err))
	}
	r.written.Note(client.ObjectKeyFromObject(s.batch), s.batch, *config.ResourceVersion)
	for _, n := range notices(old.Conditions, status.Conditions) {
		r.Recorder.Eventf(s.batch, nil, n.kind, n.reason, actionCreateUsers, "%s", n.message)
	}
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	log.FromContext(ctx).Info("Updated status of EmbeddedUserBatch", "reason", ready.Reason, "created", status.Counts.Created, "existing", status.Counts.Existing,
		"invalid", status.Counts.Invalid, "pending", status.Counts.Pending, "slices", status.Slices.Total)
	return 0, nil
}

// isTooLarge tells whether etcd refused an object for its size. The API server passes that on as an error without a class.
func isTooLarge(err error) bool {
	return apierrors.IsRequestEntityTooLargeError(err) || strings.Contains(err.Error(), "request is too large")
}
