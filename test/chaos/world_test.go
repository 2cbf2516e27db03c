// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

const batchName = "chaos"

// world is the namespace, simulator and operator of one seed.
type world struct {
	*testenv.World
	kubelet kubelet
	rnd     *rand.Rand
	options simulator.Options
	steps   []string
	wanted  wanted
	resent  resent
	later   later

	fromFile  bool // the list is in a ConfigMap
	recreated bool // the batch or a slice was recreated, so requests may overlap
}

// wanted are the users that the batches list.
type wanted struct {
	list   []v1alpha1.User     // in the large batch, now
	shared map[string]struct{} // also in small batches
	ever   map[string]struct{} // including seeded users
	next   int                 // number of the next new user
}

// resent collects the users that were sent although they had a stored result Created or Existing.
type resent struct {
	mu       sync.Mutex
	users    []string
	damaging bool // damage is running, so stored results are not reliable
}

// newWorld returns the world of a seed, with batches and a running operator.
func newWorld(t *testing.T, seed int64) *world {
	t.Helper()
	rnd := rand.New(rand.NewPCG(uint64(seed), 0))
	w := &world{rnd: rnd, later: newLater(seed), wanted: wanted{ever: map[string]struct{}{}, shared: map[string]struct{}{}}}
	w.fromFile = rnd.IntN(2) == 0
	forms := []simulator.InvalidUsersForm{simulator.InvalidUsersEmpty, simulator.InvalidUsersNull, simulator.InvalidUsersAbsent}
	w.options = simulator.Options{
		Latency:         time.Duration(rnd.IntN(80)) * time.Millisecond,
		Reject:          func(username string) bool { return strings.HasPrefix(username, "bad-") },
		InvalidUsers:    forms[rnd.IntN(len(forms))],
		SkipExisting:    rnd.IntN(6) == 0,
		MixedAllExist:   rnd.IntN(6) == 0,
		CheckThenCreate: rnd.IntN(6) == 0,
	}
	if rnd.IntN(6) == 0 {
		w.options.ReadLag = 100 * time.Millisecond
	}
	t.Cleanup(func() { // after the checks of testenv.World
		if t.Failed() {
			t.Logf("seed %d, simulator %+v\n%s\n\n%s", seed, w.options, strings.Join(w.steps, "\n"), w.kubelet.log.Bytes())
		}
	})
	w.World = testenv.NewWorld(t, plane, fmt.Sprintf("seed-%d", seed), w.options)
	w.Sim.OnArrived(w.checkArrival)
	for range rnd.IntN(30) {
		name := fmt.Sprintf("user-%04d", rnd.IntN(1500))
		w.Sim.Seed(w.Key, name)
		w.wanted.ever[name] = struct{}{}
	}
	w.SetKey(w.Key)
	w.add(200 + rnd.IntN(2000))
	w.addSmallBatches(rnd.IntN(40))
	w.apply()
	w.kubelet.env = []string{"CHAOS_NAMESPACE=" + w.Namespace, "CHAOS_URL=" + w.URL, "KUBECONFIG=" + plane.Kubeconfig}
	w.kubelet.start()
	t.Cleanup(func() { w.kubelet.stop(syscall.SIGKILL) })
	return w
}

// addSmallBatches creates small batches under the same key, with users of the list and others.
func (w *world) addSmallBatches(n int) {
	w.Helper()
	for i := range n {
		batch := w.Batch(fmt.Sprintf("small-%d", i))
		common := fmt.Sprintf("user-%04d", w.rnd.IntN(w.wanted.next))
		w.wanted.shared[common] = struct{}{}
		for _, username := range []string{common, fmt.Sprintf("small-%d", i), fmt.Sprintf("small-%d", i/2)} {
			batch.Spec.Users = append(batch.Spec.Users, v1alpha1.UserRow{Username: username})
			w.wanted.ever[username] = struct{}{}
		}
		w.MustCreate(batch)
	}
}

// step records a step, to be logged if the test fails.
func (w *world) step(format string, args ...any) {
	w.steps = append(w.steps, time.Now().Format("05.000 ")+fmt.Sprintf(format, args...))
}

// add adds new users to the list, a few of which the API refuses.
func (w *world) add(n int) {
	for range n {
		user := v1alpha1.User{Username: fmt.Sprintf("user-%04d", w.wanted.next), FullName: fmt.Sprintf("User %d", w.wanted.next)}
		if w.rnd.IntN(150) == 0 {
			user.Username = fmt.Sprintf("bad-%04d", w.wanted.next)
		}
		w.wanted.next++
		w.wanted.list = slices.Insert(w.wanted.list, w.rnd.IntN(len(w.wanted.list)+1), user)
		w.wanted.ever[user.Username] = struct{}{}
	}
}

// apply writes the list to the batch.
func (w *world) apply() {
	w.Helper()
	if w.fromFile {
		var csv strings.Builder
		csv.WriteString("fullName,username\n")
		for _, user := range w.wanted.list {
			fmt.Fprintf(&csv, "%s,%s\n", user.FullName, user.Username)
		}
		file := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "list"}}
		w.Put(file, func() { file.Data = map[string]string{"users.csv": csv.String()} })
	}
	batch := w.Batch(batchName)
	w.Put(batch, func() {
		if w.later.updates {
			batch.Spec.UpdatePolicy = v1alpha1.UpdatePolicyUpdate
		}
		if w.fromFile {
			batch.Spec.UsersFrom = []v1alpha1.UsersSource{{ConfigMapKeyRef: &v1alpha1.UsersKeyReference{Name: "list", Key: "users.csv"}}}
		} else {
			batch.Spec.Users = testenv.Rows(w.wanted.list...)
		}
	})
}

// owned returns the slices that the batch controls.
func (w *world) owned(ctx context.Context) ([]v1alpha1.EmbeddedUserSlice, error) {
	batch := w.Batch(batchName)
	if err := w.Get(ctx, client.ObjectKeyFromObject(batch), batch); err != nil {
		return nil, err
	}
	var list v1alpha1.EmbeddedUserSliceList
	err := w.List(ctx, &list, client.InNamespace(w.Namespace))
	return slices.DeleteFunc(list.Items, func(slice v1alpha1.EmbeddedUserSlice) bool { return !metav1.IsControlledBy(&slice, batch) }), err
}

// checkArrival records the users of a request that have a stored result.
func (w *world) checkArrival(r simulator.Request) {
	w.resent.mu.Lock()
	skip := w.resent.damaging
	w.resent.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	owned, err := w.owned(ctx)
	if skip || err != nil {
		return // the stored results are unknown
	}
	stored := map[string]v1alpha1.Result{}
	for _, slice := range owned {
		for _, result := range slice.Status.Results {
			if result.Result != v1alpha1.ResultInvalid && result.Pending == "" {
				stored[result.Username] = result.Result
			}
		}
	}
	w.resent.mu.Lock()
	defer w.resent.mu.Unlock()
	for _, username := range r.Usernames {
		if _, isShared := w.wanted.shared[username]; isShared {
			continue // it may be sent for another owner
		}
		if result, ok := stored[username]; ok {
			w.resent.users = append(w.resent.users, fmt.Sprintf("%s (%s) at %s", username, result, time.Now().Format("05.000")))
		}
	}
}
