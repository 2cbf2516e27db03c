// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/healthz"

	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/namespaces"
)

// readyTimeout is less than a probe's default timeout of a second.
const readyTimeout = 500 * time.Millisecond

// show makes a manager ready once its caches are synced, and registers the metrics of the namespaces that it watches, if any.
func show(mgr ctrl.Manager, registry prometheus.Registerer) error {
	check := synced(mgr.GetCache())
	if some, ok := mgr.GetCache().(*namespaces.Cache); ok {
		check = func(*http.Request) error { return some.Ready() }
		if registry != nil {
			if err := registry.Register(some); err != nil {
				return fmt.Errorf("registering the metrics of namespaces: %w", err)
			}
		}
	}
	if err := mgr.AddReadyzCheck("caches", check); err != nil {
		return fmt.Errorf("adding the check that the operator is ready: %w", err)
	}
	return nil
}

func synced(all cache.Cache) healthz.Checker {
	return func(r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if !all.WaitForCacheSync(ctx) {
			return errors.New("the caches are not synced")
		}
		return nil
	}
}
