// SPDX-License-Identifier: Apache-2.0

// Package recovery tests that the operator recovers: it runs the operator as a process against a real control plane, and kills,
// pauses and disconnects it.
package recovery

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

const (
	// alloyTimeout is the operator's request timeout, which users in doubt wait for after a restart.
	alloyTimeout = 2 * time.Second
	// systemNamespace is the operator's namespace in config/default.
	systemNamespace = "embedded-user-operator-system"
)

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
		operator.Kubeconfig, err = deploy()
		return err
	})
}

// deploy applies config/default and returns a kubeconfig with the permissions of the operator's service account.
func deploy() (string, error) {
	apply := plane.Kubectl(context.Background(), "apply", "--server-side", "--force-conflicts", "-k", testenv.Root("config", "default"))
	if out, err := apply.CombinedOutput(); err != nil {
		return "", fmt.Errorf("applying config/default: %w: %s", err, out)
	}
	return impersonate(systemNamespace)
}

// impersonate returns a kubeconfig with the permissions of the operator's service account in a namespace.
func impersonate(namespace string) (string, error) {
	config, err := clientcmd.LoadFromFile(plane.Kubeconfig)
	if err != nil {
		return "", err
	}
	for _, user := range config.AuthInfos {
		user.Impersonate = "system:serviceaccount:" + namespace + ":embedded-user-operator-manager"
	}
	path := filepath.Join(plane.Folder, namespace+"-kubeconfig")
	return path, clientcmd.WriteToFile(*config, path)
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
