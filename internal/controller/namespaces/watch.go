// SPDX-License-Identifier: Apache-2.0

package namespaces

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const (
	// seekInterval is the time between two looks at a namespace in which there are no rights.
	seekInterval = 10 * time.Second
	// retryInterval is the time between two looks if one failed, because the API server did not answer.
	retryInterval = 2 * time.Second
	// checkInterval is the time between two looks at a namespace that is watched: whether the rights are lost.
	checkInterval = time.Minute
)

// Start watches the namespaces until the context ends.
func (c *Cache) Start(ctx context.Context) error {
	var running sync.WaitGroup
	for _, name := range c.names {
		running.Go(func() { c.follow(ctx, name, &running) })
	}
	running.Wait()
	return nil
}

// NeedLeaderElection returns false: replicas that stand by have a cache too.
func (c *Cache) NeedLeaderElection() bool { return false }

// follow takes up a namespace as soon as there are rights, and then reports whether they are lost.
func (c *Cache) follow(ctx context.Context, name string, running *sync.WaitGroup) {
	for {
		problem := c.takeUp(ctx, name, running)
		c.report(ctx, name, problem)
		if problem == nil {
			break
		}
		interval := retryInterval
		if isDenied(problem) {
			interval = seekInterval
		}
		if !pause(ctx, interval) {
			return
		}
	}
	for pause(ctx, checkInterval) {
		if problem := c.rights(ctx, name); problem == nil || isDenied(problem) {
			c.report(ctx, name, problem)
		}
	}
}

// takeUp begins to watch a namespace, or returns why it cannot. It waits until the objects are read or the rights are lost.
func (c *Cache) takeUp(ctx context.Context, name string, running *sync.WaitGroup) error {
	if err := c.rights(ctx, name); err != nil {
		return err
	}
	c.report(ctx, name, errLoading)
	one, stop, err := c.begin(ctx, name, running)
	if err != nil {
		return err
	}
	if err := c.await(ctx, name, one); err != nil {
		stop()
		return err
	}
	if err := c.publish(ctx, name, one); err != nil {
		stop()
		return err
	}
	return nil
}

// await waits until the objects of a namespace are read. The error says that the rights are lost, or that the context has ended.
func (c *Cache) await(ctx context.Context, name string, one cache.Cache) error {
	for !synced(ctx, one) {
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for the objects: %w", context.Cause(ctx))
		}
		log.FromContext(ctx).Info("Still reading the objects of a namespace", "namespace", name)
		if problem := c.rights(ctx, name); isDenied(problem) {
			return problem
		}
	}
	return nil
}

// rights returns nil if the operator has its rights in a namespace.
func (c *Cache) rights(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, seekInterval)
	defer cancel()
	return c.review(ctx, name)
}

// begin makes the cache of a namespace, and runs it until it is stopped or the context ends.
func (c *Cache) begin(ctx context.Context, name string, running *sync.WaitGroup) (one cache.Cache, stop func(), err error) {
	if one, err = c.newCache(name); err != nil {
		return nil, nil, err
	}
	for _, i := range c.indexes {
		if err := one.IndexField(ctx, i.object, i.field, i.value); err != nil {
			return nil, nil, fmt.Errorf("indexing %T: %w", i.object, err)
		}
	}
	for _, i := range c.informers {
		if _, err := one.GetInformer(ctx, i.object, cache.BlockUntilSynced(false)); err != nil {
			return nil, nil, fmt.Errorf("watching %T: %w", i.object, err)
		}
	}
	ctx, stop = context.WithCancel(ctx)
	running.Go(func() { _ = one.Start(ctx) }) // fails only if it was started before
	return one, stop, nil
}

// synced waits a while for the objects of a namespace.
func synced(ctx context.Context, one cache.Cache) bool {
	ctx, cancel := context.WithTimeout(ctx, seekInterval)
	defer cancel()
	return one.WaitForCacheSync(ctx)
}

// publish lets the objects of a namespace be seen, and gives them to all handlers, one kind after the other. It fails only if the
// context ends.
func (c *Cache) publish(ctx context.Context, name string, one cache.Cache) error {
	c.publishing.Lock()
	defer c.publishing.Unlock()
	c.mu.Lock()
	c.watched[name] = one
	c.mu.Unlock()
	for _, i := range c.informers {
		for _, handler := range i.handlers {
			part, err := handler.addTo(ctx, one, i.object)
			if err != nil {
				return err
			}
			if !toolscache.WaitFor(ctx, "", part.HasSyncedChecker()) {
				return fmt.Errorf("waiting for the handlers: %w", context.Cause(ctx))
			}
		}
	}
	return nil
}

// report records why a namespace cannot be watched, or nil, and logs a change.
func (c *Cache) report(ctx context.Context, name string, problem error) {
	c.mu.Lock()
	before := c.problems[name]
	c.problems[name] = problem
	c.mu.Unlock()
	switch {
	case ctx.Err() != nil, errors.Is(problem, errLoading):
	case problem == nil && before != nil:
		log.FromContext(ctx).Info("Watching namespace", "namespace", name)
	case problem != nil && (before == nil || before.Error() != problem.Error()):
		log.FromContext(ctx).Error(problem, "Cannot watch namespace", "namespace", name)
	}
}

// pause waits for d. It returns false if the context ends first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
