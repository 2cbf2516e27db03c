// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/internal/controller/cached"
)

// World is what a test acts on and observes: a namespace of a control plane, and an account in a simulated Alloy API of its own. Its
// methods end the test if they fail. Eventually waits for Patience.
type World struct {
	testing.TB
	client.Client
	*gomega.WithT

	Plane     *ControlPlane
	Sim       *simulator.Simulator
	Namespace string
	Key       string // of the account
	URL       string // of the simulator

	ProcessLog Log // of the operators, and of other processes that a test adds; shown if the test fails
}

// NewWorld returns a world. At the end of the test, after the cleanup functions that the caller adds, it checks the status contract
// and deletes the batches, which another operator must not see.
func NewWorld(t testing.TB, plane *ControlPlane, namespace string, options simulator.Options) *World {
	t.Helper()
	w := &World{TB: t, Client: plane.Client, WithT: gomega.NewWithT(t), Plane: plane, Namespace: namespace, Key: "key-of-" + namespace}
	t.Cleanup(func() {
		if log := w.ProcessLog.Bytes(); t.Failed() && len(log) > 0 {
			t.Log(string(log))
		}
	})
	w.SetDefaultEventuallyTimeout(Patience)
	w.SetDefaultEventuallyPollingInterval(interval)
	options.Keys = append(options.Keys, w.Key)
	w.Sim = simulator.New(options)
	server := httptest.NewServer(w.Sim)
	t.Cleanup(server.Close)
	w.URL = server.URL
	w.Must(CreateNamespace(w.context(), w, namespace))
	t.Cleanup(func() {
		err := CheckContract(w.context(), w, namespace)
		if err != nil {
			t.Error(err)
		}
		err = Await(w.context(), func(ctx context.Context) error {
			return w.DeleteAllOf(ctx, &v1alpha1.EmbeddedUserBatch{}, client.InNamespace(namespace))
		})
		if err != nil {
			t.Error(err)
		}
	})
	return w
}

// context returns a context that is valid in cleanup functions too.
func (w *World) context() context.Context { return context.WithoutCancel(w.Context()) }

// Must ends the test if there is an error.
func (w *World) Must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// StartOperator starts an operator whose API is the simulator, and which the end of the test kills.
func (w *World) StartOperator(options OperatorOptions) *Operator {
	w.Helper()
	options.AlloyURL, options.Output = w.URL, &w.ProcessLog
	operator, err := StartOperator(w.context(), options)
	w.Must(err)
	w.Cleanup(operator.Kill)
	return operator
}

// Equal reports the difference between what a test wants and what it got.
func (w *World) Equal(what string, want, got any, options ...cmp.Option) {
	w.Helper()
	if diff := cmp.Diff(want, got, options...); diff != "" {
		w.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// MustCreate creates an object.
func (w *World) MustCreate(object client.Object) {
	w.Helper()
	w.Must(Create(w.context(), w, object))
}

// SetKey stores an API key in the Secret that batches refer to.
func (w *World) SetKey(key string) {
	w.Helper()
	w.Must(WriteKey(w.context(), w, w.Namespace, SecretName, key))
}

// Batch returns a batch of users without creating it.
func (w *World) Batch(name string, users ...v1alpha1.User) *v1alpha1.EmbeddedUserBatch {
	return Batch(w.Namespace, name, users...)
}

// CreateBatch creates a batch of users.
func (w *World) CreateBatch(name string, users ...v1alpha1.User) {
	w.Helper()
	w.MustCreate(w.Batch(name, users...))
}

// Edit changes a batch as another client would, while the operator may write its status.
func (w *World) Edit(name string, change func(*v1alpha1.EmbeddedUserBatch)) {
	w.Helper()
	w.Must(Await(w.context(), func(ctx context.Context) error {
		batch := w.Batch(name)
		if err := w.Get(ctx, client.ObjectKeyFromObject(batch), batch); err != nil {
			return err
		}
		change(batch)
		return w.Update(ctx, batch)
	}))
}

// Put creates or changes an object. change sets its fields and may be called several times.
func (w *World) Put(object client.Object, change func()) {
	w.Helper()
	w.Must(Await(w.context(), func(ctx context.Context) error {
		_, err := controllerutil.CreateOrUpdate(ctx, w, object, func() error { change(); return nil })
		return err
	}))
}

// Load returns a batch.
func (w *World) Load(name string) *v1alpha1.EmbeddedUserBatch {
	w.Helper()
	var batch v1alpha1.EmbeddedUserBatch
	w.Must(Await(w.context(), func(ctx context.Context) error {
		return w.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: name}, &batch)
	}))
	return &batch
}

// version returns the resourceVersion of a batch.
func (w *World) version(name string) string {
	w.Helper()
	metadata := cached.Metadata(v1alpha1.SchemeGroupVersion.WithKind("EmbeddedUserBatch"))
	w.Must(Await(w.context(), func(ctx context.Context) error {
		return w.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: name}, metadata)
	}))
	return metadata.ResourceVersion
}

// Slices returns the slices of the namespace.
func (w *World) Slices() []v1alpha1.EmbeddedUserSlice {
	w.Helper()
	var list v1alpha1.EmbeddedUserSliceList
	w.Must(Await(w.context(), func(ctx context.Context) error { return w.List(ctx, &list, client.InNamespace(w.Namespace)) }))
	return list.Items
}

// Results returns the results in all slices by username.
func (w *World) Results() map[string]v1alpha1.UserResult {
	w.Helper()
	results := map[string]v1alpha1.UserResult{}
	for _, slice := range w.Slices() {
		for _, result := range slice.Status.Results {
			results[result.Username] = result
		}
	}
	return results
}

// Await waits until the batch's Ready condition has one of the reasons, for the current generation.
func (w *World) Await(name string, reasons ...string) *v1alpha1.EmbeddedUserBatch {
	w.Helper()
	batch, version := &v1alpha1.EmbeddedUserBatch{}, ""
	w.Eventually(func() string {
		if next := w.version(name); next != version { // otherwise a long batch takes more time to decode than the operator has
			batch, version = w.Load(name), next
		}
		if batch.Status.ObservedGeneration != batch.Generation {
			return "not observed"
		}
		return Condition(batch.Status.Conditions, v1alpha1.ConditionReady).Reason
	}).Should(gomega.BeElementOf(reasons), func() string { return fmt.Sprintf("status: %+v", batch.Status) })
	return batch
}

// Kubectl runs kubectl in the namespace and returns its output.
func (w *World) Kubectl(stdin string, args ...string) (string, error) {
	command := w.Plane.Kubectl(w.Context(), append([]string{"-n", w.Namespace}, args...)...)
	command.Stdin = strings.NewReader(stdin)
	out, err := command.CombinedOutput()
	return string(out), err
}

// Sent returns the usernames in all create requests, in order, and the number of these requests.
func (w *World) Sent() (usernames []string, requests int) {
	for _, r := range w.Sim.Requests() {
		if r.Operation == simulator.Create {
			usernames = append(usernames, r.Usernames...)
			requests++
		}
	}
	return usernames, requests
}

// Hold blocks the first request after it was applied. applied is closed at that point; release unblocks the request.
func (w *World) Hold() (applied <-chan struct{}, release func()) {
	reached, released := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.Sim.OnApplied(func(simulator.Request) { once.Do(func() { close(reached); <-released }) })
	release = sync.OnceFunc(func() { close(released) })
	w.Cleanup(release) // in case the test fails before it releases the request
	return reached, release
}
