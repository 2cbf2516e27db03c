package chaos

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller"
)

const (
	goodKey   = "good-key"
	batchName = "chaos"
)

// world is the namespace, simulator and operator of one seed.
type world struct {
	*testing.T
	client.Client
	rnd       *rand.Rand
	namespace string
	sim       *simulator.Simulator
	options   simulator.Options
	url       string

	log   bytes.Buffer
	steps []string

	list       []v1alpha1.User     // the users that must exist now
	fromFile   bool                // the list is in a ConfigMap
	shared     map[string]struct{} // users that are also in small batches
	everWanted map[string]struct{} // including seeded users
	next       int                 // number of the next new user
	recreated  bool                // the batch or a slice was recreated, so requests may overlap

	mu       sync.Mutex
	operator *exec.Cmd
	stopping bool
	ended    chan struct{} // closed when the operator has stopped for good
	resent   []string      // users sent although they had a stored result Created or Existing
	damaging bool          // damage is running, so stored results are not reliable
}

func newWorld(t *testing.T, seed int64) *world {
	t.Helper()
	c, err := client.New(environment.Config, client.Options{Scheme: controller.NewScheme()})
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(uint64(seed), 0))
	w := &world{T: t, Client: c, rnd: rnd, namespace: fmt.Sprintf("seed-%d", seed), everWanted: map[string]struct{}{}, shared: map[string]struct{}{}}
	w.fromFile = rnd.IntN(2) == 0
	w.options = simulator.Options{
		Keys:            []string{goodKey},
		Latency:         time.Duration(rnd.IntN(80)) * time.Millisecond,
		Reject:          func(username string) bool { return strings.HasPrefix(username, "bad-") },
		InvalidUsers:    []simulator.InvalidUsersForm{simulator.InvalidUsersEmpty, simulator.InvalidUsersNull, simulator.InvalidUsersAbsent}[rnd.IntN(3)],
		SkipExisting:    rnd.IntN(6) == 0,
		MixedAllExist:   rnd.IntN(6) == 0,
		CheckThenCreate: rnd.IntN(6) == 0,
	}
	if rnd.IntN(6) == 0 {
		w.options.ReadLag = 100 * time.Millisecond
	}
	w.sim = simulator.New(w.options)
	w.sim.OnArrived(w.checkArrival)
	server := httptest.NewServer(w.sim)
	t.Cleanup(server.Close)
	w.url = server.URL
	for range rnd.IntN(30) {
		name := fmt.Sprintf("user-%04d", rnd.IntN(1500))
		w.sim.Seed(goodKey, name)
		w.everWanted[name] = struct{}{}
	}
	w.must(func(ctx context.Context) error {
		return w.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}})
	})
	w.setKey(goodKey)
	w.add(200 + rnd.IntN(2000))
	w.addSmallBatches(rnd.IntN(40))
	w.apply()
	return w
}

// addSmallBatches creates small batches under the same key, with users of the list and others.
func (w *world) addSmallBatches(n int) {
	w.Helper()
	for i := range n {
		batch := &v1alpha1.EmbeddedUserBatch{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: fmt.Sprintf("small-%d", i)}}
		batch.Spec.APIKeySecretRef.Name = "alloy"
		common := fmt.Sprintf("user-%04d", w.rnd.IntN(w.next))
		w.shared[common] = struct{}{}
		for _, username := range []string{common, fmt.Sprintf("small-%d", i), fmt.Sprintf("small-%d", i/2)} {
			batch.Spec.Users = append(batch.Spec.Users, v1alpha1.User{Username: username})
			w.everWanted[username] = struct{}{}
		}
		w.must(func(ctx context.Context) error { return w.Create(ctx, batch.DeepCopy()) })
	}
}

// step records a step, to be logged if the test fails.
func (w *world) step(format string, args ...any) {
	w.steps = append(w.steps, time.Now().Format("05.000 ")+fmt.Sprintf(format, args...))
}

// must retries until it succeeds, because the API server may be down.
func (w *world) must(try func(context.Context) error) {
	w.Helper()
	var err error
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); <-time.After(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		err = try(ctx)
		cancel()
		if err == nil || apierrors.IsAlreadyExists(err) {
			return
		}
	}
	w.Fatalf("gave up: %v", err)
}

func (w *world) setKey(value string) {
	w.Helper()
	w.must(func(ctx context.Context) error {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "alloy"}}
		if err := w.Get(ctx, client.ObjectKeyFromObject(secret), secret); apierrors.IsNotFound(err) {
			secret.Data = map[string][]byte{"apiKey": []byte(value)}
			return w.Create(ctx, secret)
		} else if err != nil {
			return err
		}
		secret.Data = map[string][]byte{"apiKey": []byte(value)}
		return w.Update(ctx, secret)
	})
}

