// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// patience is how long the operator waits for what is missing, according to docs/embeddeduserbatch.md.
const patience = 2 * time.Minute

// watch records the statuses of a batch from now on. The function that it returns waits for the present one, and returns all.
func (w *world) watch(name string) (statuses func() []v1alpha1.EmbeddedUserBatchStatus) {
	w.Helper()
	watching, err := client.NewWithWatch(plane.Config, client.Options{Scheme: controller.NewScheme()})
	w.Must(err)
	watcher, err := watching.Watch(w.Context(), &v1alpha1.EmbeddedUserBatchList{},
		client.InNamespace(w.Namespace), client.MatchingFields{"metadata.name": name})
	w.Must(err)
	w.Cleanup(watcher.Stop)
	var mu sync.Mutex
	var seen []v1alpha1.EmbeddedUserBatchStatus
	var last string
	go func() {
		for event := range watcher.ResultChan() {
			if batch, ok := event.Object.(*v1alpha1.EmbeddedUserBatch); ok {
				mu.Lock()
				seen, last = append(seen, batch.Status), batch.ResourceVersion
				mu.Unlock()
			}
		}
	}()
	return func() []v1alpha1.EmbeddedUserBatchStatus {
		w.Helper()
		w.Eventually(func() bool {
			present := w.Load(name).ResourceVersion
			mu.Lock()
			defer mu.Unlock()
			return last == present
		}).Should(gomega.BeTrue(), "the watch is behind")
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

// setSince sets the time since when a condition of a batch has its status.
func (w *world) setSince(batch, conditionType string, since metav1.Time) {
	w.Helper()
	w.Must(testenv.Await(w.Context(), func(ctx context.Context) error {
		b := w.Load(batch)
		meta.FindStatusCondition(b.Status.Conditions, conditionType).LastTransitionTime = since
		return w.Status().Update(ctx, b)
	}))
}

// ago returns the time some time ago, as it is stored.
func ago(d time.Duration) metav1.Time { return metav1.NewTime(time.Now().Add(-d)).Rfc3339Copy() }

// awaitStalled waits until a batch is stalled, and returns it.
func (w *world) awaitStalled(name string) (batch *v1alpha1.EmbeddedUserBatch) {
	w.Helper()
	w.Eventually(func() bool {
		batch = w.Load(name)
		return meta.IsStatusConditionTrue(batch.Status.Conditions, v1alpha1.ConditionStalled)
	}).Should(gomega.BeTrue(), func() string { return fmt.Sprintf("status: %+v", batch.Status) })
	return batch
}

// secret returns a Secret without creating it.
func (w *world) secret(name, key, value string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}, Data: map[string][]byte{key: []byte(value)}}
}

