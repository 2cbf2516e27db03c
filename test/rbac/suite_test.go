// SPDX-License-Identifier: Apache-2.0

// Package rbac tests that the operator needs all rights that config gives to its service account, and no others: it runs the operator
// with them, and reads the API server's audit log.
package rbac

import (
	"context"
	"testing"

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
}

// newWorld returns a world with an API key.
func newWorld(t *testing.T, namespace, system string, options simulator.Options) *world {
	t.Helper()
	kubeconfig, err := plane.Impersonate(system)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{World: testenv.NewWorld(t, plane, namespace, options), kubeconfig: kubeconfig}
	w.SetKey(w.Key)
	return w
}

// start starts an operator, which the end of the test kills.
func (w *world) start(args ...string) *testenv.Operator {
	w.Helper()
	return w.StartOperator(testenv.OperatorOptions{
		Path: program, Kubeconfig: w.kubeconfig, Env: w.env, Args: append([]string{"--alloy-timeout", "2s"}, args...),
	})
}
