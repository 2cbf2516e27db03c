// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// slowSlices has each write of a slice's spec take some time.
func (w *world) slowSlices(delay time.Duration) {
	w.forbid(func(r *http.Request) bool {
		if r.Method != http.MethodGet && strings.Contains(r.URL.Path, "/embeddeduserslices") && !strings.HasSuffix(r.URL.Path, "/status") {
			select {
			case <-r.Context().Done():
			case <-time.After(delay):
			}
		}
		return false
	})
}

// blockSlices has the creation of a batch's slices take until release is called. blocked is closed when the first one begins.
func (w *world) blockSlices(batch string) (blocked <-chan struct{}, release func()) {
	began, released := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.forbid(func(r *http.Request) bool {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/embeddeduserslices") {
			return false
		}
		body, err := r.GetBody()
		if err != nil {
			w.Error(err)
			return false
		}
		if text, err := io.ReadAll(body); err == nil && bytes.Contains(text, []byte(`"name":"`+batch+`-`)) {
			once.Do(func() { close(began) })
			<-released
		}
		return false
	})
	release = sync.OnceFunc(func() { close(released) })
	w.Cleanup(release)
	return began, release
}

// createLong creates a batch of n users with a name in a compressed list.
func (w *world) createLong(name string, n int, fullName string) {
	w.Helper()
	list := w.configMap(name, nil)
	rows := strings.ReplaceAll(lines(name, n), "\n", ","+fullName+"\n")
	list.BinaryData = map[string][]byte{"users.csv.gz": w.zipped("username,fullName\n" + rows)}
	w.MustCreate(list)
	w.createFrom(name, configMapSource(name, "users.csv.gz"))
}

// TestLong_TheStatusMovesAtLeastEveryFiveSeconds watches the status while 40 slices are written in ten seconds.
func TestLong_TheStatusMovesAtLeastEveryFiveSeconds(t *testing.T) {
	w := makeWorld(t, simulator.Options{}) // not in parallel with other tests, because it is about time
	w.SetKey(w.Key)
	w.slowSlices(500 * time.Millisecond)
	w.createLong("long", 40_000, "Somebody")
	w.Eventually(func() int { return len(w.Slices()) }).Should(gomega.BeNumerically(">", 0))
	last, still, updates, version := time.Now(), time.Duration(0), 0, ""
	w.Eventually(func() string {
		batch := w.Load("long")
		// A machine without time for the operator, which runs in this process, has none for this loop: a turn takes less than this else.
		still += min(time.Since(last), 200*time.Millisecond)
		last = time.Now()
		if batch.ResourceVersion == version {
			return ""
		}
		if still > 5*time.Second {
			t.Errorf("the status stood still for %s", still)
		}
		still, version = 0, batch.ResourceVersion
		if updates++; updates > 1 && batch.Status.Counts.Total != 40_000 {
			t.Errorf("counts while the slices are written: %+v", batch.Status.Counts)
		}
		return testenv.Condition(batch.Status.Conditions, v1alpha1.ConditionReady).Reason
	}).Should(gomega.Equal(v1alpha1.ReasonSucceeded))
	if updates < 4 {
		t.Errorf("%d updates of the status", updates)
	}
}

// TestPlanning_ALongListWaitsForMemory lets one long list be planned at a time.
func TestPlanning_ALongListWaitsForMemory(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.halt()
	w.memory = 8 << 20
	w.start()
	blocked, release := w.blockSlices("first")
	fullName := strings.Repeat("long ", 50) // so that few users make a list of more than 1 MiB
	w.SetKey(w.Key)
	w.createLong("first", 10_000, fullName)
	<-blocked
	w.createLong("second", 10_000, fullName)
	w.CreateBatch("small", testenv.Users("small", 1000)...)
	w.Eventually(func() string {
		return testenv.Condition(w.Load("second").Status.Conditions, v1alpha1.ConditionReady).Message
	}).Should(gomega.ContainSubstring("Waiting for memory"))
	w.Await("small", v1alpha1.ReasonSucceeded)
	if reason := testenv.Condition(w.Load("first").Status.Conditions, v1alpha1.ConditionReady).Reason; reason == v1alpha1.ReasonSucceeded {
		t.Error("the small list waited for the long one")
	}
	release()
	w.Await("first", v1alpha1.ReasonSucceeded)
	w.Await("second", v1alpha1.ReasonSucceeded)
}

func TestPlanning_AListThatIsTooLargeIsRefused(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.halt()
	w.memory = 8 << 20
	w.start()
	w.SetKey(w.Key)
	w.createLong("large", 60_000, "Somebody with quite a long name")
	status := w.Await("large", v1alpha1.ReasonListTooLarge).Status
	if ready := testenv.Condition(status.Conditions, v1alpha1.ConditionReady); !contains(ready.Message, "--max-list-memory", "8Mi", "split") {
		t.Errorf("message: %s", ready.Message)
	}
	list := w.configMap("large", nil)
	w.Must(w.Get(w.Context(), client.ObjectKeyFromObject(list), list))
	list.BinaryData = map[string][]byte{"users.csv.gz": w.zipped("username\n" + lines("few", 3))}
	w.Must(w.Update(w.Context(), list))
	w.Await("large", v1alpha1.ReasonSucceeded)
}

// TestPlanning_IsNotReadyBeforeEveryUserIsInASlice removes more users than it adds, while the writes of slices are slow.
func TestPlanning_IsNotReadyBeforeEveryUserIsInASlice(t *testing.T) {
	w := makeWorld(t, simulator.Options{}) // not in parallel with other tests, because it is about time
	w.SetKey(w.Key)
	w.CreateBatch("b", testenv.Users("user", 6000)...)
	w.Await("b", v1alpha1.ReasonSucceeded)
	w.slowSlices(1500 * time.Millisecond)
	w.Edit("b", func(b *v1alpha1.EmbeddedUserBatch) {
		b.Spec.Users = append(b.Spec.Users[4000:], testenv.Rows(testenv.Users("new", 500)...)...)
	})
	if counts := w.Await("b", v1alpha1.ReasonSucceeded).Status.Counts; counts.Total != 2500 || counts.Created != 2500 {
		t.Errorf("Ready with counts %+v", counts)
	}
}