func TestOrder_WhatComesLaterDoesNotStall(t *testing.T) {
	setKey := func(w *world) { w.SetKey(w.Key) }
	createList := func(w *world) {
		w.MustCreate(w.configMap("list", map[string]string{"users.csv": "username\nlisted\n"}))
	}
	type step struct {
		reason string // of Ready before the step
		then   func(*world)
	}
	for name, tc := range map[string]struct {
		before  func(*world)
		sources []v1alpha1.UsersSource
		steps   []step
	}{
		"a Secret": {func(*world) {}, nil, []step{{v1alpha1.ReasonSecretNotFound, setKey}}},
		"a key in the Secret": {
			func(w *world) { w.MustCreate(w.secret("alloy", "other", "x")) }, nil, []step{{v1alpha1.ReasonSecretNotFound, setKey}},
		},
		"a ConfigMap": {
			setKey, []v1alpha1.UsersSource{configMapSource("list", "users.csv")},
			[]step{{v1alpha1.ReasonSourceNotFound, createList}},
		},
		"a key in the ConfigMap": {
			func(w *world) { setKey(w); w.MustCreate(w.configMap("list", nil)) }, []v1alpha1.UsersSource{configMapSource("list", "users.csv")},
			[]step{{v1alpha1.ReasonSourceNotFound, func(w *world) {
				w.change(w.configMap("list", nil), map[string]string{"users.csv": "username\nlisted\n"})
			}}},
		},
		"a Secret with a list": {
			setKey, []v1alpha1.UsersSource{secretSource("list", "users.csv")},
			[]step{{v1alpha1.ReasonSourceNotFound, func(w *world) { w.MustCreate(w.secret("list", "users.csv", "username\nlisted\n")) }}},
		},
		"a list and then the key": {
			func(*world) {}, []v1alpha1.UsersSource{configMapSource("list", "users.csv")},
			[]step{{v1alpha1.ReasonSourceNotFound, createList}, {v1alpha1.ReasonSecretNotFound, setKey}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			tc.before(w)
			statuses := w.watch("b")
			batch := w.Batch("b", v1alpha1.User{Username: "inline"})
			batch.Spec.UsersFrom = tc.sources
			w.MustCreate(batch)
			for _, step := range tc.steps {
				w.Await("b", step.reason)
				step.then(w)
			}
			w.Await("b", v1alpha1.ReasonSucceeded)
			for _, status := range statuses() {
				if stalled := testenv.Condition(status.Conditions, v1alpha1.ConditionStalled); stalled.Type != "" {
					t.Errorf("stalled: %s, %s", stalled.Reason, stalled.Message)
				}
			}
		})
	}
}

// missing are the things that may come later, and the condition that says since when one is missing.
var missing = map[string]struct {
	reason, condition string
	source            []v1alpha1.UsersSource
	supply            func(*world)
}{
	"a Secret": {v1alpha1.ReasonSecretNotFound, v1alpha1.ConditionCredentialsValid, nil, func(w *world) { w.SetKey(w.Key) }},
	"a source": {
		v1alpha1.ReasonSourceNotFound, v1alpha1.ConditionSourcesRead, []v1alpha1.UsersSource{configMapSource("list", "users.csv")},
		func(w *world) {
			w.SetKey(w.Key)
			w.MustCreate(w.configMap("list", map[string]string{"users.csv": "username\nlisted\n"}))
		},
	},
}

// TestOrder_StalledAfterTwoMinutes has most of the two minutes pass by setting the transition time back.
func TestOrder_StalledAfterTwoMinutes(t *testing.T) {
	for name, tc := range missing {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			statuses := w.watch("b")
			batch := w.Batch("b", v1alpha1.User{Username: "inline"})
			batch.Spec.UsersFrom = tc.source
			w.MustCreate(batch)
			w.Await("b", tc.reason)
			since := ago(patience - 3*time.Second)
			w.setSince("b", tc.condition, since) // no event follows
			stalled := w.awaitStalled("b")
			if got := testenv.Condition(stalled.Status.Conditions, tc.condition).LastTransitionTime; !got.Equal(&since) {
				t.Errorf("%s has been so since %s, want %s", tc.condition, got, since)
			}
			var turns []string
			for _, status := range statuses() {
				turn := "nobody saw it yet"
				for _, conditionType := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled} {
					if c := testenv.Condition(status.Conditions, conditionType); c.Type != "" {
						turn = c.Type + " " + c.Reason
					}
				}
				turns = append(turns, turn)
			}
			waits := "Reconciling " + tc.reason // written once by the operator, and once by setSince
			w.Equal("statuses", []string{"nobody saw it yet", waits, waits, "Stalled " + tc.reason}, turns)

			// Another generation is another attempt.
			w.Edit("b", func(b *v1alpha1.EmbeddedUserBatch) {
				b.Spec.Users = append(b.Spec.Users, v1alpha1.UserRow{Username: "another"})
			})
			again := w.Await("b", tc.reason).Status
			began := testenv.Condition(again.Conditions, tc.condition).LastTransitionTime
			if !since.Before(&began) || meta.IsStatusConditionTrue(again.Conditions, v1alpha1.ConditionStalled) {
				t.Errorf("after an edit: %+v", again.Conditions)
			}
			if _, requests := w.Sent(); requests > 0 {
				t.Errorf("%d requests", requests)
			}
			tc.supply(w)
			w.Await("b", v1alpha1.ReasonSucceeded)
		})
	}
}

