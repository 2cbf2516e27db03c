// Package chaos runs the operator as a process against a real control plane and the simulator, injects random failures, and checks
// that three records agree at the end: the users in the API, the results in the slices, and the counts in the batch.
package chaos

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
)

var (
	seeds = flag.Int("seeds", 6, "number of seeds to run")
	first = flag.Int64("seed", 1, "the first seed")
)

// The delays of the operator under test are short, but in the same order as the real ones.
const alloyTimeout = 1500 * time.Millisecond

var senderOptions = sender.Options{
	RequestsPerKey: 4, Requests: 6, Linger: 20 * time.Millisecond, RecordWait: 300 * time.Millisecond, RequestsPerSecond: 100, Burst: 50, RequestTimeout: alloyTimeout,
	SecondRead: 500 * time.Millisecond, NoticeDelay: 500 * time.Millisecond, BackOff: sender.BackOffs{
		API: sender.BackOff{Min: 50 * time.Millisecond, Max: time.Second}, User: sender.BackOff{Min: 500 * time.Millisecond, Max: time.Second},
		Key: sender.BackOff{Min: 500 * time.Millisecond, Max: time.Second}, Refused: sender.BackOff{Min: 500 * time.Millisecond, Max: time.Second},
	},
}

var (
	environment *envtest.Environment
	kubeconfig  string
	restarts    sync.Mutex // held while the API server is restarted
)

func TestMain(m *testing.M) {
	if os.Getenv("CHAOS_NAMESPACE") != "" {
		if err := operate(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctrl.SetLogger(logr.Discard())
	os.Exit(run(m))
}

// operate runs the operator like cmd/operator, with short delays and for one namespace.
func operate() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ctrl.SetLogger(zap.New())
	api, err := alloy.New(alloy.Options{BaseURL: os.Getenv("CHAOS_URL"), AllowInsecure: true, APIVersion: alloy.DefaultAPIVersion, Timeout: alloyTimeout})
	if err != nil {
		return err
	}
	var options manager.Options
	controller.Configure(&options, alloyTimeout)
	options.Metrics.BindAddress = "0"
	options.Cache.DefaultNamespaces = map[string]cache.Config{os.Getenv("CHAOS_NAMESPACE"): {}}
	cfg, err := config.GetConfig()
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(cfg, options)
	if err != nil {
		return err
	}
	if err := controller.Setup(ctx, mgr, controller.Options{API: api, RequestTimeout: alloyTimeout, Sender: senderOptions}); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "chaos")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder) //nolint:errcheck // a temporary folder
	environment = &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("..", "..", "config", "crd", "bases")}, ErrorIfCRDPathMissing: true}
	server := environment.ControlPlane.GetAPIServer()
	server.Configure().Set("request-timeout", "5s") // the shutdown waits this long for open connections
	server.CertDir = filepath.Join(folder, "pki")   // keeps the certificates across restarts
	if err := os.Mkdir(server.CertDir, 0o700); err != nil {
		panic(err)
	}
	if _, err := environment.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "Starting the control plane (make test-chaos sets KUBEBUILDER_ASSETS):", err)
		return 1
	}
	defer environment.Stop() //nolint:errcheck // the tests are over
	kubeconfig = filepath.Join(folder, "kubeconfig")
	if err := os.WriteFile(kubeconfig, environment.KubeConfig, 0o600); err != nil {
		panic(err)
	}
	collector := exec.Command(os.Getenv("KUBE_CONTROLLER_MANAGER"), "--kubeconfig", kubeconfig, "--controllers=garbage-collector-controller", "--leader-elect=false", "--secure-port=0")
	if err := collector.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "Starting the garbage collector (make test-chaos sets KUBE_CONTROLLER_MANAGER):", err)
		return 1
	}
	defer func() {
		_ = collector.Process.Kill()
		_ = collector.Wait()
	}()
	return m.Run()
}
