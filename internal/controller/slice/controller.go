// SPDX-License-Identifier: Apache-2.0

// Package slice is the controller of EmbeddedUserSlice: it hands pending users to the sender, and writes down what became of
// them. It never waits for the API; the sender wakes it.
package slice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/budget"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/credentials"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/rejection"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/waiting"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
)

// safetyNet is when a slice with pending users is looked at again although nothing happened. The sender wakes it long
// before; this only bounds the harm of a mistake.
const safetyNet = 10 * time.Minute

// fewUsers is the number of pending users below which a slice needs no place in the window: they take little memory, and share
// requests.
const fewUsers = 100

// actionRecord is the action of the controller's events.
const actionRecord = "RecordResults"

// Reconciler reconciles EmbeddedUserSlices.
type Reconciler struct {
	Client      client.Client                            // of the API server
	Cache       client.Reader                            // has the types of package cached
	Secrets     func(handler.EventHandler) source.Source // of changes of Secrets
	Credentials *credentials.Store
	Sender      *sender.Sender
	Recorder    events.EventRecorder
	Options     Options

	versions  cached.Versions
	window    *budget.Window
	inherited inheritance
	waiting   waiting.Set
	queue     workqueue.TypedRateLimitingInterface[reconcile.Request]
}

// Options of a Reconciler.
type Options struct {
	// RequestTimeout bounds a request to the Alloy API; users that another process may have sent wait so long.
	RequestTimeout time.Duration
	// RetryDelay is when users that the API rejected are sent a second time. The default is DefaultRetryDelay.
	RetryDelay time.Duration
	// Controller options, such as the number of workers.
	Controller controller.Options
}

var _ reconcile.Reconciler = (*Reconciler)(nil)

// +kubebuilder:rbac:groups=embedded.runalloy.com,resources=embeddeduserslices,verbs=get;list;watch
// +kubebuilder:rbac:groups=embedded.runalloy.com,resources=embeddeduserslices/status,verbs=update
// +kubebuilder:rbac:groups=embedded.runalloy.com,resources=embeddeduserbatches,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch

// SetupWithManager registers the controller. It watches slices, the end of batches, and Secrets.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	if r.Client == nil || r.Cache == nil || r.Secrets == nil || r.Credentials == nil || r.Sender == nil || r.Recorder == nil ||
		r.Options.RequestTimeout <= 0 {
		return errors.New("one of Client, Cache, Secrets, Credentials, Sender, Recorder and RequestTimeout is not set")
	}
	r.Options.RetryDelay = cmp.Or(r.Options.RetryDelay, DefaultRetryDelay)
	if err := mgr.Add(drain{r}); err != nil {
		return fmt.Errorf("adding the shutdown step: %w", err)
	}
	err := ctrl.NewControllerManagedBy(mgr).
		Named("embeddeduserslice").
		WithOptions(r.Options.Controller).
		WatchesRawSource(source.Func(r.start)). // like every source it has started before the first reconcile
		Watches(&cached.Slice{}, r.handler()).
		Watches(&cached.Batch{}, handler.EnqueueRequestsFromMapFunc(r.slicesOfBatch), builder.WithPredicates(decides)).
		WatchesRawSource(r.Secrets(handler.EnqueueRequestsFromMapFunc(r.slicesOfSecret))).
		Complete(r)
	if err != nil {
		return fmt.Errorf("building the controller: %w", err)
	}
	return nil
}

// Reconcile records what the sender knows of a slice's users, and hands over those that are pending.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	slice, report, later, err := r.open(ctx, req)
	if err != nil || slice == nil {
		return reconcile.Result{RequeueAfter: later}, err
	}
	batch, err := r.owner(ctx, slice)
	if err != nil {
		return reconcile.Result{}, err
	}
	if batch == nil {
		r.window.Leave(req.NamespacedName)
		r.Sender.Forget(req.Namespace, req.Name) // if another batch adopts it, its users may be another account's
		return reconcile.Result{}, nil
	}

	if len(slice.Spec.Users) == 0 || batch.SendsNothing() { // before the report, which says whether a request can still be running
		r.Sender.Withdraw(idOf(slice))
		report = r.Sender.Report(idOf(slice))
	}
	state, key, maySend, keyErr := r.assess(ctx, slice, batch, report)
	// Results are recorded even if the key cannot be read: until then they are only in memory.
	if err := r.record(ctx, state); err != nil {
		return reconcile.Result{}, err
	}
	if keyErr != nil {
		return reconcile.Result{}, fmt.Errorf("getting the API key: %w", keyErr)
	}
	if len(state.pending) == 0 || !maySend { // an event tells when it may
		r.window.Leave(req.NamespacedName)
		r.Sender.Withdraw(idOf(slice))
		return reconcile.Result{RequeueAfter: until(state.retryTime(), state.now)}, nil
	}
	return r.submit(req, state, key), nil //nolint:contextcheck // a list that others wait for outlives a reconcile
}

// assess joins what is known of a slice, and says whether its users may be sent, with which key. The error is that of reading the key.
func (r *Reconciler) assess(
	ctx context.Context, slice *v1alpha1.EmbeddedUserSlice, batch *cached.Batch, report sender.Report,
) (s state, key alloy.Key, maySend bool, err error) {
	s = newState(time.Now(), slice, report, r.Options.RetryDelay)
	if len(s.pending) == 0 && !s.retryIsDue() {
		return s, key, false, nil
	}
	if key, s.problem, err = r.Credentials.Read(ctx, slice.Namespace, slice.Spec.APIKeySecretRef); err != nil {
		return s, key, false, err //nolint:wrapcheck // the caller says what failed
	}
	s.fingerprint = r.Sender.Fingerprint(key)
	maySend = s.problem == nil && !batch.SendsNothing() && !batch.AwaitsApproval(s.fingerprint)
	if maySend && s.retryIsDue() {
		s.retry()
	}
	return s, key, maySend, nil
}

