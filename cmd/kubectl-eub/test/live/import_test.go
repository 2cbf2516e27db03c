// SPDX-License-Identifier: Apache-2.0

package live

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// Limits of an import of a million users.
const (
	mostImportMemory = 200 << 20
	mostImportTime   = 30 * time.Second
)

// file writes a list of users to a file, and returns its path.
func (w *world) file(name, text string) string {
	w.Helper()
	path := filepath.Join(w.TempDir(), name)
	w.Must(os.WriteFile(path, []byte(text), 0o600))
	return path
}

// versions returns the resource versions of the ConfigMaps and the generation of the batch, by name.
func (w *world) versions() map[string]string {
	w.Helper()
	var found corev1.ConfigMapList
	w.Must(w.List(w.Context(), &found, client.InNamespace(w.Namespace), client.HasLabels{"embedded.runalloy.com/import"}))
	versions := map[string]string{"customers": fmt.Sprint(w.Load("customers").Generation)}
	for i := range found.Items {
		versions[found.Items[i].Name] = found.Items[i].ResourceVersion
	}
	return versions
}

// Somebody with the role edit imports the file of a spreadsheet, and all its users exist. Importing it again writes and sends nothing.
func TestImport(t *testing.T) {
	w := newWorld(t, "import", simulator.Options{})
	w.start()
	list := "username;fullName\r\n"
	for _, user := range testenv.Users("customer", 2500) {
		list += user.Username + ";" + user.FullName + "\r\n"
	}
	file := w.file("customers.csv", list)
	args := []string{"import", file, "--name", "customers", "--apply"}
	if _, errOut, code := w.run(editor, "plan", file, "--name", "customers"); code != 2 {
		t.Errorf("a plan of what is to be done: exit code %d: %s", code, errOut)
	}
	w.mustRun(editor, args...)
	w.Equal("users that were created", int32(2500), w.Await("customers", v1alpha1.ReasonSucceeded).Status.Counts.Created)

	before := w.versions()
	_, requests := w.Sent()
	w.mustRun(editor, args...)
	w.Equal("versions after the second import", before, w.versions())
	for _, args := range [][]string{{"plan", "customers"}, {"plan", file, "--name", "customers"}} {
		if out, errOut, code := w.run(editor, args...); code != 0 || !strings.Contains(out, "Nothing to do.") {
			t.Errorf("%v: exit code %d\n%s\n%s", args, code, out, errOut)
		}
	}

	file = w.file("customers.csv", list+"new@example.com;New\r\n")
	w.mustRun(editor, "import", file, "--name", "customers", "--apply")
	w.Equal("users after one was added", int32(2501), w.Await("customers", v1alpha1.ReasonSucceeded).Status.Counts.Created)
	after := w.versions()
	if len(after) != len(before) {
		t.Errorf("ConfigMaps before: %v, after: %v", before, after)
	}
	if _, sent := w.Sent(); sent != requests+1 {
		t.Errorf("%d requests were sent for one more user", sent-requests)
	}
}

// number matches what the operator and the plugin put before a problem, each for its own file.
var number = regexp.MustCompile(`^(\S+ )?line \d+: `)

// Both sides find the same rows invalid, and say the same.
func TestImport_ReportsRowsAsTheOperatorDoes(t *testing.T) {
	w := newWorld(t, "invalid", simulator.Options{})
	w.start()
	file := w.file("customers.csv", "username,fullName\ngood@example.com,Good\n,Nobody\n\"a\"b,Stray\ngood@example.com,Other\n"+
		strings.Repeat("x", 257)+",Long\none,two,three\ngood@example.com,Good\n")
	_, errOut, code := w.run(editor, "import", file, "--name", "customers", "--apply")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	batch := w.Await("customers", v1alpha1.ReasonInvalidUsers)
	w.Equal("repeated rows", int32(1), batch.Status.RepeatedRows)
	var want, got []string
	for _, user := range batch.Status.InvalidUsers {
		want = append(want, number.ReplaceAllString(user.Message, ""))
	}
	for line := range strings.Lines(errOut) {
		if found, isFinding := strings.CutPrefix(line, "  "+file+" "); isFinding {
			got = append(got, number.ReplaceAllString(strings.TrimSpace(found), ""))
		}
	}
	w.Equal("what is said of the rows", want, got)
	w.Equal("invalid rows", 5, len(got))
}

// A million users take no more than the documentation says. What is written is what the API server takes.
func TestImport_OfALongList(t *testing.T) {
	w := newWorld(t, "longimport", simulator.Options{})
	var list bytes.Buffer
	list.WriteString("username,fullName\n")
	for i := range *thousands {
		for _, user := range usersOf(i) {
			list.WriteString(user.Username + "," + user.FullName + "\n")
		}
	}
	file := w.file("customers.csv", list.String())
	command := w.command(editor, "import", file, "--name", "customers")
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	w.Must(err)
	command.Stdout = out
	took, peak := w.measure(command)
	w.Must(out.Close())
	info, err := os.Stat(out.Name())
	w.Must(err)
	t.Logf("import of %d users: %s, %d MiB, %d KiB of YAML", 1000**thousands, took.Round(10*time.Millisecond), peak>>20, info.Size()>>10)
	if peak == 0 || peak > mostImportMemory || took > mostImportTime {
		t.Errorf("import took %s and %d MiB", took, peak>>20)
	}
	w.mustRun(editor, "import", file, "--name", "customers", "--apply")
	took, peak = w.measure(w.command(editor, "import", file, "--name", "customers", "--apply"))
	t.Logf("the same again, applied: %s, %d MiB", took.Round(10*time.Millisecond), peak>>20)
	if peak > mostImportMemory || took > mostImportTime {
		t.Errorf("a second import took %s and %d MiB", took, peak>>20)
	}
}
