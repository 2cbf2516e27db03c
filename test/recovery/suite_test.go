// Package recovery tests that the operator recovers: it runs the operator as a process against a real control plane, and kills,
// pauses and disconnects it.
package recovery

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller"
)

const (
	// patience bounds every wait in a test.
	patience = time.Minute
	// alloyTimeout is the operator's request timeout, which users in doubt wait for after a restart.
	alloyTimeout = 2 * time.Second
)

var (
	environment *envtest.Environment
	folder      string // holds the operator and the kubeconfig
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if folder, err = os.MkdirTemp("", "recovery"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder) //nolint:errcheck // a temporary folder
	if out, err := exec.Command("go", "build", "-o", folder, "../../cmd/operator").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "Building the operator: %v\n%s", err, out)
		return 1
	}
	environment = &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("..", "..", "config", "crd", "bases")}, ErrorIfCRDPathMissing: true}
	server := environment.ControlPlane.GetAPIServer()
	server.Configure().Set("request-timeout", "5s") // the shutdown waits this long for open connections
	server.CertDir = filepath.Join(folder, "pki")   // keeps the certificates across restarts
	if err := os.Mkdir(server.CertDir, 0o700); err != nil {
		panic(err)
	}
	if _, err := environment.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "Starting the control plane (make test sets KUBEBUILDER_ASSETS):", err)
		return 1
	}
	defer environment.Stop() //nolint:errcheck // the tests are over
	if err := os.WriteFile(kubeconfig(), environment.KubeConfig, 0o600); err != nil {
		panic(err)
	}
	if err := deploy(); err != nil {
		fmt.Fprintln(os.Stderr, "Applying config/default:", err)
		return 1
	}
	return m.Run()
}

func kubeconfig() string { return filepath.Join(folder, "kubeconfig") }

// systemNamespace is the operator's namespace in config/default.
const systemNamespace = "embedded-user-operator-system"

// deploy applies config/default and writes a kubeconfig with the permissions of the operator's service account.
func deploy() error {
	if out, err := kubectl("apply", "--server-side", "--force-conflicts", "-k", filepath.Join("..", "..", "config", "default")); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	config, err := clientcmd.Load(environment.KubeConfig)
	if err != nil {
		return err
	}
	for _, user := range config.AuthInfos {
		user.Impersonate = "system:serviceaccount:" + systemNamespace + ":embedded-user-operator-manager"
	}
	return clientcmd.WriteToFile(*config, operatorKubeconfig())
}

func operatorKubeconfig() string { return filepath.Join(folder, "operator-kubeconfig") }

func kubectl(args ...string) ([]byte, error) {
	return exec.Command(filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), append([]string{"--kubeconfig", kubeconfig()}, args...)...).CombinedOutput()
}

// world is a namespace with its own simulated Alloy API, and the operator as a process.
type world struct {
	*testing.T
	client.Client
	*gomega.WithT
	sim       *simulator.Simulator
	namespace string
	key       string
	url       string
	metrics   string // address of the operator's metrics

	mu       sync.Mutex
	operator *exec.Cmd
	log      lockedBuffer // of every operator that ran
}

// lockedBuffer is a buffer for the output of several processes.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) Bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.buffer.Bytes())
}

func newWorld(t *testing.T, namespace string, options simulator.Options) *world {
	t.Helper()
	c, err := client.New(environment.Config, client.Options{Scheme: controller.NewScheme()})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, Client: c, WithT: gomega.NewWithT(t), namespace: namespace, key: "key-of-" + namespace}
	options.Keys = append(options.Keys, w.key)
	w.sim = simulator.New(options)
	server := httptest.NewServer(w.sim)
	t.Cleanup(server.Close)
	w.url = server.URL
	w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "alloy"}, Data: map[string][]byte{"apiKey": []byte(w.key)}})
	t.Cleanup(func() {
		_ = w.stop(syscall.SIGKILL) // reports the signal as an error
		if t.Failed() {
			t.Log(string(w.log.Bytes()))
		}
		// The operator of the next test must not see these batches.
		if err := c.DeleteAllOf(context.Background(), &v1alpha1.EmbeddedUserBatch{}, client.InNamespace(namespace)); err != nil {
			t.Error(err)
		}
	})
	return w
}

