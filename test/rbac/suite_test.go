// SPDX-License-Identifier: Apache-2.0

// Package rbac tests that the operator needs all rights that config gives to its service account, and no others: it runs the operator
// with them, and reads the API server's audit log.
package rbac

import (
	"context"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

var (
	plane   *testenv.ControlPlane
	program string // path of the operator
)

func TestMain(m *testing.M) {
	options := testenv.Options{Audited: true, Configure: func(environment *envtest.Environment) {
		environment.ControlPlane.GetAPIServer().Configure().Set("enable-admission-plugins", "OwnerReferencesPermissionEnforcement")
	}}
	testenv.Main(m, options, func(started *testenv.ControlPlane) (err error) {
		plane = started
		program, err = testenv.Build(context.Background(), plane.Folder, "operator")
		return err
	})
}

// world is a test's world with an operator that has the rights of a service account.
type world struct {
	*testenv.World

	kubeconfig string   // of the service account
	env        []string // of the operator
	log        testenv.Log
}

// newWorld returns a world with an API key.
func newWorld(t *testing.T, namespace, system string, options simulator.Options) *world {
	t.Helper()
	kubeconfig, err := plane.Impersonate(system)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{kubeconfig: kubeconfig}
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
	operator, err := testenv.StartOperator(w.Context(), testenv.OperatorOptions{
		Path: program, Kubeconfig: w.kubeconfig, AlloyURL: w.URL, Env: w.env, Output: &w.log,
		Args: append([]string{"--alloy-timeout", (2 * time.Second).String()}, args...),
	})
	w.Must(err)
	w.Cleanup(operator.Kill)
	return operator
}
