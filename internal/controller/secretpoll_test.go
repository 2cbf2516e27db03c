// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// polls counts the requests for the metadata of Secrets, by name.
type polls struct {
	mu     sync.Mutex
	counts map[string]int
}

func (p *polls) of(secret string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[secret]
}

// newPollingWorld returns a world whose operator polls Secrets. The test fails if it lists or watches them.
func newPollingWorld(t *testing.T) (*world, *polls) {
	t.Helper()
	w, p := newWorld(t, simulator.Options{}), &polls{counts: map[string]int{}}
	w.halt()
	w.forbid(func(r *http.Request) bool {
		_, secret, isSecret := strings.Cut(r.URL.Path, "/secrets")
		if !isSecret {
			return false
		}
		if secret == "" {
			w.Errorf("%s %s", r.Method, r.URL)
		}
		if strings.Contains(r.Header.Get("Accept"), "PartialObjectMetadata") {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.counts[strings.TrimPrefix(secret, "/")]++
		}
		return false
	})
	w.poll = 100 * time.Millisecond
	w.start()
	return w, p
}

func TestSecretPoll_ChangesAreNoticed(t *testing.T) {
	w, _ := newPollingWorld(t)
	w.CreateBatch("keys", testenv.Users("keys", 20)...)
	w.Await("keys", v1alpha1.ReasonSecretNotFound)
	w.SetKey("wrong")
	w.Await("keys", v1alpha1.ReasonUnauthorized)
	w.SetKey(w.Key)
	w.Await("keys", v1alpha1.ReasonSucceeded)

	batch := w.Batch("lists")
	ref := &v1alpha1.UsersKeyReference{Name: "list", Key: "users.csv"}
	batch.Spec.UsersFrom = []v1alpha1.UsersSource{{SecretKeyRef: ref}}
	w.MustCreate(batch)
	w.Await("lists", v1alpha1.ReasonSourceNotFound)
	list := w.secret("list", "users.csv", "username\nfirst\n")
	w.MustCreate(list)
	w.Await("lists", v1alpha1.ReasonSucceeded)
	w.Put(list, func() { list.Data["users.csv"] = []byte("username\nfirst\nsecond\n") })
	w.Eventually(func() v1alpha1.Result { return w.Results()["second"].Result }).Should(gomega.Equal(v1alpha1.ResultCreated))

	w.Must(w.DeleteAllOf(t.Context(), &corev1.Secret{}, client.InNamespace(w.Namespace)))
	for batch, conditionType := range map[string]string{"keys": v1alpha1.ConditionCredentialsValid, "lists": v1alpha1.ConditionSourcesRead} {
		reason := map[string]string{"keys": v1alpha1.ReasonSecretNotFound, "lists": v1alpha1.ReasonSourceNotFound}[batch]
		w.Eventually(func() string { return testenv.Condition(w.Load(batch).Status.Conditions, conditionType).Reason }).
			Should(gomega.Equal(reason))
	}
}

// TestSecretPoll_EachSecretOnceHoweverManyReferToIt compares a Secret of 30 batches and their slices with one that is a list, while
// nothing changes.
func TestSecretPoll_EachSecretOnceHoweverManyReferToIt(t *testing.T) {
	const rounds, slack = 10, 3
	w, p := newPollingWorld(t)
	w.SetKey(w.Key)
	w.MustCreate(w.secret("list", "users.csv", "username\nlisted\n"))
	w.createFrom("from-list", v1alpha1.UsersSource{SecretKeyRef: &v1alpha1.UsersKeyReference{Name: "list", Key: "users.csv"}})
	for i := range 30 {
		w.CreateBatch(fmt.Sprintf("b-%d", i), testenv.Users(fmt.Sprintf("b-%d", i), 2)...)
	}
	for i := range 30 {
		w.Await(fmt.Sprintf("b-%d", i), v1alpha1.ReasonSucceeded)
	}
	w.Await("from-list", v1alpha1.ReasonSucceeded)
	key, list := p.of(testenv.SecretName), p.of("list")
	w.Eventually(func() int { return p.of("list") - list }).Should(gomega.BeNumerically(">=", rounds))
	if polled := p.of(testenv.SecretName) - key; polled < rounds-slack || polled > rounds+slack {
		t.Errorf("one was read %d times while the other was read %d times", polled, rounds)
	}
}

func TestSecretPoll_NobodyRefersToItAnyMore(t *testing.T) {
	w, p := newPollingWorld(t)
	w.SetKey(w.Key)
	w.MustCreate(w.secret("other", "apiKey", w.Key))
	for name, secret := range map[string]string{"stays": testenv.SecretName, "goes": "other"} {
		batch := w.Batch(name) // without users, so without slices, which nobody would delete
		batch.Spec.APIKeySecretRef.Name = secret
		w.MustCreate(batch)
		w.Await(name, v1alpha1.ReasonSucceeded)
	}
	awaitPolls := func(n int) {
		before := p.of(testenv.SecretName)
		w.Eventually(func() int { return p.of(testenv.SecretName) - before }).Should(gomega.BeNumerically(">=", n))
	}
	w.Eventually(func() int { return p.of("other") }).Should(gomega.BeNumerically(">", 1))
	w.Must(w.Delete(t.Context(), w.Load("goes")))
	awaitPolls(3)
	before := p.of("other")
	awaitPolls(3)
	if more := p.of("other") - before; more != 0 {
		t.Errorf("a Secret to which nothing refers was read %d times", more)
	}
}

// TestSecretPoll_WhatOneReadsTellsTheOthers polls so seldom that only the edit of one batch shows that the list of both has changed.
func TestSecretPoll_WhatOneReadsTellsTheOthers(t *testing.T) {
	w, _ := newPollingWorld(t)
	w.halt()
	w.poll = time.Hour
	w.start()
	w.SetKey(w.Key)
	list := w.secret("list", "users.csv", "username\nfirst\n")
	w.MustCreate(list)
	for _, name := range []string{"edited", "told"} {
		w.createFrom(name, v1alpha1.UsersSource{SecretKeyRef: &v1alpha1.UsersKeyReference{Name: "list", Key: "users.csv"}})
		w.Await(name, v1alpha1.ReasonSucceeded)
	}
	w.Put(list, func() { list.Data["users.csv"] = []byte("username\nfirst\nsecond\n") })
	w.Edit("edited", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users = testenv.Rows(v1alpha1.User{Username: "third"}) })
	w.Eventually(func() []int32 {
		return []int32{w.Load("edited").Status.Counts.Total, w.Load("told").Status.Counts.Total}
	}).Should(gomega.Equal([]int32{3, 2}))
}