// start runs an operator.
func (w *world) start(args ...string) {
	w.Helper()
	w.metrics = freeAddress(w.T)
	w.mu.Lock()
	defer w.mu.Unlock()
	args = append(args, "--kubeconfig", operatorKubeconfig(), "--alloy-url", w.url, "--allow-insecure-alloy-url", "--zap-log-level", "5",
		"--alloy-timeout", alloyTimeout.String(), "--metrics-bind-address", w.metrics, "--health-probe-bind-address", "0")
	w.operator = exec.Command(filepath.Join(folder, "operator"), args...)
	w.operator.Stdout, w.operator.Stderr = &w.log, &w.log
	if err := w.operator.Start(); err != nil {
		w.Fatal(err)
	}
}

// stop sends the operator a signal, waits until it exits, and returns the error of Wait.
func (w *world) stop(signal syscall.Signal) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.operator == nil {
		return nil
	}
	_ = w.operator.Process.Signal(signal)
	err := w.operator.Wait()
	w.operator = nil
	return err
}

// kill kills the operator without waiting for it to exit.
func (w *world) kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.operator.Process.Kill()
}

func (w *world) create(object client.Object) {
	w.Helper()
	if err := w.Create(context.Background(), object); err != nil {
		w.Fatal(err)
	}
}

// batch creates a batch of n users that uses the world's key.
func (w *world) batch(name string, n int) {
	w.Helper()
	w.batchWith(name, "alloy", n)
}

// batchWith creates a batch of n users that uses the key in a Secret.
func (w *world) batchWith(name, secret string, n int) {
	w.Helper()
	batch := &v1alpha1.EmbeddedUserBatch{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec:       v1alpha1.EmbeddedUserBatchSpec{APIKeySecretRef: v1alpha1.APIKeySecretReference{Name: secret}},
	}
	for i := range n {
		batch.Spec.Users = append(batch.Spec.Users, v1alpha1.User{Username: fmt.Sprintf("%s-%04d@example.com", name, i)})
	}
	w.create(batch)
}

func (w *world) load(name string) *v1alpha1.EmbeddedUserBatch {
	w.Helper()
	var batch v1alpha1.EmbeddedUserBatch
	if err := w.Get(context.Background(), client.ObjectKey{Namespace: w.namespace, Name: name}, &batch); err != nil {
		w.Fatal(err)
	}
	return &batch
}

// await waits until the batch's Ready condition has a reason.
func (w *world) await(name string, reasons ...string) *v1alpha1.EmbeddedUserBatch {
	w.Helper()
	var batch *v1alpha1.EmbeddedUserBatch
	w.Eventually(func() string {
		batch = w.load(name)
		for _, condition := range batch.Status.Conditions {
			if condition.Type == v1alpha1.ConditionReady && batch.Status.ObservedGeneration == batch.Generation {
				return condition.Reason
			}
		}
		return "not observed"
	}, patience, 20*time.Millisecond).Should(gomega.BeElementOf(reasons))
	return batch
}

// results returns the results in all slices of the namespace by username.
func (w *world) results() map[string]v1alpha1.UserResult {
	w.Helper()
	var list v1alpha1.EmbeddedUserSliceList
	if err := w.List(context.Background(), &list, client.InNamespace(w.namespace)); err != nil {
		w.Fatal(err)
	}
	results := map[string]v1alpha1.UserResult{}
	for _, slice := range list.Items {
		for _, result := range slice.Status.Results {
			results[result.Username] = result
		}
	}
	return results
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // never used
	return listener.Addr().String()
}
