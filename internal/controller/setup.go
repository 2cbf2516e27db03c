// SPDX-License-Identifier: Apache-2.0

// Package controller wires the controllers and the sender together.
package controller

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/batch"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/credentials"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/index"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/metrics"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/namespaces"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/slice"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
)

const (
	// batchWorkers is greater than sliceWorkers so that, after a start, users are queued faster than results are recorded. Users
	// that are queued together share requests.
	batchWorkers = 8
	sliceWorkers = 4
	pollWorkers  = 4

	// reconcileTimeout bounds one reconcile. The slowest is planning a million users, which takes about a minute.
	reconcileTimeout = 10 * time.Minute

	// minErrorBackOff and maxErrorBackOff bound the back-off after a failed reconcile. Nearly all failures are outages of the API
	// server, which the default maximum of 16 minutes would outlast by far.
	minErrorBackOff = 50 * time.Millisecond
	maxErrorBackOff = 15 * time.Second

	// shutdownMargin is the time the process has, after the last request ends, to record its result.
	shutdownMargin = 10 * time.Second

	// eventSource is the reporting controller of events.
	eventSource = "embedded-user-operator"
)

// NewScheme returns a scheme with whole batches and slices, as clients of the API server use it.
func NewScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	return scheme
}

// Configure sets the manager options that the controllers rely on. Without namespaces the controllers watch all of them. It names the
// lease, unless the options do.
func Configure(options *manager.Options, o Options, watched ...string) {
	grace := o.RequestTimeout + shutdownMargin
	options.Scheme = runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(options.Scheme))
	utilruntime.Must(cached.AddToScheme(options.Scheme))
	options.GracefulShutdownTimeout = &grace
	set := slices.Compact(slices.Sorted(slices.Values(watched)))
	options.LeaderElectionID = cmp.Or(options.LeaderElectionID, leaseName(set))
	if len(set) > 0 {
		// Slices are first: that they were there before is noted before anything else has them reconciled.
		kinds := []client.Object{&cached.Slice{}, &cached.Batch{}, cached.Metadata(corev1.SchemeGroupVersion.WithKind("ConfigMap"))}
		if o.SecretPoll == 0 {
			kinds = append(kinds, cached.Metadata(cached.SecretKind))
		}
		options.NewCache = namespaces.Options{Names: set, Kinds: kinds}.NewCache
	}
	// This is safe because the process exits as soon as the manager stops.
	options.LeaderElectionReleaseOnCancel = true
	options.Cache.DefaultTransform = cached.Transform
	options.Cache.DefaultUnsafeDisableDeepCopy = new(true)
}

// leaseName returns the name of the lease, which replicas for the same set of namespaces share.
func leaseName(set []string) string {
	const name = "embedded-user-operator.embedded.runalloy.com"
	if len(set) == 0 {
		return name
	}
	sum := sha256.Sum256([]byte(strings.Join(set, ",")))
	return hex.EncodeToString(sum[:4]) + "." + name
}

// Options of the controllers.
type Options struct {
	API sender.API
	// RequestTimeout bounds a request to the API.
	RequestTimeout time.Duration
	Sender         sender.Options
	// MaxListMemory is the memory, in bytes, that the list of a batch may take while it is planned. The default is
	// batch.DefaultMaxListMemory.
	MaxListMemory int64
	// ResyncInterval is how often users are looked up whose batch does not say so itself. 0 for never.
	ResyncInterval time.Duration
	// RetryDelay is when users that the API rejected are sent a second time. The default is slice.DefaultRetryDelay.
	RetryDelay time.Duration
	// SecretPoll is the time between two reads of a Secret. 0 watches Secrets instead.
	SecretPoll time.Duration
	// Metrics is where to register the metrics of batches, the sender and the namespaces. Nil registers nothing.
	Metrics prometheus.Registerer
	// SkipNameValidation lets tests run several managers in one process.
	SkipNameValidation bool
}

// controller returns the options of a controller with so many workers.
func (o Options) controller(workers int) ctrlcontroller.Options {
	return ctrlcontroller.Options{
		MaxConcurrentReconciles: workers, ReconciliationTimeout: reconcileTimeout, SkipNameValidation: &o.SkipNameValidation,
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](minErrorBackOff, maxErrorBackOff),
	}
}

// Setup adds the controllers to a manager, and the check that it is ready.
func Setup(ctx context.Context, mgr ctrl.Manager, options Options) error {
	if err := index.Register(ctx, mgr.GetFieldIndexer()); err != nil {
		return fmt.Errorf("setting up the indexes: %w", err)
	}
	if err := show(mgr, options.Metrics); err != nil {
		return err
	}
	// The manager's own client and cache have the types of package cached.
	direct, err := client.New(mgr.GetConfig(), client.Options{
		Scheme: NewScheme(), HTTPClient: mgr.GetHTTPClient(), Mapper: mgr.GetRESTMapper(), FieldValidation: metav1.FieldValidationStrict,
	})
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	read, err := newReaders(mgr, direct, options, options.controller(pollWorkers))
	if err != nil {
		return err
	}
	keys := &credentials.Store{Live: read.live, Metadata: read.cache}
	ledgers := &slice.Reconciler{
		Client: read.live, Cache: read.cache, Secrets: read.secrets, Credentials: keys, Recorder: mgr.GetEventRecorder(eventSource),
		Options: slice.Options{
			RequestTimeout: options.RequestTimeout, RetryDelay: options.RetryDelay, Controller: options.controller(sliceWorkers),
		},
	}
	if options.Sender.Waited, err = waits(options.Metrics); err != nil {
		return err
	}
	missing, err := missingUsers(options.Metrics)
	if err != nil {
		return err
	}
	batches := &batch.Reconciler{
		Client: read.live, Cache: read.cache, Secrets: read.secrets, Credentials: keys, Recorder: mgr.GetEventRecorder(eventSource),
		Missing: missing,
		Options: batch.Options{
			MaxListMemory: cmp.Or(options.MaxListMemory, batch.DefaultMaxListMemory), ResyncInterval: options.ResyncInterval,
			Controller: options.controller(batchWorkers),
		},
	}
	options.Sender.RequestTimeout, options.Sender.Listed = options.RequestTimeout, func(fingerprint string) {
		batches.Listed(fingerprint)
		ledgers.Listed(fingerprint)
	}
	ledgers.Sender = sender.New(options.API, options.Sender, ledgers.Wake)
	batches.Fingerprint = ledgers.Sender.Fingerprint
	batches.List = listOf(ledgers.Sender) //nolint:contextcheck // a list that others wait for outlives a reconcile
	if err := ledgers.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up the slice controller: %w", err)
	}
	if err := batches.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("setting up the batch controller: %w", err)
	}
	return register(options.Metrics, metrics.Sources{
		Elected: mgr.Elected(), Batches: eachBatch(mgr.GetCache()), Sender: ledgers.Sender.Stats, ListMemory: batches.ListMemory,
		IsOverdue: batches.IsOverdue,
	})
}

// listOf returns the sender's lists as the batch controller wants them: an interface that holds a nil pointer would not be nil.
func listOf(s *sender.Sender) func(alloy.Key, time.Time, bool) batch.AccountList {
	return func(key alloy.Key, since time.Time, withIDs bool) batch.AccountList {
		if list := s.List(key, since, withIDs); list != nil {
			return list
		}
		return nil
	}
}
