// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/metrics"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/namespaces"
)

// register registers the metrics of the controllers, unless the registry is nil.
func register(registry prometheus.Registerer, sources metrics.Sources) error {
	if registry == nil {
		return nil
	}
	return metrics.Register(registry, sources) //nolint:wrapcheck // it says what failed
}

// waits returns a function that observes how long a request waited for limits. It does nothing if the registry is nil.
func waits(registry prometheus.Registerer) (func(time.Duration), error) {
	if registry == nil {
		return func(time.Duration) {}, nil
	}
	return metrics.NewWaits(registry) //nolint:wrapcheck // it says what failed
}

// missingUsers returns a function that counts users that are missing. It does nothing if the registry is nil.
func missingUsers(registry prometheus.Registerer) (func(int), error) {
	if registry == nil {
		return func(int) {}, nil
	}
	return metrics.NewMissing(registry) //nolint:wrapcheck // it says what failed
}

// eachBatch returns a function that passes all batches of a cache to visit.
func eachBatch(all cache.Cache) func(context.Context, func(*cached.Batch)) error {
	return func(ctx context.Context, visit func(*cached.Batch)) error {
		watched := []string{metav1.NamespaceAll}
		if some, ok := all.(*namespaces.Cache); ok {
			watched = some.Watched()
		}
		for _, namespace := range watched {
			var list cached.BatchList
			if err := all.List(ctx, &list, client.InNamespace(namespace)); err != nil {
				return fmt.Errorf("listing the batches: %w", err)
			}
			for i := range list.Items {
				visit(&list.Items[i])
			}
		}
		return nil
	}
}
