// SPDX-License-Identifier: Apache-2.0

package root_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/root"
)

// run runs the plugin as main does, without a cluster.
func run(t *testing.T, args ...string) (out, errOut string, code int) {
	t.Helper()
	t.Setenv("KUBECONFIG", t.TempDir()+"/none")
	t.Setenv("HOME", t.TempDir())
	streams, _, stdout, stderr := genericiooptions.NewTestIOStreams()
	c := root.New(command.NewOptions("v1.2.3", streams))
	c.SetArgs(args)
	var told bytes.Buffer
	code = command.Exit(c.ExecuteContext(t.Context()), &told)
	return stdout.String(), stderr.String() + told.String(), code
}

func TestErrors_SayWhatToDo(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a flag that there is not":    {[]string{"status", "--wotch"}, "see kubectl eub status --help"},
		"a name too much":             {[]string{"results", "a", "b"}, "see kubectl eub results --help"},
		"a name that is missing":      {[]string{"retry"}, "see kubectl eub retry --help"},
		"a command that there is not": {[]string{"statos"}, "status"},
		"an API server that is away":  {[]string{"status", "a", "-s", "http://127.0.0.1:1"}, "check --context, the kubeconfig and the network"},
		"a fleet of nowhere":          {[]string{"status", "-s", "http://127.0.0.1:1"}, "check --context, the kubeconfig and the network"},
		"a delimiter of a table":      {[]string{"results", "a", "--delimiter", "tab"}, "add it"},
		"no duration":                 {[]string{"status", "a", "--request-timeout", "abc"}, "give one such as 30s"},
		"no cluster":                  {[]string{"status", "a", "--context", "none"}, "give --kubeconfig or --context"},
	} {
		t.Run(name, func(t *testing.T) {
			out, errOut, code := run(t, test.args...)
			if out != "" || code != 1 || !strings.HasPrefix(errOut, "error: ") || !strings.Contains(errOut, test.want) {
				t.Errorf("exit code %d\nstandard output: %s\nstandard error: %s\nwant: %s", code, out, errOut, test.want)
			}
		})
	}
}

func TestErrors_OfSomebodyWhoseLoginHasExpired(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer server.Close()
	for _, args := range [][]string{{"status", "a"}, {"results", "a"}, {"retry", "a"}, {"check"}} {
		_, errOut, code := run(t, append(args, "-s", server.URL)...)
		if code != 1 || !strings.Contains(errOut, "the API server does not know you; log in again") {
			t.Errorf("%v: exit code %d, and %s", args, code, errOut)
		}
	}
}

func TestHelp_NamesThePluginAsPeopleRunIt(t *testing.T) {
	plugin := root.New(command.NewOptions("v1.2.3", genericiooptions.NewTestIOStreamsDiscard()))
	for _, c := range root.Commands(plugin) {
		out, errOut, code := run(t, c.Name(), "--help")
		if code != 0 || errOut != "" || !strings.Contains(out, "kubectl eub "+c.Name()) || strings.Contains(out, "kubectl-eub") {
			t.Errorf("%s: exit code %d\n%s\n%s", c.Name(), code, out, errOut)
		}
		if c.Example == "" || c.Long == "" {
			t.Errorf("%s lacks examples or a description", c.Name())
		}
	}
	if out, _, _ := run(t, "--version"); out != "kubectl eub version v1.2.3\n" {
		t.Errorf("--version prints %q", out)
	}
}

func TestCompletion_OfValues(t *testing.T) {
	for args, want := range map[string]string{
		"status -n x -o ":    "json\nyaml\nname\n:4\n",
		"results --output ":  "table\ncsv\njson\nndjson\n:4\n",
		"results --result ":  "Created\nExisting\nInvalid\nPending\n:4\n",
		"check -o ":          "json\nyaml\n:4\n",
		"retry -o ":          "name\n:4\n",
		"import a --output ": "yaml\njson\nname\n:4\n",
		"import a --format ": "CSV\nJSON\nNDJSON\nYAML\n:4\n",
		"plan a --output ":   "text\njson\nyaml\n:4\n",
		"plan a --format ":   "CSV\nJSON\nNDJSON\nYAML\n:4\n",
	} {
		out, _, code := run(t, append([]string{"__complete"}, strings.Split(args, " ")...)...)
		if code != 0 || out != want {
			t.Errorf("%s: exit code %d, and %q", args, code, out)
		}
	}
}

// Help is read in terminals of 80 columns.
func TestHelp_Fits(t *testing.T) {
	plugin := root.New(command.NewOptions("v1.2.3", genericiooptions.NewTestIOStreamsDiscard()))
	for _, c := range append([]*cobra.Command{plugin}, root.Commands(plugin)...) {
		out, _, _ := run(t, append(strings.Fields(strings.TrimPrefix(c.CommandPath(), "kubectl eub")), "--help")...)
		for line := range strings.SplitSeq(out, "\n") {
			if len(line) > 80 {
				t.Errorf("%s, %d columns: %s", c.Name(), len(line), line)
			}
		}
	}
}