// open reads a slice on which there is work, and what the sender knows of its users. The copy in the cache will do if it can be
// had whole and holds what this process wrote last; else the slice is read from the API server: no user is sent on the strength
// of a copy in which its result is missing. A slice without work is nil; there may be some later.
func (r *Reconciler) open(
	ctx context.Context, req reconcile.Request,
) (*v1alpha1.EmbeddedUserSlice, sender.Report, time.Duration, error) {
	var slice cached.Slice
	if err := r.Cache.Get(ctx, req.NamespacedName, &slice); apierrors.IsNotFound(err) {
		r.forget(req)
		return nil, sender.Report{}, 0, nil
	} else if err != nil {
		return nil, sender.Report{}, 0, fmt.Errorf("looking up the slice: %w", err)
	}
	report := r.Sender.Report(idOf(&slice))
	isAhead := r.versions.AreAhead(req.NamespacedName, &slice)
	if !isAhead && !report.News {
		if rests, later := r.rests(ctx, &slice, report.InFlight); rests {
			return nil, report, later, nil
		}
	}
	if whole, ok := slice.Whole(); ok && !isAhead {
		return whole, report, 0, nil
	}
	whole, report, err := r.read(ctx, req)
	return whole, report, 0, err
}

// rests reports whether there is no work on a slice of which the sender knows nothing new; there may be some later.
func (r *Reconciler) rests(ctx context.Context, slice *cached.Slice, inFlight bool) (rests bool, later time.Duration) {
	name, isObserved := client.ObjectKeyFromObject(slice), slice.ObservedGeneration == slice.Generation
	later = until(slice.RetryTime, time.Now())
	isDue := slice.RetryTime != nil && later == 0
	switch {
	case isObserved && slice.Counts.Pending == 0 && !isDue:
		r.inherited.drop(slice.UID) // nothing in it is in doubt, and what is added from now on is ours
	case !inFlight && (slice.Counts.Pending > 0 || isObserved && isDue) && r.isStopped(ctx, slice):
		later = 0 // an event tells when its users may be sent
	case !inFlight && r.window.Waits(name):
		return true, 0
	default:
		return false, 0
	}
	r.window.Leave(name)
	return true, later
}

// read reads a slice from the API server, and what the sender knows of its users. A slice that is gone is nil, and forgotten.
func (r *Reconciler) read(ctx context.Context, req reconcile.Request) (*v1alpha1.EmbeddedUserSlice, sender.Report, error) {
	var slice v1alpha1.EmbeddedUserSlice
	if err := r.Client.Get(ctx, req.NamespacedName, &slice); apierrors.IsNotFound(err) {
		r.forget(req)
		return nil, sender.Report{}, nil
	} else if err != nil {
		return nil, sender.Report{}, fmt.Errorf("reading the slice: %w", err)
	}
	r.versions.Note(req.NamespacedName, &slice) // even if it is older than what was written, because etcd was restored
	return &slice, r.Sender.Report(idOf(&slice)), nil
}

func (r *Reconciler) forget(req reconcile.Request) {
	r.window.Leave(req.NamespacedName)
	r.Sender.Forget(req.Namespace, req.Name)
	r.versions.Forget(req.NamespacedName)
}

// record writes the status of a slice if it should be another, and lets the sender forget what is written. The write
// carries the resourceVersion that was read, so that of two copies of the operator only one can succeed.
func (r *Reconciler) record(ctx context.Context, s state) error {
	status, write := s.status()
	if write {
		updated := s.slice.DeepCopy()
		updated.Status = status
		if err := r.Client.Status().Update(ctx, updated); err != nil {
			if rejection.Is(err) {
				r.event(s.slice, v1alpha1.ReasonStatusRejected,
					"The API server refuses to record results; see the admission policies, and whether the operator's CRDs are up to date")
			}
			return fmt.Errorf("recording results: %w", rejection.Redact(err))
		}
		r.versions.Note(client.ObjectKeyFromObject(updated), updated)
		ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
		log.FromContext(ctx).V(1).Info("Recorded results of EmbeddedUserSlice", "reason", ready.Reason,
			"created", status.Counts.Created, "existing", status.Counts.Existing, "invalid", status.Counts.Invalid, "pending", status.Counts.Pending)
	}
	if s.report.Unmatched {
		r.event(s.slice, v1alpha1.ReasonUnmatchedInvalidUsers,
			"The Alloy API named a user as invalid that the request did not hold; looking up all users of the request")
	}
	r.Sender.Recorded(idOf(s.slice), s.report)
	return nil
}

// event records a warning about the batch that owns a slice.
func (r *Reconciler) event(slice *v1alpha1.EmbeddedUserSlice, reason, note string) {
	owner := metav1.GetControllerOf(slice)
	batch := &cached.Batch{ObjectMeta: metav1.ObjectMeta{Namespace: slice.Namespace, Name: owner.Name, UID: owner.UID}}
	r.Recorder.Eventf(batch, &cached.Slice{ObjectMeta: slice.ObjectMeta}, corev1.EventTypeWarning, reason, actionRecord, "%s", note)
}

func idOf(slice metav1.Object) sender.ID {
	return sender.ID{Namespace: slice.GetNamespace(), Name: slice.GetName(), UID: string(slice.GetUID())}
}
