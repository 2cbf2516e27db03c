// SPDX-License-Identifier: Apache-2.0

package importing

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/golden"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/tally"
)

// run runs the command in the folder of the test.
func run(t *testing.T, stdin string, args ...string) (out, errOut string, err error) {
	t.Helper()
	streams, in, stdout, stderr := genericiooptions.NewTestIOStreams()
	in.WriteString(stdin)
	c := NewCommand(&command.Options{ConfigFlags: genericclioptions.NewConfigFlags(true), IOStreams: streams})
	c.SetArgs(args)
	c.SilenceErrors, c.SilenceUsage = true, true
	err = c.ExecuteContext(t.Context())
	return stdout.String(), stderr.String(), err
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const (
	german = "username;fullName\r\nann;Zo\xeb\r\nbob;Bob\r\n;Nobody\r\nbob;Robert\r\nann;Zo\xeb\r\na;b;c\r\n"
	list   = "- username: carl\n- username: 123\n"
)

// data matches the compressed rows, which another version of the compressor may write in another way.
var data = regexp.MustCompile(`(users\.[a-z]+\.gz"?): \S+`)

func TestImport_Prints(t *testing.T) {
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	write(t, "customers.csv", german)
	write(t, "more.yaml", list)
	for name, args := range map[string][]string{
		"yaml":   {"customers.csv", "more.yaml", "-", "--name", "customers"},
		"json":   {"customers.csv", "--name", "customers", "-o", "json"},
		"name":   {"customers.csv", "more.yaml", "customers.csv", "--name", "customers", "-o", "name"},
		"secret": {"customers.csv", "--name", "customers", "--secret", "--api-key-secret", "keys/production"},
	} {
		out, errOut, err := run(t, `[{"username":"dora"},{"username":"ann","fullName":"Other"}]`, args...)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := run(t, `[{"username":"dora"},{"username":"ann","fullName":"Other"}]`, args...)
		if err != nil {
			t.Fatal(err)
		}
		if out != again {
			t.Errorf("%s: the output is another one the second time", name)
		}
		t.Run(name, func(t *testing.T) {
			t.Chdir(home) // which has testdata
			golden.Equal(t, name, errOut+data.ReplaceAllString(out, "$1: (compressed)"))
		})
	}
}

func TestImport_Refuses(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "customers.csv", german)
	write(t, "joined.csv", "sep=;\nusername;fullName\ncarl;Carl\n\nfullName;username\nDora;dora\n")
	var long strings.Builder
	for i := range 30_000 {
		fmt.Fprintf(&long, "- username: %x\n", sha256.Sum256([]byte{byte(i), byte(i >> 8)}))
	}
	write(t, "long.yaml", long.String()+"- username: 7\n")
	for want, args := range map[string][]string{
		"long.yaml: a YAML with invalid rows":  {"customers.csv", "long.yaml", "--name", "x"},
		"joined.csv: line 5: another header":   {"customers.csv", "joined.csv", "--name", "x"},
		`required flag(s) "name" not set`:      {"customers.csv"},
		`--name "Customers" cannot be`:         {"customers.csv", "--name", "Customers"},
		"at most 63":                           {"customers.csv", "--name", strings.Repeat("x", 64)},
		`--output "csv" is unknown`:            {"customers.csv", "--name", "x", "-o", "csv"},
		`--format "XML" is unknown`:            {"customers.csv", "--name", "x", "--format", "xml"},
		"no such file":                         {"nobody.csv", "--name", "x"},
		"is a folder":                          {".", "--name", "x"},
		"give - only once":                     {"-", "-", "--name", "x"},
		"[apply directory] were all set":       {"customers.csv", "--name", "x", "--apply", "-d", "x"},
		"standard input: the CSV is empty":     {"-", "--name", "x"},
		"customers.csv: the JSON has a syntax": {"customers.csv", "--name", "x", "--format", "json"},
	} {
		if out, _, err := run(t, "", args...); err == nil || !strings.Contains(err.Error(), want) || out != "" {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}

// files returns the names of the files of a folder, and when each was written.
func files(t *testing.T, folder string) (names []string, times map[string]int64) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	times = map[string]int64{}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, entry.Name())
		times[entry.Name()] = info.ModTime().UnixNano()
	}
	return names, times
}

func TestImport_WritesAFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "customers.csv", german)
	into := func() string {
		t.Helper()
		_, errOut, err := run(t, "", "customers.csv", "--name", "customers", "-d", "folder")
		if err != nil {
			t.Fatal(err)
		}
		return errOut
	}
	into()
	names, before := files(t, "folder")
	if len(names) != 3 || names[0] != "batch.yaml" || names[2] != "kustomization.yaml" {
		t.Fatal(names)
	}
	write(t, filepath.Join("folder", "notes.md"), "mine")
	if errOut := into(); strings.Contains(errOut, "written") {
		t.Errorf("a second import writes: %s", errOut)
	}
	_, after := files(t, "folder")
	delete(after, "notes.md")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
	write(t, "customers.csv", german+"new;New\r\n")
	if errOut := into(); !strings.Contains(errOut, names[1]+" deleted") {
		t.Errorf("the earlier list is not deleted: %s", errOut)
	}
	now, _ := files(t, "folder")
	if len(now) != 4 || now[1] == names[1] || now[3] != "notes.md" {
		t.Errorf("there are %v", now)
	}
	text, err := os.ReadFile(filepath.Join("folder", "kustomization.yaml"))
	if err != nil || !bytes.Contains(text, []byte("- "+now[1]+"\n- batch.yaml\n")) {
		t.Errorf("%v: %s", err, text)
	}
}

func TestImport_LeavesTheFilesOfOthers(t *testing.T) {
	for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization", "batch.yaml"} {
		t.Chdir(t.TempDir())
		write(t, "customers.csv", german)
		write(t, name, "resources: []\n")
		_, _, err := run(t, "", "customers.csv", "--name", "customers", "-d", ".")
		if err == nil || err.Error() != name+" was not written by an import of the batch customers; choose another folder" {
			t.Errorf("%s: %v", name, err)
		}
		if names, _ := files(t, "."); len(names) != 2 {
			t.Error(names)
		}
	}
}

// A folder has one batch: a second one would take the place of the first, which Git would then delete.
func TestImport_LeavesTheFolderOfAnotherBatch(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "customers.csv", german)
	for name, want := range map[string]bool{"customers": true, "customers-1": false} {
		_, _, err := run(t, "", "customers.csv", "--name", "customers", "-d", "folder")
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := run(t, "", "customers.csv", "--name", name, "-d", "folder"); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if names, _ := files(t, "folder"); len(names) != 3 {
		t.Error(names)
	}
}

func TestImport_WritesSecretsForTheirOwnerOnly(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "customers.csv", german)
	for _, args := range [][]string{{}, {"--secret"}} {
		if _, _, err := run(t, "", append(args, "customers.csv", "--name", "customers", "-d", "folder")...); err != nil {
			t.Fatal(err)
		}
	}
	names, _ := files(t, "folder")
	for _, name := range names {
		if info, err := os.Stat(filepath.Join("folder", name)); err != nil || name[0] == 'c' && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v, %v", name, info.Mode(), err)
		}
	}
}

func TestSummarize_WarnsOfListsThatAreTooLongForTheOperator(t *testing.T) {
	var text bytes.Buffer
	summarize(&text, &tally.Tally{Users: 2_000_000, Memory: 450 << 20}, nil, "ConfigMap")
	if want := "takes 450 MiB of memory in the operator, which allows 256 MiB"; !strings.Contains(text.String(), want) {
		t.Error(text.String())
	}
}
