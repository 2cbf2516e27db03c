// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// sliceWriters is the number of goroutines that write slices without the operator, enough to keep the API server busy.
const sliceWriters = 4

// bareLoop posts the users of a list, seeded or not, to a separate account, without Kubernetes.
func (b *bench) bareLoop(ctx context.Context, list string, n int, seeded bool) (time.Duration, error) {
	name := "key-of-the-bare-loop-of-" + list
	key, err := alloy.ParseKey([]byte(name))
	if err != nil {
		return 0, fmt.Errorf("making the key of the bare loop: %w", err)
	}
	b.sim.AddKey(name)
	defer b.sim.AddKey(name) // replaces the account by an empty one, to free its memory
	wanted := alloy.Accepted
	if seeded {
		b.seed(name, list, n)
		wanted = alloy.AllExist
	}
	start := time.Now()
	err = inParallel(requestsFor(n), b.concurrency, func(i int) error {
		answer := b.alloy.CreateUsers(ctx, key, chunk(list, i*alloy.MaxBatch, min(n, (i+1)*alloy.MaxBatch)))
		if answer.Outcome != wanted {
			return fmt.Errorf("bare loop: the simulator answers %s: %s", answer.Outcome, answer.Message)
		}
		return nil
	})
	elapsed := time.Since(start)
	say("%s: the bare loop takes %s", list, seconds(elapsed))
	return elapsed, err
}

func (b *bench) seed(key, list string, n int) {
	for i := range n {
		b.sim.Seed(key, user(list, i).Username)
	}
}

// requestsFor returns the number of requests for n users.
func requestsFor(n int) int { return (n + alloy.MaxBatch - 1) / alloy.MaxBatch }

// slicesAlone writes the slices and results of n users on an idle control plane.
func (b *bench) slicesAlone(ctx context.Context, list string, n int) (time.Duration, error) {
	namespace := "bench-slices-of-" + list
	if err := b.newNamespace(ctx, namespace); err != nil {
		return 0, err
	}
	// The first write of a kind takes two seconds longer.
	if err := b.writeSlice(ctx, namespace, warmUpName, chunk(list, 0, 1)); err != nil {
		return 0, err
	}
	start := time.Now()
	err := inParallel(requestsFor(n), sliceWriters, func(i int) error {
		return b.writeSlice(ctx, namespace, fmt.Sprintf("%s-%04d", list, i), chunk(list, i*alloy.MaxBatch, min(n, (i+1)*alloy.MaxBatch)))
	})
	elapsed := time.Since(start)
	if err != nil {
		return 0, err
	}
	say("%s: writing the slices alone takes %s", list, seconds(elapsed))
	return elapsed, b.clear(ctx)
}

// writeSlice creates a slice and records its users as created.
func (b *bench) writeSlice(ctx context.Context, namespace, name string, part []users.User) error {
	slice := &v1alpha1.EmbeddedUserSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{v1alpha1.LabelBatch: batchName}},
		Spec:       v1alpha1.EmbeddedUserSliceSpec{APIKeySecretRef: v1alpha1.APIKeySecretReference{Name: testenv.SecretName}},
	}
	for _, u := range part {
		slice.Spec.Users = append(slice.Spec.Users, v1alpha1.User(u))
	}
	if err := b.plane.Client.Create(ctx, slice); err != nil {
		return fmt.Errorf("creating a slice: %w", err)
	}
	slice.Status.ObservedGeneration = slice.Generation
	slice.Status.Counts = v1alpha1.UserCounts{Total: int32(len(part)), Created: int32(len(part))} //nolint:gosec // at most 1000
	for _, u := range part {
		slice.Status.Results = append(slice.Status.Results, v1alpha1.UserResult{Username: u.Username, Result: v1alpha1.ResultCreated})
	}
	if err := b.plane.Client.Status().Update(ctx, slice); err != nil {
		return fmt.Errorf("writing the status of a slice: %w", err)
	}
	return nil
}

// inParallel calls do with 0 to n-1 from several goroutines. It stops after an error.
func inParallel(n, goroutines int, do func(i int) error) error {
	group, ctx := errgroup.WithContext(context.Background())
	group.SetLimit(goroutines)
	for i := 0; i < n && ctx.Err() == nil; i++ {
		group.Go(func() error { return do(i) })
	}
	return group.Wait() //nolint:wrapcheck // an error of do
}
