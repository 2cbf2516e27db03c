// Package batch is the controller of EmbeddedUserBatch: it distributes the users of a batch over EmbeddedUserSlices and
// aggregates their statuses into the batch's status. It never calls the Alloy API.
//
// A list of users is in memory only while it is planned. The status keeps what it says about the list, together with a digest
// of the list and the slices.
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

const fieldOwner = client.FieldOwner("embeddeduserbatch-controller")

// Reconciler reconciles EmbeddedUserBatches.
type Reconciler struct {
	client.Client               // its cache has no long lists
	Live          client.Reader // of the API server
	Metadata      client.Reader // of the cached metadata of ConfigMaps and Secrets
	Credentials   *credentials.Store
	Recorder      events.EventRecorder
	// Fingerprint returns the fingerprint of an API key.
	Fingerprint func(alloy.Key) string
	Controller  controller.Options

	written cached.Writes // of statuses
	planned cached.Writes // of slices
	memory  memory
	large   chan struct{} // semaphore: holds an element while a long list is in memory
}

var _ reconcile.Reconciler = (*Reconciler)(nil)

// +kubebuilder:rbac:groups=embedded.runalloy.com,resources=embeddeduserbatches,verbs=get;list;watch
// +kubebuilder:rbac:groups=embedded.runalloy.com,resources=embeddeduserbatches/status,verbs=patch
// +kubebuilder:rbac:groups=embedded.runalloy.com,resources=embeddeduserbatches/finalizers,verbs=update
// +kubebuilder:rbac:groups=embedded.runalloy.com,resources=embeddeduserslices,verbs=get;list;watch;create;update;delete
// +kubebuilder:rbac:groups="",resources=configmaps;secrets,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager registers the controller. It watches batches and their slices, and the metadata of ConfigMaps and Secrets.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if r.Client == nil || r.Live == nil || r.Metadata == nil || r.Credentials == nil || r.Recorder == nil || r.Fingerprint == nil {
		return errors.New("one of Client, Live, Metadata, Credentials, Recorder and Fingerprint is not set")
	}
	r.large = make(chan struct{}, 1)
	// Status updates are not filtered out, because somebody else may overwrite the status.
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

// Reconcile plans the slices of a batch and updates the batch's status. It skips planning only if the digest in the status
// matches the cache.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	s, err := r.observe(ctx, req)
	if err != nil {
		return reconcile.Result{}, err
	}
	if s == nil {
		return reconcile.Result{RequeueAfter: cached.Allowance}, nil // an event should arrive long before
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
		if later, err = r.refreshListing(ctx, s); err != nil || s.gone {
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

// requeueDelay is the delay before a batch is reconciled again that had to wait for another batch or for the cache.
const requeueDelay = 500 * time.Millisecond

// soonest returns the shorter of two delays; 0 means none.
func soonest(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// observe reads a batch and its slices from the cache. It returns nil if the cache does not have this process's own writes
// yet. It marks a batch that is deleted or being deleted as gone: the garbage collector deletes its slices, and its users stay.
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
		return nil, nil //nolint:nilnil // a stale cache is not a failure
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

// writeStatus applies the batch's status if it has changed, and records events. Updates that only show progress are rate
// limited: the result is the time until such an update is due.
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
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // deleted, or recreated under the same name
			return 0, nil
		}
		if isTooLarge(err) {
			r.Recorder.Eventf(s.batch, nil, corev1.EventTypeWarning, v1alpha1.ReasonStatusTooLarge, actionCreateUsers,
				"The status does not fit beside the list within etcd's limit of 1.5 MiB for an object; split the list into two batches. Until then see the EmbeddedUserSlices")
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

// isTooLarge reports whether etcd refused an object for its size. The API server may return that as an untyped error.
func isTooLarge(err error) bool {
	return apierrors.IsRequestEntityTooLargeError(err) || strings.Contains(err.Error(), "request is too large")
}
