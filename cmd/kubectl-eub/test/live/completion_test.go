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

// Kubectl completes the commands of the plugin, and the names of batches, as a shell asks it to.
func TestCompletion(t *testing.T) {
	w := newWorld(t, "completion", simulator.Options{})
	w.CreateBatch("customers")
	for want, words := range map[string][]string{
		"plan\tSay what the operator would do": {"eub", "pl"},
		"customers\n:4":                        {"eub", "results", "--namespace", w.Namespace, ""},
		"customers\n:0":                        {"eub", "plan", "--namespace", w.Namespace, "cust"},
	} {
		kubectl := plane.Kubectl(w.Context(), append([]string{"__complete"}, words...)...)
		folders := []string{filepath.Dir(plugin), filepath.Dir(kubectl.Path), testenv.Root("cmd", "kubectl-eub"), os.Getenv("PATH")}
		kubectl.Args = append([]string{kubectl.Path, "__complete"}, words...)
		kubectl.Env = append(os.Environ(), "KUBECONFIG="+w.as(viewer), "PATH="+strings.Join(folders, string(os.PathListSeparator)))
		out, err := kubectl.Output()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%q: %v: %s", words, err, out)
		}
	}
}
