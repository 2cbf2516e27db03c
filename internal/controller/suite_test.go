package controller_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller"
	"github.com/embedded-user-operator/embedded-user-operator/internal/sender"
)

// patience bounds every wait in a test, with a wide margin for a busy machine.
const patience = time.Minute

var (
	environment *envtest.Environment
	kubeconfig  string
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(run(m))
}

func run(m *testing.M) int {
	environment = &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("..", "..", "config", "crd", "bases")}, ErrorIfCRDPathMissing: true}
	if _, err := environment.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "Starting the control plane (make test sets KUBEBUILDER_ASSETS):", err)
		return 1
	}
	defer environment.Stop() //nolint:errcheck // the tests are over
	file, err := os.CreateTemp("", "kubeconfig")
	if err != nil {
		panic(err)
	}
	defer os.Remove(file.Name()) //nolint:errcheck // a temporary file
	if _, err := file.Write(environment.KubeConfig); err != nil {
		panic(err)
	}
	kubeconfig = file.Name()
	return m.Run()
}

// world is a namespace with its own simulated Alloy API and operator.
type world struct {
	*testing.T
	client.Client
	*gomega.WithT
	sim       *simulator.Simulator
	namespace string
	key       string
	url       string
	stop      context.CancelFunc
	stopped   chan struct{}
	options   sender.Options
	timeout   time.Duration

	secretsForbidden atomic.Bool
}

var worlds atomic.Int64

// newWorld returns a world with a running operator and short delays.
func newWorld(t *testing.T, options simulator.Options) *world {
	t.Helper()
	t.Parallel()
	return makeWorld(t, options)
}

// another returns a second world in the same test.
func (w *world) another() *world {
	w.Helper()
	return makeWorld(w.T, simulator.Options{})
}

func makeWorld(t *testing.T, options simulator.Options) *world {
	t.Helper()
	c, err := client.New(environment.Config, client.Options{Scheme: controller.NewScheme()})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		T: t, Client: c, WithT: gomega.NewWithT(t),
		namespace: fmt.Sprintf("test-%d", worlds.Add(1)),
		key:       fmt.Sprintf("key-%d-of-a-test", worlds.Load()),
		options: sender.Options{
			RequestsPerKey: 4, SecondRead: 200 * time.Millisecond, NoticeDelay: 200 * time.Millisecond,
			BackOff: sender.BackOffs{
				API: sender.BackOff{Min: 200 * time.Millisecond, Max: time.Second}, User: sender.BackOff{Min: 200 * time.Millisecond, Max: time.Second},
				Key: sender.BackOff{Min: time.Hour, Max: time.Hour}, Refused: sender.BackOff{Min: time.Second, Max: time.Second},
			},
		},
		timeout: 10 * time.Second,
	}
	options.Keys = append(options.Keys, w.key)
	w.sim = simulator.New(options)
	server := httptest.NewServer(w.sim)
	t.Cleanup(server.Close)
	w.url = server.URL
	w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}})
	w.start()
	t.Cleanup(func() {
		w.checkContract()
		w.halt()
	})
	return w
}

// start runs an operator for the world's namespace.
func (w *world) start() {
	w.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w.stop, w.stopped = stop, make(chan struct{})
	api, err := alloy.New(alloy.Options{BaseURL: w.url, AllowInsecure: true, APIVersion: alloy.DefaultAPIVersion, Timeout: w.timeout})
	if err != nil {
		w.Fatal(err)
	}
	var options manager.Options
	controller.Configure(&options, w.timeout)
	options.Cache.DefaultNamespaces = map[string]cache.Config{w.namespace: {}}
	options.Metrics.BindAddress = "0"
	config := rest.CopyConfig(environment.Config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return forbidSecrets{w, next} })
	mgr, err := ctrl.NewManager(config, options)
	if err != nil {
		w.Fatal(err)
	}
	if err := controller.Setup(ctx, mgr, controller.Options{API: api, RequestTimeout: w.timeout, Sender: w.options, SkipNameValidation: true}); err != nil {
		w.Fatal(err)
	}
	go func() {
		defer close(w.stopped)
		if err := mgr.Start(ctx); err != nil {
			w.Error("the manager failed:", err)
		}
	}()
}

// halt stops the operator as SIGTERM does.
func (w *world) halt() {
	w.stop()
	<-w.stopped
}

