// SPDX-License-Identifier: Apache-2.0

// Package recovery tests that the operator recovers: it runs the operator as a process against a real control plane, and kills,
// pauses and disconnects it.
package recovery

import (
	"context"
	"testing"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// alloyTimeout is the operator's request timeout, which users in doubt wait for after a restart.
const alloyTimeout = 2 * time.Second

var (
	plane      *testenv.ControlPlane
	program    string // path of the operator
	kubeconfig string // of its service account in config/default
)

func TestMain(m *testing.M) {
	testenv.Main(m, testenv.Options{Restartable: true}, func(started *testenv.ControlPlane) (err error) {
		plane = started
		if program, err = testenv.Build(context.Background(), plane.Folder, "operator"); err != nil {
			return err
		}
		if err := deploy(context.Background()); err != nil {
			return err
		}
		kubeconfig, err = plane.Impersonate(testenv.SystemNamespace)
		return err
	})
}

// deploy applies config/default.
func deploy(ctx context.Context) error {
	return plane.Deploy(ctx, testenv.Deployment{Folder: "default"})
}

// world is a test's world, and the operator as a process.
type world struct{ *testenv.World }

// newWorld returns a world with an API key.
func newWorld(t *testing.T, namespace string, options simulator.Options) *world {
	t.Helper()
	w := &world{testenv.NewWorld(t, plane, namespace, options)}
	w.SetKey(w.Key)
	return w
}

// start starts an operator, which the end of the test kills.
func (w *world) start(args ...string) *testenv.Operator {
	w.Helper()
	return w.startWith(kubeconfig, args...)
}

// startWith starts an operator with the permissions of a kubeconfig.
func (w *world) startWith(kubeconfig string, args ...string) *testenv.Operator {
	w.Helper()
	return w.StartOperator(testenv.OperatorOptions{
		Path: program, Kubeconfig: kubeconfig,
		Args: append([]string{"--zap-log-level", "5", "--alloy-timeout", alloyTimeout.String()}, args...),
	})
}

// createBatch creates a batch of n users.
func (w *world) createBatch(name string, n int) {
	w.Helper()
	w.CreateBatch(name, testenv.Users(name, n)...)
}