func TestOrder_ARestartContinuesTheCount(t *testing.T) {
	for name, tc := range missing {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			batch := w.Batch("kept", v1alpha1.User{Username: "inline"})
			batch.Spec.UsersFrom = tc.source
			w.MustCreate(batch)
			w.Await("kept", tc.reason)
			w.halt()
			since := ago(patience - 5*time.Second)
			w.setSince("kept", tc.condition, since)
			w.start()
			status := w.awaitStalled("kept").Status
			if got := testenv.Condition(status.Conditions, tc.condition).LastTransitionTime; !got.Equal(&since) {
				t.Errorf("%s has been so since %s, want %s", tc.condition, got, since)
			}
		})
	}
}

// TestOrder_ASliceIsNeverStalledByASecret looks at a slice while its Secret is missing, and while the request runs that follows.
func TestOrder_ASliceIsNeverStalledByASecret(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	applied, release := w.Hold()
	w.CreateBatch("b", testenv.Users("user", 3)...)
	w.Await("b", v1alpha1.ReasonSecretNotFound)
	w.setSince("b", v1alpha1.ConditionCredentialsValid, ago(patience))
	w.awaitStalled("b")
	says := func() (says []string) {
		for _, condition := range w.Slices()[0].Status.Conditions {
			says = append(says, fmt.Sprintf("%s %s %s", condition.Type, condition.Status, condition.Reason))
		}
		return says
	}
	w.Eventually(says).Should(gomega.ConsistOf("Ready False SecretNotFound", "Reconciling True SecretNotFound"))
	w.SetKey(w.Key)
	<-applied
	w.Eventually(says).Should(gomega.ConsistOf("Ready Unknown Progressing", "Reconciling True Progressing"))
	w.Await("b", v1alpha1.ReasonProgressing)
	release()
	w.Await("b", v1alpha1.ReasonSucceeded)
}

// TestOrder_AnotherKeyWhileTheListIsMissing changes the key of a batch whose slices cannot be given it, because the list is gone.
func TestOrder_AnotherKeyWhileTheListIsMissing(t *testing.T) {
	for name, tc := range map[string]struct {
		value, reason string // of the old Secret
	}{
		"after a missing key":   {"", v1alpha1.ReasonSecretNotFound},
		"after an unusable key": {`"quoted"`, v1alpha1.ReasonInvalidCredentials},
		"after a rejected key":  {"wrong", v1alpha1.ReasonUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			if tc.value != "" {
				w.SetKey(tc.value)
			}
			list := w.configMap("list", map[string]string{"users.csv": "username\nlisted\n"})
			w.MustCreate(list)
			w.createFrom("b", configMapSource("list", "users.csv"))
			w.Await("b", tc.reason)
			_, before := w.Sent()
			w.Must(w.Delete(t.Context(), list))
			w.Eventually(func() string {
				return testenv.Condition(w.Load("b").Status.Conditions, v1alpha1.ConditionSourcesRead).Reason
			}).Should(gomega.Equal(v1alpha1.ReasonSourceNotFound))

			w.MustCreate(w.secret("good", "apiKey", w.Key))
			w.Edit("b", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.APIKeySecretRef.Name = "good" })
			w.Await("b", v1alpha1.ReasonSourceNotFound)
			w.setSince("b", v1alpha1.ConditionSourcesRead, ago(patience))
			status := w.awaitStalled("b").Status
			ready := testenv.Condition(status.Conditions, v1alpha1.ConditionReady)
			if ready.Reason != v1alpha1.ReasonSourceNotFound || status.Counts.Pending != 1 {
				t.Errorf("status: %+v", status)
			}
			if _, requests := w.Sent(); requests != before {
				t.Errorf("%d requests were sent", requests-before)
			}
			w.MustCreate(w.configMap("list", list.Data))
			w.Await("b", v1alpha1.ReasonSucceeded)
		})
	}
}
