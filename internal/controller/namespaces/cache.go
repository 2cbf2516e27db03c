// SPDX-License-Identifier: Apache-2.0

// Package namespaces has a cache of some namespaces, each of which is taken up on its own: a namespace in which the operator has no
// rights, that does not exist, or that cannot be read does not stop the others.
//
// The cache of controller-runtime takes a set of namespaces too, but is not synced until it has read every one of them.
package namespaces

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// Options of a Cache.
type Options struct {
	// Names of the namespaces.
	Names []string
	// Kinds that the cache has. It reads and watches no others. When a namespace is taken up, the handlers get all objects of a kind
	// before those of the next.
	Kinds []client.Object
}

// Cache is a [cache.Cache] of some namespaces. A namespace is watched once the operator has rights there and all objects of the
// Kinds are read, so nobody sees a part of it; until then reading from it fails. A namespace that was watched stays in the cache when
// the rights are lost.
type Cache struct {
	names     []string
	scheme    *runtime.Scheme
	informers []*informer
	newCache  func(namespace string) (cache.Cache, error)
	review    func(ctx context.Context, namespace string) error // deniedError if there are no rights

	publishing sync.Mutex // guards the handlers of the informers: each gets each namespace once

	mu       sync.RWMutex
	indexes  []index
	watched  map[string]cache.Cache
	problems map[string]error // why a namespace cannot be watched
}

var _ cache.Cache = &Cache{}

// index is one to add to the cache of each namespace.
type index struct {
	object client.Object
	field  string
	value  client.IndexerFunc
}

var (
	errUnknown = errors.New("whether the operator has rights there is not known yet")
	errLoading = errors.New("its objects are not read yet")
)

// NewCache returns a Cache. It is a [cache.NewCacheFunc].
func (o Options) NewCache(config *rest.Config, options cache.Options) (cache.Cache, error) {
	reviewer, err := newReviewer(config, options, o.Kinds)
	if err != nil {
		return nil, err
	}
	options.ReaderFailOnMissingInformer = true
	return o.newCache(options.Scheme, reviewer.review, func(namespace string) (cache.Cache, error) {
		options.DefaultNamespaces = map[string]cache.Config{namespace: {}}
		return cache.New(config, options)
	}), nil
}

func (o Options) newCache(
	scheme *runtime.Scheme, review func(context.Context, string) error, newCache func(string) (cache.Cache, error),
) *Cache {
	c := &Cache{
		names: o.Names, scheme: scheme, newCache: newCache, review: review,
		watched: map[string]cache.Cache{}, problems: map[string]error{},
	}
	for _, kind := range o.Kinds {
		c.informers = append(c.informers, &informer{cache: c, object: kind})
	}
	for _, name := range o.Names {
		c.problems[name] = errUnknown
	}
	return c
}

// Get reads an object of a namespace that is watched.
func (c *Cache) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	one, err := c.of(key.Namespace)
	if err != nil {
		return err
	}
	return one.Get(ctx, key, object, options...) //nolint:wrapcheck // the cache of a namespace says what it read
}

// List reads objects of one namespace that is watched.
func (c *Cache) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	one, err := c.of((&client.ListOptions{}).ApplyOptions(options).Namespace)
	if err != nil {
		return err
	}
	return one.List(ctx, list, options...) //nolint:wrapcheck // the cache of a namespace says what it read
}

// Watched returns the names of the namespaces that are watched.
func (c *Cache) Watched() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Collect(maps.Keys(c.watched))
}

func (c *Cache) of(namespace string) (cache.Cache, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if one := c.watched[namespace]; one != nil {
		return one, nil
	}
	return nil, fmt.Errorf("namespace %q is not watched", namespace)
}

// IndexField adds an index. It must be called before Start.
func (c *Cache) IndexField(_ context.Context, object client.Object, field string, value client.IndexerFunc) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.indexes = append(c.indexes, index{object, field, value})
	return nil
}

// GetInformer returns the informer of one of the Kinds. A handler that is added to it gets the objects of a namespace when that is
// taken up, as those of an initial list.
func (c *Cache) GetInformer(_ context.Context, object client.Object, _ ...cache.InformerGetOption) (cache.Informer, error) {
	gvk, err := apiutil.GVKForObject(object, c.scheme)
	if err != nil {
		return nil, fmt.Errorf("finding the kind of %T: %w", object, err)
	}
	_, isMetadata := object.(*metav1.PartialObjectMetadata)
	return c.informerOf(gvk, isMetadata)
}

// GetInformerForKind is GetInformer for a kind that is not kept as metadata only.
func (c *Cache) GetInformerForKind(_ context.Context, gvk schema.GroupVersionKind, _ ...cache.InformerGetOption) (cache.Informer, error) {
	return c.informerOf(gvk, false)
}

func (c *Cache) informerOf(gvk schema.GroupVersionKind, isMetadata bool) (cache.Informer, error) {
	for _, i := range c.informers {
		_, hasMetadata := i.object.(*metav1.PartialObjectMetadata)
		if known, err := apiutil.GVKForObject(i.object, c.scheme); err == nil && known == gvk && hasMetadata == isMetadata {
			return i, nil
		}
	}
	return nil, &cache.ErrResourceNotCached{GVK: gvk}
}

// RemoveInformer is not supported.
func (c *Cache) RemoveInformer(context.Context, client.Object) error {
	return fmt.Errorf("removing an informer: %w", errors.ErrUnsupported)
}

// WaitForCacheSync returns true at once: no namespace waits for another, and one that is not read yet is not watched. See Ready.
func (c *Cache) WaitForCacheSync(context.Context) bool { return true }

// Ready returns nil if every namespace in which the operator has rights is watched, and at least one is.
func (c *Cache) Ready() error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var unready []error
	denied := 0
	for _, name := range c.names {
		switch problem := c.problems[name]; {
		case isDenied(problem):
			denied++
		case problem != nil:
			unready = append(unready, fmt.Errorf("namespace %q cannot be watched: %w", name, problem))
		}
	}
	if denied == len(c.names) {
		return errors.New("no namespace can be watched")
	}
	return errors.Join(unready...)
}
