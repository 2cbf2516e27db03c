// SPDX-License-Identifier: Apache-2.0

// Package live runs the plugin as a program against a real API server, with the operator and a simulated Alloy API, as people with
// different rights.
package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/onsi/gomega"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

var (
	plane    *testenv.ControlPlane
	operator string // path of the program
	plugin   string // path of the program
)

func TestMain(m *testing.M) {
	testenv.Main(m, testenv.Options{Restartable: true}, func(started *testenv.ControlPlane) (err error) {
		plane = started
		ctx := context.Background()
		if operator, err = testenv.Build(ctx, plane.Folder, "operator"); err != nil {
			return err
		}
		plugin = filepath.Join(plane.Folder, "kubectl-eub")
		build := exec.CommandContext(ctx, "go", "build", "-o", plugin, ".")
		build.Dir = testenv.Root("cmd", "kubectl-eub")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building the plugin: %w\n%s", err, out)
		}
		if err := plane.Deploy(ctx, testenv.Deployment{Folder: "default"}); err != nil {
			return err
		}
		_, err = plane.StartRoleAggregation()
		return err
	})
}

// People, by the roles that they have in the namespace of a test.
const (
	editor = "edit"   // the aggregated role
	viewer = "view"   // the aggregated role
	reader = "reader" // view, and slices
)

// world is a test's world, with people.
type world struct{ *testenv.World }

// newWorld returns a world with an API key, and with people who have got their rights.
func newWorld(t *testing.T, namespace string, options simulator.Options) *world {
	t.Helper()
	w := &world{testenv.NewWorld(t, plane, namespace, options)}
	w.SetKey(w.Key)
	for name, binding := range map[string][2]string{
		"edit": {"edit", editor}, "view": {"view", viewer}, "reader": {"view", reader},
		"slices": {"embedded-user-operator-slice-viewer", reader},
	} {
		if out, err := w.Kubectl("", "create", "rolebinding", name, "--clusterrole="+binding[0], "--user="+binding[1]); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for _, user := range []string{editor, viewer, reader} { // the roles are aggregated after a moment
		w.Eventually(func() error {
			_, err := w.Kubectl("", "auth", "can-i", "list", "embeddeduserbatches", "--as="+user)
			return err
		}).Should(gomega.Succeed())
	}
	return w
}

// start starts an operator, which the end of the test kills.
func (w *world) start() *testenv.Operator {
	w.Helper()
	kubeconfig, err := plane.Impersonate(testenv.SystemNamespace)
	w.Must(err)
	return w.StartOperator(testenv.OperatorOptions{
		Path: operator, Kubeconfig: kubeconfig, Args: []string{"--alloy-timeout", "20s", "--watch-namespaces", w.Namespace},
	})
}

// as returns the path of a kubeconfig of somebody.
func (w *world) as(user string) string {
	w.Helper()
	config, err := clientcmd.LoadFromFile(plane.Kubeconfig)
	w.Must(err)
	for _, info := range config.AuthInfos {
		info.Impersonate = user
	}
	path := filepath.Join(w.TempDir(), "kubeconfig")
	w.Must(clientcmd.WriteToFile(*config, path))
	return path
}

// command returns a command that runs the plugin as somebody, in a folder of its own and with an empty home.
func (w *world) command(user string, args ...string) *exec.Cmd {
	w.Helper()
	command := exec.CommandContext(w.Context(), plugin, append(args, "--namespace", w.Namespace)...)
	command.Dir = w.TempDir()
	command.Env = append(os.Environ(), "KUBECONFIG="+w.as(user), "HOME="+command.Dir)
	return command
}

// run runs the plugin as somebody.
func (w *world) run(user string, args ...string) (out, errOut string, code int) {
	w.Helper()
	command := w.command(user, args...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.Fatal(err)
	}
	w.wroteNothing(command.Dir)
	return stdout.String(), stderr.String(), command.ProcessState.ExitCode()
}

// wroteNothing checks that the plugin left nothing in its folder, which is its home too.
func (w *world) wroteNothing(folder string) {
	w.Helper()
	entries, err := os.ReadDir(folder)
	w.Must(err)
	for _, entry := range entries {
		w.Errorf("the plugin wrote %s", entry.Name())
	}
}

// mustRun is run for a command that succeeds.
func (w *world) mustRun(user string, args ...string) string {
	w.Helper()
	out, errOut, code := w.run(user, args...)
	if code != 0 {
		w.Fatalf("%v: exit code %d\n%s\n%s", args, code, out, errOut)
	}
	return out
}
