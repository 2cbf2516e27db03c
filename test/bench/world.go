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
	// etcdQuota is room for every version of every slice of b2, twice.
	etcdQuota = "4294967296"
	// alloyTimeout bounds the requests of the bare loops.
	alloyTimeout = 30 * time.Second
	// clearPatience is how long deleting what a case left may take.
	clearPatience = 5 * time.Minute
)

// world is all that runs: the control plane, the simulator and the operator.
type world struct {
	folder     string // temporary, for the operator, its log and the kubeconfig
	plane      *envtest.Environment
	client     client.Client
	rest       rest.Interface // for what typed objects would make slow
	sim        *simulator.Simulator
	tally      *tally
	server     *httptest.Server
	alloy      *alloy.Client // of the bare loops
	namespaces []string      // that hold something

	program  program
	operator *operator // nil while none runs
	fail     context.CancelCauseFunc
}

// newWorld builds the operator, and starts the control plane and the simulator. fail is called when the operator ends by itself.
func newWorld(ctx context.Context, o options, fail context.CancelCauseFunc) (_ *world, err error) {
	debug.SetGCPercent(300) // collecting garbage here would take the cores from those that are measured
	ctrl.SetLogger(logr.Discard())
	w := &world{fail: fail}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if w.folder, err = os.MkdirTemp("", "embedded-user-operator-bench-"); err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
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
		return nil, fmt.Errorf("making the client of the bare loops: %w", err)
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
	// envtest has etcd skip fsync, which no cluster does.
	w.plane.ControlPlane.Etcd.Configure().Disable("unsafe-no-fsync").Set("quota-backend-bytes", etcdQuota)
	server := w.plane.ControlPlane.GetAPIServer().Configure()
	server.Set("delete-collection-workers", "8") // for clear, which is not measured
	if _, err := w.plane.Start(); err != nil {
		return fmt.Errorf("starting the control plane (KUBEBUILDER_ASSETS is to be what hack/control-plane.sh prints): %w", err)
	}
	if err := os.WriteFile(filepath.Join(w.folder, kubeconfigName), w.plane.KubeConfig, 0o600); err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	config := rest.CopyConfig(w.plane.Config)
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	var err error
	if w.client, err = client.New(config, client.Options{Scheme: controller.NewScheme()}); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	config.NegotiatedSerializer = clientgoscheme.Codecs.WithoutConversion()
	if w.rest, err = rest.UnversionedRESTClientFor(config); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	return nil
}

// close ends everything that runs.
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

// newNamespace makes a namespace.
func (w *world) newNamespace(ctx context.Context, name string) error {
	if err := w.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		return fmt.Errorf("creating the namespace: %w", err)
	}
	w.namespaces = append(w.namespaces, name)
	return nil
}

// clear deletes what the namespaces hold. No garbage collector runs here that would delete the slices of a batch.
func (w *world) clear(ctx context.Context) error {
	say("Deleting what the cases left")
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

// deleteAll deletes all objects of a kind, also when that takes longer than the API server gives to one request.
func (w *world) deleteAll(ctx context.Context, namespace string, kind client.Object) error {
	var err error
	for range 5 {
		if err = w.client.DeleteAllOf(ctx, kind, client.InNamespace(namespace)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("deleting what %s holds: %w", namespace, err)
}