// add adds new users to the list, a few of which the API refuses.
func (w *world) add(n int) {
	for range n {
		user := v1alpha1.User{Username: fmt.Sprintf("user-%04d", w.next), FullName: fmt.Sprintf("User %d", w.next)}
		if w.rnd.IntN(150) == 0 {
			user.Username = fmt.Sprintf("bad-%04d", w.next)
		}
		w.next++
		at := w.rnd.IntN(len(w.list) + 1)
		w.list = append(w.list[:at], append([]v1alpha1.User{user}, w.list[at:]...)...)
		w.everWanted[user.Username] = struct{}{}
	}
}

// apply writes the list to the batch.
func (w *world) apply() {
	w.Helper()
	if w.fromFile {
		w.must(w.writeFile)
	}
	w.must(func(ctx context.Context) error {
		batch := &v1alpha1.EmbeddedUserBatch{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: batchName}}
		err := w.Get(ctx, client.ObjectKeyFromObject(batch), batch)
		batch.Spec.APIKeySecretRef.Name = "alloy"
		if w.fromFile {
			batch.Spec.UsersFrom = []v1alpha1.UsersSource{{ConfigMapKeyRef: &v1alpha1.UsersKeyReference{Name: "list", Key: "users.csv"}}}
		} else {
			batch.Spec.Users = w.list
		}
		if apierrors.IsNotFound(err) {
			return w.Create(ctx, batch)
		}
		if err != nil {
			return err
		}
		return w.Update(ctx, batch)
	})
}

// writeFile writes the list into the ConfigMap.
func (w *world) writeFile(ctx context.Context) error {
	var csv strings.Builder
	csv.WriteString("fullName,username\n")
	for _, user := range w.list {
		fmt.Fprintf(&csv, "%s,%s\n", user.FullName, user.Username)
	}
	file := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "list"}}
	err := w.Get(ctx, client.ObjectKeyFromObject(file), file)
	file.Data = map[string]string{"users.csv": csv.String()}
	switch {
	case apierrors.IsNotFound(err):
		return w.Create(ctx, file)
	case err != nil:
		return err
	default:
		return w.Update(ctx, file)
	}
}

// startOperator runs the operator and restarts it when it exits, as the kubelet does: it cannot start without an API server.
func (w *world) startOperator() {
	ended := make(chan struct{})
	w.mu.Lock()
	w.ended, w.stopping = ended, false
	w.mu.Unlock()
	started := make(chan struct{})
	begun := started
	go func() {
		defer close(ended)
		for {
			operator := exec.Command(os.Args[0])
			operator.Env = append(os.Environ(), "CHAOS_NAMESPACE="+w.namespace, "CHAOS_URL="+w.url, "KUBECONFIG="+kubeconfig)
			operator.Stdout, operator.Stderr = &w.log, &w.log
			w.mu.Lock()
			if w.stopping {
				w.mu.Unlock()
				return
			}
			err := operator.Start()
			w.operator = operator
			w.mu.Unlock()
			if started != nil {
				close(started)
				started = nil
			}
			if err == nil {
				_ = operator.Wait()
			}
			<-time.After(100 * time.Millisecond)
		}
	}()
	<-begun
}

func (w *world) stopOperator(signal syscall.Signal) {
	w.mu.Lock()
	w.stopping = true
	_ = w.operator.Process.Signal(signal)
	w.mu.Unlock()
	<-w.ended
}

// slices returns the slices that the batch controls.
func (w *world) slices(ctx context.Context) ([]v1alpha1.EmbeddedUserSlice, error) {
	var batch v1alpha1.EmbeddedUserBatch
	if err := w.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: batchName}, &batch); err != nil {
		return nil, err
	}
	var list v1alpha1.EmbeddedUserSliceList
	if err := w.List(ctx, &list, client.InNamespace(w.namespace)); err != nil {
		return nil, err
	}
	var owned []v1alpha1.EmbeddedUserSlice
	for _, slice := range list.Items {
		if metav1.IsControlledBy(&slice, &batch) {
			owned = append(owned, slice)
		}
	}
	return owned, nil
}

// checkArrival records the users of a request that have a stored result.
func (w *world) checkArrival(r simulator.Request) {
	w.mu.Lock()
	skip := w.damaging
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	owned, err := w.slices(ctx)
	if skip || err != nil {
		return // the stored results are unknown
	}
	stored := map[string]v1alpha1.Result{}
	for _, slice := range owned {
		for _, result := range slice.Status.Results {
			if result.Result != v1alpha1.ResultInvalid {
				stored[result.Username] = result.Result
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, username := range r.Usernames {
		if _, isShared := w.shared[username]; isShared {
			continue // it may be sent for another owner
		}
		if result, ok := stored[username]; ok {
			w.resent = append(w.resent, fmt.Sprintf("%s (%s) at %s", username, result, time.Now().Format("05.000")))
		}
	}
}
