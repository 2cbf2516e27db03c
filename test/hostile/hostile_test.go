// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/hostile/lists"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// TestLists_NoneStopsANeighbour creates eight batches with each hostile list, and a batch of 1,000 users in another namespace.
func TestLists_NoneStopsANeighbour(t *testing.T) {
	all := lists.All()
	for i, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			if !*everything && !all[name].IsQuick {
				t.Skip("make test-hostile tests it")
			}
			harass(t, fmt.Sprintf("hostile-%d", i), all[name], "")
		})
	}
}

// TestLists_OfAWrongKey does the same while the users of the lists wait under a key that the API rejects.
func TestLists_OfAWrongKey(t *testing.T) {
	if !*everything {
		t.Skip("make test-hostile tests it")
	}
	harass(t, "wrong-key", lists.All()["a million users"], "a-wrong-key")
}

// harass creates batches with a list, and checks the memory of the operator and the time that a neighbour waits. An empty key stands for
// the right one.
func harass(t *testing.T, namespace string, list lists.List, key string) {
	t.Helper()
	const neighboursKey = "key-of-the-neighbour"
	w := testenv.NewWorld(t, plane, namespace, simulator.Options{Keys: []string{neighboursKey}})
	neighbour := testenv.NewWorld(t, plane, namespace+"-neighbour", simulator.Options{})
	neighbour.SetKey(neighboursKey)
	w.SetKey(cmp.Or(key, w.Key))
	operator := w.StartOperator(testenv.OperatorOptions{
		Path: program, Kubeconfig: plane.Kubeconfig, Env: []string{goMemoryLimit},
		Args: []string{"--watch-namespaces", w.Namespace + "," + neighbour.Namespace},
	})
	sources, err := list.Store(t.Context(), w, w.Namespace)
	w.Must(err)
	began := time.Now()
	for i := range atOnce {
		batch := w.Batch(fmt.Sprintf("list-%d", i))
		batch.Spec.UsersFrom = sources
		w.MustCreate(batch)
	}
	neighbour.CreateBatch("users", testenv.Users("user", 1000)...)
	neighbour.Await("users", v1alpha1.ReasonSucceeded)
	took := time.Since(began)
	if took > neighbourPatience {
		t.Errorf("the neighbour waited %s", took)
	}
	for i := range atOnce {
		if len(list.Want) > 0 {
			w.Await(fmt.Sprintf("list-%d", i), list.Want...)
		}
	}
	if len(list.Want) == 0 { // so many are written while another list is read
		w.Eventually(func() int { return slicesOf(w) }).WithTimeout(longPatience).Should(gomega.BeNumerically(">=", list.Slices()))
	}
	_, peak, err := operator.Memory()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("peak %d MiB, the neighbour was ready after %s, all after %s",
		peak>>20, took.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	if int64(peak) > memoryLimit {
		t.Errorf("the operator takes %d MiB", peak>>20)
	}
}

// slicesOf counts the slices of a world.
func slicesOf(w *testenv.World) int {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind("EmbeddedUserSliceList"))
	w.Expect(w.List(w.Context(), list, client.InNamespace(w.Namespace))).To(gomega.Succeed())
	return len(list.Items)
}
