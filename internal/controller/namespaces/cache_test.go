// SPDX-License-Identifier: Apache-2.0

package namespaces

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// tenant is the cache of one namespace, whose objects are read once they are there.
type tenant struct {
	informertest.FakeInformers

	there, stopped chan struct{}
}

func (n *tenant) WaitForCacheSync(ctx context.Context) bool {
	select {
	case <-n.there:
		return true
	case <-ctx.Done():
		return false
	}
}

func (n *tenant) Start(ctx context.Context) error {
	<-ctx.Done()
	close(n.stopped)
	return nil
}

// cluster is what a Cache sees.
type cluster struct {
	mu     sync.Mutex
	rights map[string]error
	caches map[string][]*tenant // that were made, in order
	hidden map[string]bool      // namespaces of which the objects cannot be read
}

// set changes the rights in namespace b.
func (c *cluster) set(rights error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rights["b"] = rights
}

// show lets the objects of namespace b be read.
func (c *cluster) show() {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.hidden, "b")
}

// last returns the cache of namespace b that was made last.
func (c *cluster) last() *tenant {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.caches["b"][len(c.caches["b"])-1]
}

// start runs a Cache of two namespaces until the test ends.
func (c *cluster) start(t *testing.T) *Cache {
	t.Helper()
	c.caches = map[string][]*tenant{}
	review := func(_ context.Context, namespace string) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.rights[namespace]
	}
	newCache := func(namespace string) (cache.Cache, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		made := &tenant{there: make(chan struct{}), stopped: make(chan struct{})}
		if !c.hidden[namespace] {
			close(made.there)
		}
		c.caches[namespace] = append(c.caches[namespace], made)
		return made, nil
	}
	all := Options{Names: []string{"a", "b"}, Kinds: []client.Object{&corev1.Secret{}}}.newCache(scheme.Scheme, review, newCache)
	go all.Start(t.Context()) //nolint:errcheck // never fails
	return all
}

// watched returns the metric of each namespace.
func watched(t *testing.T, c *Cache) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || families[0].GetType() != dto.MetricType_GAUGE {
		t.Fatalf("%v: %v", err, families)
	}
	values := map[string]float64{}
	for _, metric := range families[0].GetMetric() {
		values[metric.GetLabel()[0].GetValue()] = metric.GetGauge().GetValue()
	}
	return values
}

// check compares what the cache says of the namespaces, and whether it can be read there.
func check(t *testing.T, c *Cache, when string, ready bool, want map[string]float64) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, watched(t, c)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
	if err := c.Ready(); (err == nil) != ready {
		t.Errorf("%s: ready: %v", when, err)
	}
}

func readable(c *Cache, namespace string) bool {
	return c.Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: "x"}, &corev1.Secret{}) == nil &&
		c.List(context.Background(), &corev1.SecretList{}, client.InNamespace(namespace)) == nil
}

func TestCache_ANamespaceWithoutRightsDoesNotStopTheOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{rights: map[string]error{"b": deniedError("no rights")}}
		all := c.start(t)
		check(t, all, "without rights", true, map[string]float64{"a": 1, "b": 0})
		if !readable(all, "a") || readable(all, "b") {
			t.Error("not a alone can be read")
		}
		c.set(nil)
		time.Sleep(seekInterval)
		check(t, all, "with rights", true, map[string]float64{"a": 1, "b": 1})
		if !readable(all, "b") {
			t.Error("b cannot be read")
		}
	})
}

func TestCache_ANamespaceThatCannotBeReadDoesNotStopTheOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{rights: map[string]error{}, hidden: map[string]bool{"b": true}}
		all := c.start(t)
		check(t, all, "before its objects are read", false, map[string]float64{"a": 1, "b": 0})
		if !readable(all, "a") || readable(all, "b") {
			t.Error("not a alone can be read")
		}
		time.Sleep(time.Hour) // it is still the same cache, which may take long
		first := c.last()
		close(first.there)
		check(t, all, "after that", true, map[string]float64{"a": 1, "b": 1})
	})
}

func TestCache_RightsThatAreLostBeforeAllIsRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{rights: map[string]error{}, hidden: map[string]bool{"b": true}}
		all := c.start(t)
		check(t, all, "before its objects are read", false, map[string]float64{"a": 1, "b": 0})
		first := c.last()
		c.set(deniedError("no rights"))
		time.Sleep(2 * seekInterval)
		check(t, all, "without rights", true, map[string]float64{"a": 1, "b": 0})
		select {
		case <-first.stopped:
		default:
			t.Error("the first cache goes on")
		}
		c.show()
		c.set(nil)
		time.Sleep(seekInterval)
		check(t, all, "with rights again", true, map[string]float64{"a": 1, "b": 1})
	})
}

func TestCache_RightsThatAreLostLaterAreReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{rights: map[string]error{}}
		all := c.start(t)
		check(t, all, "with rights", true, map[string]float64{"a": 1, "b": 1})
		c.set(errors.New("the API server is down"))
		time.Sleep(checkInterval)
		check(t, all, "while nobody knows", true, map[string]float64{"a": 1, "b": 1})
		c.set(deniedError("no rights"))
		time.Sleep(checkInterval)
		check(t, all, "without rights", true, map[string]float64{"a": 1, "b": 0})
		if !readable(all, "b") {
			t.Error("what was read is lost")
		}
		c.set(nil)
		time.Sleep(checkInterval)
		check(t, all, "with rights again", true, map[string]float64{"a": 1, "b": 1})
	})
}

func TestCache_IsReadyOnceTheRightsAreKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{rights: map[string]error{"b": errors.New("the API server is down")}}
		all := c.start(t)
		check(t, all, "before the rights are known", false, map[string]float64{"a": 1, "b": 0})
		c.set(nil)
		time.Sleep(seekInterval)
		check(t, all, "after that", true, map[string]float64{"a": 1, "b": 1})
	})
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{rights: map[string]error{"a": deniedError("no rights"), "b": deniedError("it does not exist")}}
		check(t, c.start(t), "without any rights", false, map[string]float64{"a": 0, "b": 0})
	})
}
