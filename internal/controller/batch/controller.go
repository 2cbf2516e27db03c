// SPDX-License-Identifier: Apache-2.0

// Package batch is the controller of EmbeddedUserBatch: it distributes the users of a batch over EmbeddedUserSlices and
// summarizes their statuses in the batch's status. It never calls the Alloy API.
//
// A list of users is in memory only while it is planned. The status keeps what it says about the list, together with the plan
// for which the list was read.
package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/credentials"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/index"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/rejection"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/waiting"
)

const fieldOwner = client.FieldOwner("embeddeduserbatch-controller")

// Reconciler reconciles EmbeddedUserBatches. Every exported field must be set.
type Reconciler struct {
	Client      client.Client                            // of the API server
	Cache       client.Reader                            // has the types of package cached, and metadata of ConfigMaps and Secrets
	Secrets     func(handler.EventHandler) source.Source // of changes of Secrets
	Credentials *credentials.Store
	Recorder    events.EventRecorder
	Fingerprint func(alloy.Key) string // of an API key
	// List returns the list of the users of a key's account that began at a time or later; nil if it is still to be read. Listed is to
	// be called when it was.
	List    func(key alloy.Key, since time.Time, withIDs bool) AccountList
	Missing func(users int) // counts users that existed and are missing
	Options Options

	versions   cached.Versions
	unfinished unfinished
	reports    reports
	memory     memory
	waiting    waiting.Set
	queue      workqueue.TypedRateLimitingInterface[reconcile.Request]
	began      time.Time
	refused    workqueue.TypedRateLimiter[types.NamespacedName] // back-off of batches whose plan the API server refuses
	unwritten  workqueue.TypedRateLimiter[types.NamespacedName] // and of those whose status it refuses
}

// Options of a Reconciler.
type Options struct {
	// MaxListMemory is the memory, in bytes, that a list may take while it is read and planned.
	MaxListMemory int64
	// ResyncInterval is how often the users of a batch are looked up that does not say so itself; 0 for never.
	ResyncInterval time.Duration
	// Controller options, such as the number of workers.
	Controller controller.Options
}

var _ reconcile.Reconciler = (*Reconciler)(nil)

// A test of test/rbac shows that each of these rights is used. docs/operator.md says what for.
// +kubebuilder:rbac:groups=embedded.runalloy.com,resources=embeddeduserbatches,verbs=get;list;watch
// +kubebuilder:rbac:groups=embedded.runalloy.com,resources=embeddeduserbatches/status,verbs=patch
// +kubebuilder:rbac:groups=embedded.runalloy.com,resources=embeddeduserbatches/finalizers,verbs=update
// +kubebuilder:rbac:groups=embedded.runalloy.com,resources=embeddeduserslices,verbs=get;list;watch;create;update;delete
// +kubebuilder:rbac:groups=embedded.runalloy.com,resources=embeddeduserslices/status,verbs=update
// +kubebuilder:rbac:groups="",resources=configmaps;secrets,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager registers the controller. It watches batches and their slices, the metadata of ConfigMaps, and Secrets.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if r.Client == nil || r.Cache == nil || r.Secrets == nil || r.Credentials == nil || r.Recorder == nil || r.Fingerprint == nil ||
		r.List == nil || r.Missing == nil || r.Options.MaxListMemory <= 0 {
		return errors.New("one of Client, Cache, Secrets, Credentials, Recorder, Fingerprint, List, Missing and MaxListMemory is not set")
	}
	r.refused = workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](minRefusedBackOff, maxRefusedBackOff)
	r.unwritten = workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](minRefusedBackOff, maxRefusedBackOff)
	r.began = time.Now()
	r.memory = newMemory(r.Options.MaxListMemory, func(name types.NamespacedName) { r.queue.Add(reconcile.Request{NamespacedName: name}) })
	// Status updates are not filtered out, because somebody else may overwrite the status.
	err := ctrl.NewControllerManagedBy(mgr).
		Named("embeddeduserbatch").
		WithOptions(r.Options.Controller).
		WatchesRawSource(source.Func(func(_ context.Context, own workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			r.queue = own
			return nil // like every source it starts before the first reconcile
		})).
		For(&cached.Batch{}).
		Watches(&cached.Slice{}, batchOf()).
		WatchesRawSource(r.Secrets(handler.EnqueueRequestsFromMapFunc(r.batchesBy(index.KeyRef, index.SecretSource)))).
		WatchesMetadata(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(r.batchesBy(index.ConfigMapSource))).
		Complete(r)
	if err != nil {
		return fmt.Errorf("building the controller: %w", err)
	}
	return nil
}

