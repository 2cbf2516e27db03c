// Package batch is the controller of EmbeddedUserBatch: it spreads the users of a batch over EmbeddedUserSlices, and sums up
// in the batch's status what the slices say. It never calls the Alloy API.
package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

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
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/credentials"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/index"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/redact"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// fieldOwner owns the status of batches in server-side apply.
const fieldOwner = client.FieldOwner("embeddeduserbatch-controller")

// Reconciler reconciles EmbeddedUserBatches.
type Reconciler struct {
	client.Client               // reads from the cache
	Live          client.Reader // reads from the API server
	Recorder      events.EventRecorder
	// Fingerprint identifies an API key at the API that is used.
	Fingerprint func(alloy.Key) string
	// Controller options, such as the number of workers.
	Controller controller.Options

	written writes
}

var _ reconcile.Reconciler = (*Reconciler)(nil)

// +kubebuilder:rbac:groups=embedded.runalloy.com,resources=embeddeduserbatches,verbs=get;list;watch
// +kubebuilder:rbac:groups=embedded.runalloy.com,resources=embeddeduserbatches/status,verbs=patch
// +kubebuilder:rbac:groups=embedded.runalloy.com,resources=embeddeduserbatches/finalizers,verbs=update
// +kubebuilder:rbac:groups=embedded.runalloy.com,resources=embeddeduserslices,verbs=get;list;watch;create;update;delete
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager registers the controller. It watches batches, their slices, and Secrets as metadata only.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if r.Client == nil || r.Live == nil || r.Recorder == nil || r.Fingerprint == nil {
		return errors.New("one of Client, Live, Recorder and Fingerprint is not set")
	}
	// Status updates are not filtered out: the one that this controller wrote may not be the one that it wants to be last.
	err := ctrl.NewControllerManagedBy(mgr).
		Named("embeddeduserbatch").
		WithOptions(r.Controller).
		For(&v1alpha1.EmbeddedUserBatch{}).
		Owns(&v1alpha1.EmbeddedUserSlice{}).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.batchesOfSecret)).
		Complete(r)
	if err != nil {
		return fmt.Errorf("building the controller: %w", err)
	}
	return nil
}

func (r *Reconciler) batchesOfSecret(ctx context.Context, secret client.Object) []reconcile.Request {
	var list v1alpha1.EmbeddedUserBatchList
	if err := r.List(ctx, &list, client.InNamespace(secret.GetNamespace()), client.MatchingFields{index.KeyRef: secret.GetName()}, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "Failed to list the batches of a Secret")
		return nil
	}
	requests := make([]reconcile.Request, len(list.Items))
	for i := range list.Items {
		requests[i].NamespacedName = client.ObjectKeyFromObject(&list.Items[i])
	}
	return requests
}

// Reconcile plans the slices of a batch and sums them up. The cache decides only that there is nothing to write to them;
// before anything is written, batch and slices are read from the API server and planned again.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	state, err := r.observe(ctx, r.Client, req)
	if err != nil || state == nil {
		return reconcile.Result{}, err
	}
	if !newPlan(state.batch, state.list.Valid, state.slices).isEmpty() {
		if state, err = r.observe(ctx, r.Live, req); err != nil || state == nil {
			return reconcile.Result{}, err
		}
		if err := r.carryOut(ctx, state, newPlan(state.batch, state.list.Valid, state.slices)); err != nil {
			return reconcile.Result{}, err
		}
	}
	key, problem, err := credentials.Read(ctx, r.Live, state.batch.Namespace, state.batch.Spec.APIKeySecretRef)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("getting the API key: %w", err)
	}
	state.problem, state.fingerprint = problem, r.Fingerprint(key)
	return reconcile.Result{}, r.writeStatus(ctx, state)
}

// observe reads a batch and its slices. It returns nil for a batch that is gone, or going: the garbage collector takes its
// slices, and its users stay.
func (r *Reconciler) observe(ctx context.Context, reader client.Reader, req reconcile.Request) (*state, error) {
	var batch v1alpha1.EmbeddedUserBatch
	if err := reader.Get(ctx, req.NamespacedName, &batch); apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // no batch is an answer, not a failure
	} else if err != nil {
		return nil, fmt.Errorf("reading the batch: %w", err)
	}
	if !batch.DeletionTimestamp.IsZero() {
		return nil, nil //nolint:nilnil // see above
	}
	if reader == r.Client && r.written.isAhead(&batch) {
		return nil, nil //nolint:nilnil // the event that brings the written status is still to come
	}
	owned, err := r.slicesOf(ctx, reader, &batch)
	if err != nil {
		return nil, err
	}
	return &state{batch: &batch, list: users.Canonicalize(rowsOf(&batch)), slices: owned}, nil
}

// writeStatus applies the batch's status if it has changed, and tells what is new about it.
func (r *Reconciler) writeStatus(ctx context.Context, s *state) error {
	old, status := s.batch.Status, s.status()
	if equality.Semantic.DeepEqual(old, status) {
		return nil
	}
	encoded, err := json.Marshal(status)
	if err != nil {
		return fmt.Errorf("encoding the status: %w", err)
	}
	applied := applyv1alpha1.EmbeddedUserBatchStatus()
	if err := json.Unmarshal(encoded, applied); err != nil {
		return fmt.Errorf("decoding the status: %w", err)
	}
	config := applyv1alpha1.EmbeddedUserBatch(s.batch.Name, s.batch.Namespace).WithUID(s.batch.UID).WithStatus(applied)
	if err := r.Status().Apply(ctx, config, fieldOwner, client.ForceOwnership); err != nil {
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // gone, or made again under its name
			return nil
		}
		if isTooLarge(err) {
			r.Recorder.Eventf(s.batch, nil, corev1.EventTypeWarning, v1alpha1.ReasonStatusTooLarge, actionCreateUsers,
				"The list leaves no room for the status within etcd's limit of 1.5 MiB for an object; spread it over two batches. Until then see the EmbeddedUserSlices")
		}
		return fmt.Errorf("writing the status: %w", redact.Error(err))
	}
	r.written.note(s.batch.UID, *config.ResourceVersion)
	for _, n := range notices(old.Conditions, status.Conditions) {
		r.Recorder.Eventf(s.batch, nil, n.kind, n.reason, actionCreateUsers, "%s", n.message)
	}
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	log.FromContext(ctx).Info("Updated status of EmbeddedUserBatch", "reason", ready.Reason, "created", status.Counts.Created, "existing", status.Counts.Existing,
		"invalid", status.Counts.Invalid, "pending", status.Counts.Pending, "slices", status.Slices.Total)
	return nil
}

// isTooLarge tells whether etcd refused an object for its size. The API server passes that on as an error without a class.
func isTooLarge(err error) bool {
	return apierrors.IsRequestEntityTooLargeError(err) || strings.Contains(err.Error(), "request is too large")
}

func rowsOf(batch *v1alpha1.EmbeddedUserBatch) []users.User {
	rows := make([]users.User, len(batch.Spec.Users))
	for i, user := range batch.Spec.Users {
		rows[i] = users.User(user)
	}
	return rows
}
