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
	plane    *testenv.ControlPlane
	operator testenv.OperatorOptions
)

func TestMain(m *testing.M) {
	testenv.Main(m, testenv.Options{Restartable: true}, func(started *testenv.ControlPlane) (err error) {
		plane = started
		if operator.Path, err = testenv.Build(context.Background(), plane.Folder, "operator"); err != nil {
			return err
		}
		if err := deploy(context.Background()); err != nil {
			return err
		}
		operator.Kubeconfig, err = plane.Impersonate(testenv.SystemNamespace)
		return err
	})
}

// deploy applies config/default.
func deploy(ctx context.Context) error {
	return plane.Deploy(ctx, testenv.Deployment{Folder: "default"})
}

// world is a test's world, and the operator as a process.
type world struct {
	*testenv.World
	log testenv.Log // of every operator that ran
}

// newWorld returns a world with an API key.
func newWorld(t *testing.T, namespace string, options simulator.Options) *world {
	t.Helper()
	w := &world{}
	t.Cleanup(func() { // after the checks of testenv.World
		if t.Failed() {
			t.Log(string(w.log.Bytes()))
		}
	})
	w.World = testenv.NewWorld(t, plane, namespace, options)
	w.SetKey(w.Key)
	return w
}

// start starts an operator, which the end of the test kills.
func (w *world) start(args ...string) *testenv.Operator {
	w.Helper()
	return w.startWith(operator.Kubeconfig, args...)
}

// startWith starts an operator with the permissions of a kubeconfig.
func (w *world) startWith(kubeconfig string, args ...string) *testenv.Operator {
	w.Helper()
	options := operator
	options.Kubeconfig = kubeconfig
	options.AlloyURL, options.Output = w.URL, &w.log
	options.Args = append([]string{"--zap-log-level", "5", "--alloy-timeout", alloyTimeout.String()}, args...)
	started, err := testenv.StartOperator(w.Context(), options)
	w.Must(err)
	w.Cleanup(started.Kill)
	return started
}

// createBatch creates a batch of n users.
func (w *world) createBatch(name string, n int) {
	w.Helper()
	w.CreateBatch(name, testenv.Users(name, n)...)
}