// Reconcile distributes the list of a batch over slices, unless they match it, and updates the batch's status.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	seen, err := r.load(ctx, req.NamespacedName)
	if err != nil {
		return r.leave(req.NamespacedName, err)
	}
	untold := r.reportForeign(seen)
	if past := r.unfinished.refusalOf(seen); past != nil && time.Now().Before(past.until) {
		wait, err := r.showRefusal(ctx, seen, past)
		return reconcile.Result{RequeueAfter: soonest(time.Until(past.until), wait, untold)}, err
	}
	seen, listing, later, err := r.distribute(ctx, seen)
	key, keyErr := r.readKey(ctx, seen.batch)
	if keyErr != nil && (errors.Is(err, errWaiting) || err == nil && count(seen.slices).Pending > 0) {
		err = keyErr
	}
	obstacle, err := r.obstacle(ctx, seen, listing, err)
	if err != nil {
		return r.leave(req.NamespacedName, err)
	}
	found, err := r.confirm(ctx, seen, key, obstacle)
	if err != nil {
		return r.leave(req.NamespacedName, err)
	}
	now := time.Now()
	status := summarize(facts{view: seen, listing: listing, obstacle: obstacle.verdict, key: key, found: found, now: now})
	wait, err := r.write(ctx, seen.batch, status)
	if err = errors.Join(err, rejection.Redact(keyErr)); err != nil {
		return reconcile.Result{}, err
	}
	again := soonest(later, obstacle.retry, wait, untold, untilStalled(status.Conditions, now))
	if again == 0 && status.Counts.Pending == 0 && listing.problem == nil && obstacle.verdict == nil {
		r.unfinished.forget(req.NamespacedName)
	}
	return reconcile.Result{RequeueAfter: soonest(again, found.later)}, nil
}

// showRefusal writes the status of a batch whose plan the API server has refused, and which is not to be planned yet.
func (r *Reconciler) showRefusal(ctx context.Context, v view, past *refusal) (wait time.Duration, err error) {
	key, _ := r.readKey(ctx, v.batch) // what failed shows already
	return r.write(ctx, v.batch, summarize(facts{view: v, listing: past.listing, obstacle: &past.verdict, key: key, now: time.Now()}))
}

// leave ends a reconcile that cannot go on.
func (r *Reconciler) leave(name types.NamespacedName, err error) (reconcile.Result, error) {
	switch {
	case errors.Is(err, errGone):
		r.versions.Forget(name)
		r.unfinished.forget(name)
		r.reports.forget(name)
		r.memory.cancel(name)
		r.refused.Forget(name)
		r.unwritten.Forget(name)
		return reconcile.Result{}, nil
	case errors.Is(err, errCacheBehind):
		return reconcile.Result{RequeueAfter: cached.Allowance}, nil // an event should arrive long before
	default:
		return reconcile.Result{}, rejection.Redact(err) //nolint:wrapcheck // it says what failed
	}
}

func (r *Reconciler) readKey(ctx context.Context, batch *cached.Batch) (keyFacts, error) {
	key, problem, err := r.Credentials.Read(ctx, batch.Namespace, batch.APIKeySecretRef)
	if err != nil {
		return keyFacts{isUnread: true}, fmt.Errorf("getting the API key: %w", err)
	}
	return keyFacts{key: key, problem: problem, fingerprint: r.Fingerprint(key)}, nil
}

// soonest returns the shortest of some delays; 0 means none.
func soonest(delays ...time.Duration) time.Duration {
	some := slices.DeleteFunc(delays, func(delay time.Duration) bool { return delay <= 0 })
	if len(some) == 0 {
		return 0
	}
	return slices.Min(some)
}
