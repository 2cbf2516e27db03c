// SPDX-License-Identifier: Apache-2.0

package live

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// kubectl finds the plugin, and completes what somebody who presses Tab is allowed to see.
func TestCompletion(t *testing.T) {
	w := newWorld(t, "completion", simulator.Options{})
	w.CreateBatch("customers", testenv.Users("customer", 1)...)
	w.CreateBatch("partners", testenv.Users("partner", 1)...)
	script, err := os.ReadFile(testenv.Root("cmd", "kubectl-eub", "kubectl_complete-eub"))
	w.Must(err)
	folder := t.TempDir()
	w.Must(os.WriteFile(filepath.Join(folder, "kubectl_complete-eub"), script, 0o700))
	w.Must(os.Symlink(plugin, filepath.Join(folder, "kubectl-eub")))
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"names of batches":          {[]string{"status", ""}, "customers\npartners\n:4\n"},
		"that begin so":             {[]string{"results", "cust"}, "customers\n:4\n"},
		"none after the last name":  {[]string{"suspend", "customers", ""}, ":4\n"},
		"names or files of a plan":  {[]string{"plan", "cust"}, "customers\n:0\n"},
		"names for an import":       {[]string{"import", "list.csv", "--name", "part"}, "partners\n:4\n"},
		"none that one may not see": {[]string{"status", "--namespace", "default", ""}, ":1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			command := w.command(viewer)
			command.Path = plane.Kubectl(t.Context()).Path
			command.Args = append([]string{"kubectl", "__complete", "eub", "--namespace", w.Namespace}, test.args...)
			command.Env = append(command.Env, "PATH="+folder+string(os.PathListSeparator)+os.Getenv("PATH"))
			out, err := command.Output()
			if err != nil || string(out) != test.want {
				t.Errorf("%v: %v, and printed %q instead of %q", command.Args, err, out, test.want)
			}
		})
	}
	command := w.command(viewer)
	command.Path = plane.Kubectl(t.Context()).Path
	command.Args = []string{"kubectl", "eub", "--namespace", w.Namespace, "status"}
	command.Env = append(command.Env, "PATH="+folder+string(os.PathListSeparator)+os.Getenv("PATH"))
	if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), "customers") {
		t.Errorf("%v: %s", err, out)
	}
}
