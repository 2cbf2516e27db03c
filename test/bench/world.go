package main

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller"
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
	folder     string // temporary, for the operator, its log and the kubeconfig
	plane      *envtest.Environment
	client     client.Client
	rest       rest.Interface // where typed objects would be slow
	sim        *simulator.Simulator
	tally      *tally
	server     *httptest.Server
	alloy      *alloy.Client // of the bare loops
	namespaces []string      // to clear

	program  program
	operator *operator // nil if not running
	fail     context.CancelCauseFunc
}

// newWorld builds the operator and starts the control plane and the simulator. It calls fail if the operator exits unexpectedly.
func newWorld(ctx context.Context, o options, fail context.CancelCauseFunc) (_ *world, err error) {
	debug.SetGCPercent(300) // leave the CPU to the measured processes
	ctrl.SetLogger(logr.Discard())
	w := &world{fail: fail}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if w.folder, err = os.MkdirTemp("", "embedded-user-operator-bench-"); err != nil {
		return nil, fmt.Errorf("creating a folder: %w", err)
	}
	say("Building the operator")
	build := exec.CommandContext(ctx, "go", "build", "-o", w.folder, "./cmd/operator") //nolint:gosec // our own folder
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the operator: %w\n%s", err, out)
	}
	say("Starting etcd and kube-apiserver, with the operator's CRDs")
	if err := w.startPlane(); err != nil {
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
	if w.program, err = newProgram(ctx, w.folder, w.server.URL, o.concurrency); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *world) startPlane() error {
	w.plane = &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("config", "crd", "bases")}, ErrorIfCRDPathMissing: true,
		ControlPlaneStopTimeout: time.Minute}
	w.plane.ControlPlane.Etcd = &envtest.Etcd{}
	// By default envtest disables fsync in etcd, unlike a cluster.
	w.plane.ControlPlane.Etcd.Configure().Disable("unsafe-no-fsync").Set("quota-backend-bytes", etcdQuota)
	server := w.plane.ControlPlane.GetAPIServer().Configure()
	server.Set("delete-collection-workers", "8") // for clear, which is not measured
	if _, err := w.plane.Start(); err != nil {
		return fmt.Errorf("starting the control plane (set KUBEBUILDER_ASSETS to the output of hack/control-plane.sh): %w", err)
	}
	if err := os.WriteFile(filepath.Join(w.folder, kubeconfigName), w.plane.KubeConfig, 0o600); err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	config := rest.CopyConfig(w.plane.Config)
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	var err error
	if w.client, err = client.New(config, client.Options{Scheme: controller.NewScheme()}); err != nil {
		return fmt.Errorf("creating a client: %w", err)
	}
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
		if stopErr := w.plane.Stop(); stopErr != nil {
			err = errors.Join(err, fmt.Errorf("stopping the control plane: %w", stopErr))
		}
	}
	return errors.Join(err, os.RemoveAll(w.folder))
}

func (w *world) newNamespace(ctx context.Context, name string) error {
	if err := w.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		return fmt.Errorf("creating the namespace: %w", err)
	}
	w.namespaces = append(w.namespaces, name)
	return nil
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
		if err = w.client.DeleteAllOf(ctx, kind, client.InNamespace(namespace)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("deleting the objects in %s: %w", namespace, err)
}
