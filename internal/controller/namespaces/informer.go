// SPDX-License-Identifier: Apache-2.0

package namespaces

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// informer is that of one kind in all namespaces. It keeps the handlers for namespaces that are taken up later.
type informer struct {
	cache    *Cache
	object   client.Object
	handlers []*registration // guarded by cache.publishing
}

var _ cache.Informer = &informer{}

// AddEventHandler adds a handler.
func (i *informer) AddEventHandler(handler toolscache.ResourceEventHandler) (toolscache.ResourceEventHandlerRegistration, error) {
	return i.AddEventHandlerWithOptions(handler, toolscache.HandlerOptions{})
}

// AddEventHandlerWithResyncPeriod adds a handler with a resync period.
func (i *informer) AddEventHandlerWithResyncPeriod(
	handler toolscache.ResourceEventHandler, period time.Duration,
) (toolscache.ResourceEventHandlerRegistration, error) {
	return i.AddEventHandlerWithOptions(handler, toolscache.HandlerOptions{ResyncPeriod: &period})
}

// AddEventHandlerWithOptions adds a handler with options.
func (i *informer) AddEventHandlerWithOptions(
	handler toolscache.ResourceEventHandler, options toolscache.HandlerOptions,
) (toolscache.ResourceEventHandlerRegistration, error) {
	i.cache.publishing.Lock()
	defer i.cache.publishing.Unlock()
	r := &registration{handler: handler, options: options}
	for _, one := range i.cache.watched { // only publish changes it
		if _, err := r.addTo(context.Background(), one, i.object); err != nil {
			return nil, err
		}
	}
	i.handlers = append(i.handlers, r)
	return r, nil
}

// RemoveEventHandler is not supported.
func (i *informer) RemoveEventHandler(toolscache.ResourceEventHandlerRegistration) error {
	return fmt.Errorf("removing a handler: %w", errors.ErrUnsupported)
}

// AddIndexers is not supported; see Cache.IndexField.
func (i *informer) AddIndexers(toolscache.Indexers) error {
	return fmt.Errorf("adding indexers: %w", errors.ErrUnsupported)
}

// HasSynced reports true: a namespace is watched once it is synced.
func (i *informer) HasSynced() bool { return true }

// HasSyncedChecker returns one that is done.
func (i *informer) HasSyncedChecker() toolscache.DoneChecker { return &registration{} }

// IsStopped reports whether the informer has stopped. It runs as long as the process.
func (i *informer) IsStopped() bool { return false }

// registration is that of one handler in all namespaces that are watched.
type registration struct {
	handler toolscache.ResourceEventHandler
	options toolscache.HandlerOptions

	mu    sync.Mutex
	parts []toolscache.ResourceEventHandlerRegistration
}

// addTo adds the handler to the informer of one namespace, which has synced.
func (r *registration) addTo(
	ctx context.Context, one cache.Cache, object client.Object,
) (toolscache.ResourceEventHandlerRegistration, error) {
	found, err := one.GetInformer(ctx, object, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("getting the informer of %T: %w", object, err)
	}
	part, err := found.AddEventHandlerWithOptions(r.handler, r.options)
	if err != nil {
		return nil, fmt.Errorf("adding a handler of %T: %w", object, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parts = append(r.parts, part)
	return part, nil
}

func (r *registration) all() []toolscache.ResourceEventHandlerRegistration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.parts)
}

// HasSynced reports whether the handler got all objects that were there when it was added.
func (r *registration) HasSynced() bool {
	return !slices.ContainsFunc(r.all(), func(part toolscache.ResourceEventHandlerRegistration) bool { return !part.HasSynced() })
}

// HasSyncedChecker returns a checker for the same.
func (r *registration) HasSyncedChecker() toolscache.DoneChecker { return r }

// Name returns a name for logs.
func (r *registration) Name() string {
	return fmt.Sprintf("handler %T in %d namespaces", r.handler, len(r.all()))
}

// Done returns a channel that is closed when HasSynced is true.
func (r *registration) Done() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, part := range r.all() {
			<-part.HasSyncedChecker().Done()
		}
	}()
	return done
}