func (w *world) create(object client.Object) {
	w.Helper()
	if err := w.Create(w.Context(), object); err != nil {
		w.Fatal(err)
	}
}

// secret stores a value as the API key.
func (w *world) secret(value string) {
	w.Helper()
	w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "alloy"}, Data: map[string][]byte{"apiKey": []byte(value)}})
}

// secretBecomes replaces the API key.
func (w *world) secretBecomes(value string) {
	w.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "alloy"}, Data: map[string][]byte{"apiKey": []byte(value)}}
	if err := w.Update(w.Context(), secret); err != nil {
		w.Fatal(err)
	}
}

// batch returns a batch of users without creating it.
func (w *world) batch(name string, users ...v1alpha1.User) *v1alpha1.EmbeddedUserBatch {
	return &v1alpha1.EmbeddedUserBatch{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec:       v1alpha1.EmbeddedUserBatchSpec{APIKeySecretRef: v1alpha1.APIKeySecretReference{Name: "alloy"}, Users: users},
	}
}

// edit changes a batch as another client would.
func (w *world) edit(name string, change func(*v1alpha1.EmbeddedUserBatch)) {
	w.Helper()
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error { // the operator may write the status at the same time
		batch := w.load(name)
		change(batch)
		return w.Update(w.Context(), batch)
	})
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) load(name string) *v1alpha1.EmbeddedUserBatch {
	w.Helper()
	var batch v1alpha1.EmbeddedUserBatch
	if err := w.Get(context.WithoutCancel(w.Context()), client.ObjectKey{Namespace: w.namespace, Name: name}, &batch); err != nil {
		w.Fatal(err)
	}
	return &batch
}

// slices returns the slices of the namespace.
func (w *world) slices() []v1alpha1.EmbeddedUserSlice {
	w.Helper()
	var list v1alpha1.EmbeddedUserSliceList
	if err := w.List(context.WithoutCancel(w.Context()), &list, client.InNamespace(w.namespace)); err != nil {
		w.Fatal(err)
	}
	return list.Items
}

// results returns the results in all slices by username.
func (w *world) results() map[string]v1alpha1.UserResult {
	w.Helper()
	results := map[string]v1alpha1.UserResult{}
	for _, slice := range w.slices() {
		for _, result := range slice.Status.Results {
			results[result.Username] = result
		}
	}
	return results
}

// await waits until the batch's Ready condition has the given reason for the current generation.
func (w *world) await(name, reason string) *v1alpha1.EmbeddedUserBatch {
	w.Helper()
	var batch *v1alpha1.EmbeddedUserBatch
	w.Eventually(func() string {
		batch = w.load(name)
		if batch.Status.ObservedGeneration != batch.Generation {
			return "not observed"
		}
		return find(batch.Status.Conditions, v1alpha1.ConditionReady).Reason
	}, patience, 20*time.Millisecond).Should(gomega.Equal(reason), func() string { return fmt.Sprintf("status: %+v", batch.Status) })
	return batch
}

// kubectl runs kubectl in the world's namespace and returns its output.
func (w *world) kubectl(stdin string, args ...string) (string, error) {
	w.Helper()
	command := exec.CommandContext(w.Context(), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), append([]string{"--kubeconfig", kubeconfig, "-n", w.namespace}, args...)...)
	command.Stdin = strings.NewReader(stdin)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	err := command.Run()
	return output.String(), err
}

// sent returns the usernames in all create requests, in order, and the number of these requests.
func (w *world) sent() (usernames []string, requests int) {
	for _, r := range w.sim.Requests() {
		if r.Operation == simulator.Create {
			usernames = append(usernames, r.Usernames...)
			requests++
		}
	}
	return usernames, requests
}

func find(conditions []metav1.Condition, conditionType string) metav1.Condition {
	for _, condition := range conditions {
		if condition.Type == conditionType {
			return condition
		}
	}
	return metav1.Condition{}
}

// numbered returns n distinct users.
func numbered(prefix string, n int) []v1alpha1.User {
	users := make([]v1alpha1.User, n)
	for i := range users {
		users[i] = v1alpha1.User{Username: fmt.Sprintf("%s-%05d@example.com", prefix, i), FullName: fmt.Sprintf("Customer number %d", i)}
	}
	return users
}
