// SPDX-License-Identifier: Apache-2.0

package namespaces

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	toolscache "k8s.io/client-go/tools/cache"
	fcache "k8s.io/client-go/tools/cache/testing"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// listed is the cache of a namespace with a Secret and a ConfigMap, in real informers.
type listed struct {
	informertest.FakeInformers

	secrets, configMaps toolscache.SharedIndexInformer
}

func newListed(t *testing.T) *listed {
	t.Helper()
	informerOf := func(object client.Object) toolscache.SharedIndexInformer {
		source := fcache.NewFakeControllerSource()
		t.Cleanup(source.Shutdown)
		source.Add(object)
		return toolscache.NewSharedIndexInformer(source, object, 0, nil)
	}
	meta := metav1.ObjectMeta{Namespace: "b", Name: "x"}
	return &listed{secrets: informerOf(&corev1.Secret{ObjectMeta: meta}), configMaps: informerOf(&corev1.ConfigMap{ObjectMeta: meta})}
}

func (l *listed) GetInformer(_ context.Context, object client.Object, _ ...cache.InformerGetOption) (cache.Informer, error) {
	if _, isSecret := object.(*corev1.Secret); isSecret {
		return l.secrets, nil
	}
	return l.configMaps, nil
}

func (l *listed) Start(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { l.secrets.RunWithContext(ctx) })
	running.Go(func() { l.configMaps.RunWithContext(ctx) })
	running.Wait()
	return nil
}

func (l *listed) WaitForCacheSync(ctx context.Context) bool {
	return toolscache.WaitFor(ctx, "", l.secrets.HasSyncedChecker(), l.configMaps.HasSyncedChecker())
}

// TestInformer_HandlersGetANamespaceThatIsTakenUpLater adds handlers before there are rights. The one of the first kind is slow.
func TestInformer_HandlersGetANamespaceThatIsTakenUpLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		rights := error(deniedError("no rights"))
		review := func(context.Context, string) error {
			mu.Lock()
			defer mu.Unlock()
			return rights
		}
		all := Options{Names: []string{"b"}, Kinds: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}}}.
			newCache(scheme.Scheme, review, func(string) (cache.Cache, error) { return newListed(t), nil })
		go all.Start(t.Context()) //nolint:errcheck // never fails
		synctest.Wait()

		var got []string
		add := func(kind client.Object, delay time.Duration) toolscache.ResourceEventHandlerRegistration {
			informer, err := all.GetInformer(t.Context(), kind)
			if err != nil {
				t.Fatal(err)
			}
			handler := toolscache.ResourceEventHandlerDetailedFuncs{AddFunc: func(object any, isInInitialList bool) {
				time.Sleep(delay)
				mu.Lock()
				defer mu.Unlock()
				got = append(got, fmt.Sprintf("%T, initial: %t", object, isInInitialList))
			}}
			registration, err := informer.AddEventHandler(handler)
			if err != nil {
				t.Fatal(err)
			}
			return registration
		}
		add(&corev1.ConfigMap{}, 0)
		add(&corev1.Secret{}, time.Second)
		mu.Lock()
		rights = nil
		mu.Unlock()
		time.Sleep(seekInterval + time.Minute)
		<-add(&corev1.Secret{}, 0).HasSyncedChecker().Done() // of a namespace that is watched
		mu.Lock()
		defer mu.Unlock()
		want := []string{"*v1.Secret, initial: true", "*v1.ConfigMap, initial: true", "*v1.Secret, initial: true"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
