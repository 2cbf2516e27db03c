// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// TestLists_NoneStopsANeighbour creates eight batches with each hostile list, and a batch of 1,000 users in another namespace.
func TestLists_NoneStopsANeighbour(t *testing.T) {
	lists := lists()
	for i, name := range slices.Sorted(maps.Keys(lists)) {
		t.Run(name, func(t *testing.T) {
			if !*all && !lists[name].isQuick {
				t.Skip("make test-hostile tests it")
			}
			harass(t, fmt.Sprintf("hostile-%d", i), lists[name])
		})
	}
}

// TestLists_OfAWrongKey does the same while the users of the lists wait under a key that the API rejects.
func TestLists_OfAWrongKey(t *testing.T) {
	if !*all {
		t.Skip("make test-hostile tests it")
	}
	list := lists()["a million users"]
	list.wrongKey = true
	harass(t, "wrong-key", list)
}

// harass creates batches with a list, and checks the memory of the operator and the time that a neighbour waits.
func harass(t *testing.T, namespace string, list list) {
	t.Helper()
	const neighboursKey = "key-of-the-neighbour"
	w := testenv.NewWorld(t, plane, namespace, simulator.Options{Keys: []string{neighboursKey}})
	neighbour := testenv.NewWorld(t, plane, namespace+"-neighbour", simulator.Options{})
	neighbour.SetKey(neighboursKey)
	w.SetKey(map[bool]string{false: w.Key, true: "a-wrong-key"}[list.wrongKey])
	operator, err := testenv.StartOperator(t.Context(), testenv.OperatorOptions{
		Path: program, Kubeconfig: plane.Kubeconfig, AlloyURL: w.URL, Env: []string{goMemoryLimit}, Output: io.Discard,
		Args: []string{"--watch-namespaces", w.Namespace + "," + neighbour.Namespace},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(operator.Kill)
	sources := list.store(w)
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
		if len(list.want) > 0 {
			w.Await(fmt.Sprintf("list-%d", i), list.want...)
		}
	}
	if len(list.want) == 0 { // so many are written while another list is read
		w.Eventually(func() int { return slicesOf(w) }).WithTimeout(longPatience).Should(gomega.BeNumerically(">=", list.slices()))
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

// store writes the parts of a list into ConfigMaps, and returns the sources that name them.
func (l list) store(w *testenv.World) []v1alpha1.UsersSource {
	w.Helper()
	var sources []v1alpha1.UsersSource
	for i, text := range l.parts {
		part := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: fmt.Sprintf("list-%d", i)}}
		part.BinaryData = map[string][]byte{"list": l.zipped(w.TB, text)}
		w.MustCreate(part)
		sources = append(sources, v1alpha1.UsersSource{
			ConfigMapKeyRef: &v1alpha1.UsersKeyReference{Name: part.Name, Key: "list"}, Format: l.format,
		})
	}
	return slices.Repeat(sources, max(l.times, 1))
}

// slicesOf counts the slices of a world.
func slicesOf(w *testenv.World) int {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind("EmbeddedUserSliceList"))
	w.Expect(w.List(w.Context(), list, client.InNamespace(w.Namespace))).To(gomega.Succeed())
	return len(list.Items)
}
