// Package controller puts the controllers and the sender together.
package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/batch"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/index"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/slice"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
)

const (
	workers = 4

	// reconcileTimeout bounds one reconcile; a batch of 10,000 users, the longest, takes well below a second.
	reconcileTimeout = time.Minute

	// minErrorBackOff and maxErrorBackOff bound the wait after a reconcile that failed, which is nearly always because the API
	// server was away. The default maximum of 16 minutes would outlast the outage by far.
	minErrorBackOff = 50 * time.Millisecond
	maxErrorBackOff = 15 * time.Second

	// shutdownMargin is what the process gets beyond the time of a request to record its result.
	shutdownMargin = 10 * time.Second

	// eventSource is the name under which events are reported.
	eventSource = "embedded-user-operator"
)

// NewScheme knows the kinds that the operator works with.
func NewScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	return scheme
}

// Configure sets the manager's options that the controllers rely on.
func Configure(options *manager.Options, requestTimeout time.Duration) {
	grace := requestTimeout + shutdownMargin
	options.Scheme = NewScheme()
	options.GracefulShutdownTimeout = &grace
	options.LeaderElectionID = "embedded-user-operator.embedded.runalloy.com"
	// The process ends as soon as the manager has stopped, so the next one need not wait for the lease to run out.
	options.LeaderElectionReleaseOnCancel = true
	options.Cache.DefaultTransform = stripMetadata
	// A Secret in the cache would be every Secret of the cluster in memory. They are watched as metadata, and read live.
	options.Client.Cache = &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}
	options.Client.FieldValidation = "Strict"
}

// stripMetadata keeps out of memory what nobody reads. An annotation of a Secret can hold its data: kubectl's
// last-applied-configuration does.
func stripMetadata(object any) (any, error) {
	if metadata, ok := object.(*metav1.PartialObjectMetadata); ok {
		metadata.Annotations = nil
	}
	return cache.TransformStripManagedFields()(object)
}

// Options of the controllers.
type Options struct {
	API sender.API
	// RequestTimeout is the time that the API takes at most for a request.
	RequestTimeout time.Duration
	Sender         sender.Options
	// SkipNameValidation allows several managers in one process, for tests.
	SkipNameValidation bool
}

// Setup adds the controllers to a manager.
func Setup(ctx context.Context, mgr ctrl.Manager, options Options) error {
	controllerOptions := func() ctrlcontroller.Options {
		return ctrlcontroller.Options{
			MaxConcurrentReconciles: workers, ReconciliationTimeout: reconcileTimeout, SkipNameValidation: &options.SkipNameValidation,
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](minErrorBackOff, maxErrorBackOff),
		}
	}
	if err := index.Register(ctx, mgr.GetFieldIndexer()); err != nil {
		return fmt.Errorf("setting up the indexes: %w", err)
	}
	slices := &slice.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(),
		Options: slice.Options{RequestTimeout: options.RequestTimeout, ProbeDelay: options.Sender.ProbeDelay, Controller: controllerOptions()},
	}
	options.Sender.RequestTimeout = options.RequestTimeout
	slices.Sender = sender.New(options.API, options.Sender, slices.Wake)
	if err := slices.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up the slice controller: %w", err)
	}
	batches := &batch.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder(eventSource),
		Fingerprint: slices.Sender.Fingerprint, Controller: controllerOptions(),
	}
	if err := batches.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up the batch controller: %w", err)
	}
	return nil
}
