// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// TestChaos runs -seeds seeds, starting with -seed. A seed determines the steps of a run, and their timing only roughly.
func TestChaos(t *testing.T) {
	for seed := *first; seed < *first+int64(*seeds); seed++ {
		t.Run(fmt.Sprintf("seed-%d", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			for range 8 + w.rnd.IntN(12) {
				<-time.After(time.Duration(w.rnd.IntN(400)) * time.Millisecond)
				w.breakSomething(seed)
				w.interfere()
			}
			w.settle()
			w.check()
		})
	}
}

// breakSomething injects one random failure.
func (w *world) breakSomething(seed int64) {
	switch w.rnd.IntN(16) {
	case 0, 1:
		w.step("kill the operator")
		w.kubelet.stop(syscall.SIGKILL)
		w.kubelet.start()
	case 2:
		w.step("stop the operator")
		w.kubelet.stop(syscall.SIGTERM)
		w.kubelet.start()
	case 3, 4, 5, 6:
		fault := w.anyFault()
		w.step("inject %+v", fault)
		w.Sim.Inject(fault)
	case 7, 8:
		n := 1 + w.rnd.IntN(20)
		w.step("add %d users", n)
		w.add(n)
		w.apply()
	case 9:
		n := min(len(w.wanted.list), 1+w.rnd.IntN(300))
		at := w.rnd.IntN(len(w.wanted.list) - n + 1)
		w.step("remove %d users", n)
		w.wanted.list = slices.Delete(w.wanted.list, at, at+n)
		w.apply()
	case 10:
		w.step("rename users")
		for i := range w.wanted.list {
			if w.rnd.IntN(20) == 0 {
				w.wanted.list[i].FullName += "x"
			}
		}
		w.apply()
	case 11:
		w.step("break and fix the key")
		w.SetKey([]string{"wrong", "", "two\nlines"}[w.rnd.IntN(3)])
		<-time.After(time.Duration(w.rnd.IntN(500)) * time.Millisecond)
		w.SetKey(w.Key)
	case 12, 13, 14:
		w.damage()
	case 15:
		if seed%10 == 0 {
			w.restartAPIServer()
		} else {
			w.recreate()
		}
	}
}

// anyFault returns a random answer from docs/answers.md, or a broken connection.
func (w *world) anyFault() simulator.Fault {
	statuses := []int{400, 401, 402, 403, 404, 408, 413, 422, 425, 429, 500, 502, 503, 302, 200}
	fault := simulator.Fault{Times: 1 + w.rnd.IntN(3), Apply: w.rnd.IntN(3) == 0}
	switch w.rnd.IntN(6) {
	case 0:
		fault.Cut, fault.Apply = true, w.rnd.IntN(2) == 0
	case 1:
		fault.Delay, fault.Apply = alloyTimeout+200*time.Millisecond, w.rnd.IntN(2) == 0
	case 2:
		fault.Body = []string{`{"message":"succ`, `<html>`, `{}`, `{"message":"success","invalidUsers":["x"]}`, `null`}[w.rnd.IntN(5)]
		fault.Apply = true
	default:
		fault.Status = statuses[w.rnd.IntN(len(statuses))]
		fault.Body = `{"message":"chaos"}`
		if fault.Status/100 == 4 {
			fault.Apply = false // the operator rightly believes a refusal, so it must not have been applied
		}
		if slices.Contains([]int{400, 402, 403, 404, 413, 422}, fault.Status) {
			// The operator rightly records a user that is refused alone as invalid.
			fault.Match = func(r simulator.Request) bool { return len(r.Usernames) > 1 }
		}
		if fault.Status == 429 {
			fault.Header = http.Header{"Retry-After": {"1"}}
		}
		if fault.Status == 302 {
			fault.Header, fault.Apply = http.Header{"Location": {"/users"}}, false
		}
	}
	return fault
}

// damage corrupts a slice as somebody with kubectl could. It never writes a false result.
func (w *world) damage() {
	w.setDamaging(true)
	defer w.setDamaging(false)
	kind := w.rnd.IntN(6)
	pick := w.rnd.Int()
	w.step("damage %d", kind)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	owned, err := w.owned(ctx)
	if err != nil || len(owned) == 0 {
		return
	}
	slice := &owned[pick%len(owned)]
	switch kind {
	case 0:
		w.recreated = true
		_ = w.Delete(ctx, slice)
	case 1:
		slice.Status.Results = slice.Status.Results[:len(slice.Status.Results)/2]
		_ = w.Status().Update(ctx, slice)
	case 2:
		slice.Spec.Users = slice.Spec.Users[:len(slice.Spec.Users)/2]
		_ = w.Update(ctx, slice)
	case 3:
		slice.Labels = nil
		_ = w.Update(ctx, slice)
	case 4:
		w.recreated = true
		slice.OwnerReferences = nil
		_ = w.Update(ctx, slice)
	case 5:
		slice.Status.Conditions = nil
		slice.Status.Counts = v1alpha1.UserCounts{}
		slice.Status.ObservedGeneration = 0
		_ = w.Status().Update(ctx, slice)
	}
}

func (w *world) setDamaging(damaging bool) {
	w.resent.mu.Lock()
	defer w.resent.mu.Unlock()
	w.resent.damaging = damaging
}

// recreate deletes the batch, with its slices or without, and creates it again under the same name.
func (w *world) recreate() {
	policy := []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationOrphan}[w.rnd.IntN(2)]
	w.step("recreate the batch, %s", policy)
	w.recreated = true
	err := testenv.Await(context.Background(), func(ctx context.Context) error {
		err := w.Delete(ctx, w.Batch(batchName), client.PropagationPolicy(policy))
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(errors.New("the batch is not gone"), err)
	})
	w.Must(err)
	w.apply()
}

func (w *world) restartAPIServer() {
	w.step("restart the API server")
	if err := plane.RestartAPIServer(); err != nil {
		w.Error(err)
	}
	w.step("restarted the API server")
}
