// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"runtime/debug"
	"time"

	corev1 "k8s.io/api/core/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

const (
	// etcdQuota is twice the size of all versions of all slices of b2.
	etcdQuota = "4294967296"
	// alloyTimeout bounds the requests of the bare loops.
	alloyTimeout = 30 * time.Second
	// clearPatience bounds the deletion of a case's objects.
	clearPatience = 5 * time.Minute
)

// world is the control plane, the simulator and the operator.
type world struct {
	plane      *testenv.ControlPlane
	rest       rest.Interface // where typed objects would be slow
	sim        *simulator.Simulator
	tally      *tally
	server     *httptest.Server
	alloy      *alloy.Client // of the bare loops
	namespaces []string      // to clear

	program     string            // path of the operator
	memoryLimit string            // GOMEMLIMIT from the manifest, if set
	operator    *testenv.Operator // nil if not running
	fail        context.CancelCauseFunc
}

// newWorld builds the operator and starts the control plane and the simulator. It calls fail if the operator exits unexpectedly.
func newWorld(ctx context.Context, o options, fail context.CancelCauseFunc) (_ *world, err error) {
	debug.SetGCPercent(300) // leave the CPU to the measured processes
	w := &world{fail: fail, memoryLimit: manifestMemoryLimit(testenv.Root("config", "manager", "manager.yaml"))}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	say("Starting etcd and kube-apiserver, with the operator's CRDs")
	if err := w.startPlane(); err != nil {
		return nil, err
	}
	say("Building the operator")
	if w.program, err = testenv.Build(ctx, w.plane.Folder, "operator"); err != nil {
		return nil, err
	}
	w.sim = simulator.New(simulator.Options{Latency: o.latency})
	w.tally = newTally(w.sim)
	w.server = httptest.NewServer(w.tally)
	w.alloy, err = alloy.New(alloy.Options{
		BaseURL: w.server.URL, AllowInsecure: true, APIVersion: alloy.DefaultAPIVersion, Timeout: alloyTimeout, UserAgent: "bench",
	})
	if err != nil {
		return nil, fmt.Errorf("creating the client of the bare loops: %w", err)
	}
	return w, nil
}

func (w *world) startPlane() (err error) {
	w.plane, err = testenv.Start(testenv.Options{Configure: func(environment *envtest.Environment) {
		environment.ControlPlane.Etcd = &envtest.Etcd{}
		// By default envtest disables fsync in etcd, unlike a cluster.
		environment.ControlPlane.Etcd.Configure().Disable("unsafe-no-fsync").Set("quota-backend-bytes", etcdQuota)
		environment.ControlPlane.GetAPIServer().Configure().Set("delete-collection-workers", "8") // for clear, which is not measured
	}})
	if err != nil {
		return err
	}
	config := rest.CopyConfig(w.plane.Config)
	config.NegotiatedSerializer = clientgoscheme.Codecs.WithoutConversion()
	if w.rest, err = rest.UnversionedRESTClientFor(config); err != nil {
		return fmt.Errorf("creating a client: %w", err)
	}
	return nil
}

// close stops everything.
func (w *world) close() error {
	err := w.stopOperator()
	if w.server != nil {
		w.server.Close()
	}
	if w.plane != nil {
		err = errors.Join(err, w.plane.Stop())
	}
	return err
}

func (w *world) newNamespace(ctx context.Context, name string) error {
	if err := testenv.CreateNamespace(ctx, w.plane.Client, name); err != nil {
		return err
	}
	w.namespaces = append(w.namespaces, name)
	return nil
}

// checkContract checks the statuses that the cases leave.
func (w *world) checkContract(ctx context.Context) error {
	var errs []error
	for _, namespace := range w.namespaces {
		if err := testenv.CheckContract(ctx, w.plane.Client, namespace); err != nil {
			errs = append(errs, fmt.Errorf("namespace %s: %w", namespace, err))
		}
	}
	return errors.Join(errs...)
}

// clear deletes the objects in the namespaces. It deletes slices too, because no garbage collector is running.
func (w *world) clear(ctx context.Context) error {
	say("Deleting the objects of the cases")
	ctx, cancel := context.WithTimeout(ctx, clearPatience)
	defer cancel()
	for _, namespace := range w.namespaces {
		for _, kind := range []client.Object{&v1alpha1.EmbeddedUserBatch{}, &v1alpha1.EmbeddedUserSlice{}, &corev1.ConfigMap{}} {
			if err := w.deleteAll(ctx, namespace, kind); err != nil {
				return err
			}
		}
	}
	w.namespaces = nil
	return nil
}

// deleteAll deletes all objects of a kind. It retries, because many objects may take longer than the API server's request timeout.
func (w *world) deleteAll(ctx context.Context, namespace string, kind client.Object) error {
	var err error
	for range 5 {
		if err = w.plane.Client.DeleteAllOf(ctx, kind, client.InNamespace(namespace)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("deleting the objects in %s: %w", namespace, err)
}
