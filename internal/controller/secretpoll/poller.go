// SPDX-License-Identifier: Apache-2.0

// Package secretpoll notices changes of Secrets for an operator that may get them, but not list and watch them: it gets the metadata of
// each Secret that a batch or slice refers to once per interval, however many refer to it.
package secretpoll

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/index"
)

// jitter is by how much of the interval a wait is longer, at most, so that Secrets that were first read together do not stay so.
const jitter = 0.1

// readTimeout bounds one read, so that one that hangs does not hold up the others.
const readTimeout = 10 * time.Second

// Poller polls Secrets. Its queue holds those that it knows: the controllers ask for the version of a Secret when they reconcile what
// refers to it, and from then on it is read again after each interval.
type Poller struct {
	live     client.Reader // of the API server
	cache    client.Reader // has batches and slices
	interval time.Duration

	reads singleflight.Group

	mu       sync.Mutex
	known    map[types.NamespacedName]seen
	queue    workqueue.TypedRateLimitingInterface[reconcile.Request] // nil until the controller starts
	handlers []func(context.Context, client.Object)
}

var _ reconcile.Reconciler = (*Poller)(nil)

// New returns a Poller that reads Secrets from the API server, and from a cache which batches and slices refer to them.
func New(live, cache client.Reader, interval time.Duration) *Poller {
	return &Poller{live: live, cache: cache, interval: interval, known: map[types.NamespacedName]seen{}}
}

// SetupWithManager registers the poller as a controller. Like all it runs only in the replica that leads.
func (p *Poller) SetupWithManager(mgr ctrl.Manager, options controller.Options) error {
	err := ctrl.NewControllerManagedBy(mgr).Named("secretpoll").WithOptions(options).WatchesRawSource(source.Func(p.start)).Complete(p)
	if err != nil {
		return fmt.Errorf("building the controller: %w", err)
	}
	return nil
}

// start takes the queue. The other controllers may have asked for Secrets before.
func (p *Poller) start(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = queue
	for name := range p.known {
		p.schedule(name)
	}
	return nil
}

// Source returns a source of events for Secrets that have changed, appeared or gone.
func (p *Poller) Source(handler handler.EventHandler) source.Source {
	return source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.handlers = append(p.handlers, func(ctx context.Context, secret client.Object) {
			handler.Generic(ctx, event.GenericEvent{Object: secret}, queue)
		})
		return nil
	})
}

// Reconcile reads a Secret once more. It forgets one to which nothing refers any more.
func (p *Poller) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	isKnown, err := p.keep(ctx, req.NamespacedName)
	if err != nil || !isKnown {
		return reconcile.Result{}, err
	}
	if err := p.read(ctx, req.NamespacedName); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: p.wait()}, nil
}

// keep forgets a Secret to which nothing refers, and reports whether it is still known. It holds the lock meanwhile: a controller that
// has found the Secret known before is then seen to refer to it, and one that comes later reads it again.
func (p *Poller) keep(ctx context.Context, secret types.NamespacedName) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	isReferred, err := p.isReferred(ctx, secret)
	if err == nil && !isReferred {
		delete(p.known, secret)
	}
	return isReferred, err
}

func (p *Poller) wait() time.Duration { return wait.Jitter(p.interval, jitter) }

// isReferred reports whether a batch or slice refers to a Secret.
func (p *Poller) isReferred(ctx context.Context, secret types.NamespacedName) (bool, error) {
	for _, referring := range []struct {
		list  client.ObjectList
		field string
	}{
		{&cached.BatchList{}, index.KeyRef}, {&cached.BatchList{}, index.SecretSource}, {&cached.SliceList{}, index.KeyRef},
	} {
		err := p.cache.List(ctx, referring.list, client.InNamespace(secret.Namespace),
			client.MatchingFields{referring.field: secret.Name}, client.Limit(1))
		if err != nil {
			return false, fmt.Errorf("listing what refers to Secret %q: %w", secret.Name, err)
		}
		if meta.LenList(referring.list) > 0 {
			return true, nil
		}
	}
	return false, nil
}
