// SPDX-License-Identifier: Apache-2.0

package live

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/importing"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/planning"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
)

// file writes a list to a file, and returns its path.
func (w *world) file(name, text string) string {
	w.Helper()
	path := filepath.Join(w.TempDir(), name)
	w.Must(os.WriteFile(path, []byte(text), 0o600))
	return path
}

// versions returns the versions of all that an import and the operator write.
func (w *world) versions() map[string]string {
	w.Helper()
	versions := map[string]string{}
	for _, list := range []client.ObjectList{
		&corev1.ConfigMapList{}, &corev1.SecretList{}, &v1alpha1.EmbeddedUserBatchList{}, &v1alpha1.EmbeddedUserSliceList{},
	} {
		w.Must(w.List(w.Context(), list, client.InNamespace(w.Namespace)))
		switch list := list.(type) {
		case *corev1.ConfigMapList:
			for _, item := range list.Items {
				versions["ConfigMap "+item.Name] = item.ResourceVersion
			}
		case *corev1.SecretList:
			for _, item := range list.Items {
				versions["Secret "+item.Name] = item.ResourceVersion
			}
		case *v1alpha1.EmbeddedUserBatchList:
			for _, item := range list.Items {
				versions["EmbeddedUserBatch "+item.Name] = item.ResourceVersion
			}
		case *v1alpha1.EmbeddedUserSliceList:
			for _, item := range list.Items {
				versions["EmbeddedUserSlice "+item.Name] = item.ResourceVersion
			}
		}
	}
	return versions
}

// sheetOf returns a list as a spreadsheet of a person in Germany writes it: with semicolons, in Windows-1252.
func sheetOf(users int) string {
	var text strings.Builder
	text.WriteString("username;fullName\r\n")
	for i := range users {
		fmt.Fprintf(&text, "customer-%04d@example.com;Zo\xeb, number %d\r\n", i, i)
	}
	return text.String()
}

func TestImport(t *testing.T) {
	w := newWorld(t, "import", simulator.Options{})
	w.start()
	path := w.file("customers.csv", sheetOf(2500))

	if out, _, code := w.run(reader, "plan", path, "--name", "customers"); code != 2 || !strings.Contains(out, "2,500 new") {
		t.Errorf("the plan has exit code %d: %s", code, out)
	}
	out, errOut, code := w.run(editor, "import", path, "--name", "customers", "--apply")
	if code != 0 || strings.Count(out, " created\n") != 2 || !strings.Contains(errOut, "CSV with semicolons, Windows-1252") ||
		!strings.HasSuffix(errOut, "\nTo follow it: kubectl eub status customers -n import --watch\n") {
		t.Fatalf("exit code %d: %s%s", code, out, errOut)
	}
	w.Await("customers", v1alpha1.ReasonSucceeded)
	w.Equal("users in the account", 2500, len(w.Sim.Users(w.Key)))
	w.Equal("the name of a user", "Zoë, number 0", w.fullName("customer-0000@example.com"))
	w.importsNothingAgain(path)
	w.importsAChange()
	w.importsSecrets(path)
}

func (w *world) fullName(username string) string {
	for _, user := range w.Sim.Users(w.Key) {
		if user.Username == username {
			return user.FullName
		}
	}
	return ""
}

// importsNothingAgain checks that a second import of a list writes and sends nothing.
func (w *world) importsNothingAgain(path string) {
	w.Helper()
	before := w.versions()
	requests := len(w.Sim.Requests())
	out := w.mustRun(editor, "import", path, "--name", "customers", "--apply")
	if strings.Count(out, " unchanged\n") != 2 || strings.Count(out, "\n") != 2 {
		w.Errorf("a second import: %s", out)
	}
	if out := w.mustRun(reader, "plan", "customers"); !strings.Contains(out, "Nothing to do") {
		w.Errorf("the plan of a batch that is Ready: %s", out)
	}
	w.Equal("the versions of objects", before, w.versions())
	w.Equal("requests", requests, len(w.Sim.Requests()))
}

// importsAChange checks that a change reaches the operator, that nobody else is sent, and that invalid rows are those of the operator.
func (w *world) importsAChange() {
	w.Helper()
	path := w.file("customers.csv", sheetOf(2500)+"new@example.com;New\r\n;Nobody\r\nnew@example.com;Other\r\n")
	if out, _, code := w.run(reader, "plan", path, "--name", "customers"); code != 2 || !strings.Contains(out, "1 new") {
		w.Errorf("the plan of a new user has exit code %d: %s", code, out)
	}
	sent, _ := w.Sent()
	out, errOut, code := w.run(editor, "import", path, "--name", "customers", "--apply")
	if code != 0 || strings.Count(out, " created\n") != 1 || strings.Count(out, " changed\n") != 1 || strings.Count(out, " deleted\n") != 1 {
		w.Fatalf("exit code %d: %s%s", code, out, errOut)
	}
	batch := w.Await("customers", v1alpha1.ReasonInvalidUsers)
	now, _ := w.Sent()
	w.Equal("users sent for a new one", []string{"new@example.com"}, now[len(sent):])
	w.Equal("invalid rows", 2, len(batch.Status.InvalidUsers))
	for i, line := range []int{2503, 2504} {
		said := strings.TrimPrefix(batch.Status.InvalidUsers[i].Message, fmt.Sprintf("line %d: ", line))
		if want := fmt.Sprintf("customers.csv line %d: %s\n", line, said); !strings.Contains(errOut, want) {
			w.Errorf("the operator says %q, and the plugin does not say %q:\n%s", said, want, errOut)
		}
	}
	if out, _, code := w.run(reader, "plan", "customers"); code != 0 || !strings.Contains(out, "2  rows invalid by themselves") {
		w.Errorf("the plan of invalid rows has exit code %d: %s", code, out)
	}
}

// importsSecrets checks that Secrets take the place of ConfigMaps, and that users that leave the list are announced.
func (w *world) importsSecrets(path string) {
	w.Helper()
	manifest := w.file("batch.yaml", w.mustRun(editor, "import", path, "--name", "customers", "--secret"))
	if out, _, code := w.run(reader, "plan", "-f", manifest); code != 2 || !strings.Contains(out, "1  users would leave the list") {
		w.Errorf("the plan of a manifest has exit code %d: %s", code, out)
	}
	out := w.mustRun(editor, "import", path, "--name", "customers", "--apply", "--secret", "-o", "name")
	if !strings.HasPrefix(out, "secret/customers-") || !strings.Contains(out, "embeddeduserbatch.embedded.runalloy.com/customers\n") {
		w.Errorf("names: %s", out)
	}
	w.Await("customers", v1alpha1.ReasonSucceeded)
	for name := range w.versions() {
		if strings.HasPrefix(name, "ConfigMap customers") {
			w.Errorf("%s is left", name)
		}
	}
}

// Nobody needs more than the role edit, and who lacks a right learns which.
func TestImport_Refused(t *testing.T) {
	w := newWorld(t, "refused", simulator.Options{})
	path := w.file("customers.csv", "username\nann\n")
	for want, args := range map[string][]string{
		"you may not list secrets in namespace refused": {"import", path, "--name", "customers", "--apply"},
		`--name "No" cannot be the name of a batch`:     {"import", path, "--name", "No"},
		"there is no batch nobody":                      {"plan", "nobody"},
		"you may not list embeddeduserslices":           {"plan", "mine"},
		"give the name of the batch that the files":     {"plan", path},
	} {
		if args[1] == "mine" {
			w.CreateBatch("mine")
		}
		if out, errOut, code := w.run(viewer, args...); code != 1 || !strings.Contains(errOut, want) {
			t.Errorf("%v: exit code %d: %s%s", args, code, out, errOut)
		}
	}
	w.Must(w.Create(w.Context(), w.Batch("customers")))
	if _, errOut, code := w.run(editor, "import", path, "--name", "customers", "--apply", "--api-key-secret", "other"); code != 1 ||
		!strings.Contains(errOut, "manages a field of embeddeduserbatch.embedded.runalloy.com/customers; --force-conflicts takes it over") {
		t.Errorf("a field that somebody else manages: exit code %d: %s", code, errOut)
	}
	for name := range w.versions() {
		if strings.HasPrefix(name, "ConfigMap customers") {
			t.Errorf("%s was written for a batch that does not name it", name)
		}
	}
}

// An import changes what is its own: not what others say of the batch, and not the lists of a batch with a similar name.
func TestImport_LeavesWhatIsNotItsOwn(t *testing.T) {
	w := newWorld(t, "own", simulator.Options{})
	w.start()
	batch := w.Batch("customers")
	batch.Spec.Suspend = true
	batch.Spec.Users = []v1alpha1.UserRow{{Username: "max"}}
	w.Must(w.Create(w.Context(), batch))
	path := w.file("customers.csv", "username\nann\n")
	long := strings.Repeat("x", 63)
	names := []string{"customers", "customers-1", long}
	for _, name := range names {
		w.mustRun(editor, "import", path, "--name", name, "--apply")
	}
	w.Await("customers-1", v1alpha1.ReasonSucceeded)
	w.Await(long, v1alpha1.ReasonSucceeded)
	w.Equal("users", int32(2), w.Await("customers", v1alpha1.ReasonSuspended).Status.Counts.Total)
	before := w.versions()
	out, errOut, _ := w.run(editor, "import", w.file("customers.csv", "username\nann\nbob\n"), "--name", "customers", "--apply")
	if !strings.Contains(out, "customers changed") || strings.Count(out, " deleted\n") != 1 ||
		!strings.Contains(errOut, "The batch keeps 1 row in spec.users, which the operator takes first.") {
		t.Errorf("a change: %s%s", out, errOut)
	}
	after := w.versions()
	for object, version := range before {
		if name, isOther := strings.CutPrefix(object, "ConfigMap "); isOther && after[object] != version &&
			(strings.HasPrefix(name, "customers-1-") || strings.HasPrefix(name, long)) {
			t.Errorf("%s was changed", object)
		}
	}
	w.Await("customers", v1alpha1.ReasonSuspended)
	manifest := "apiVersion: embedded.runalloy.com/v1alpha1\nkind: EmbeddedUserBatch\nmetadata: {name: customers}\n" +
		"spec: {apiKeySecretRef: {name: other}}\n"
	if out, err := w.Kubectl(manifest, "apply", "--server-side", "--field-manager", "git", "-f", "-"); strings.Contains(out, "kubectl-eub") {
		t.Errorf("the API key, which no import has set: %v: %s", err, out)
	}
}

// Whoever copies an example gets what it says.
func TestImport_Examples(t *testing.T) {
	w := newWorld(t, "import-examples", simulator.Options{})
	w.start()
	options := &command.Options{}
	for _, c := range []*cobra.Command{importing.NewCommand(options), planning.NewCommand(options)} {
		for _, args := range examples(t, c) {
			run := w.command(editor, args...)
			folder := filepath.Join(run.Dir, "clusters", "production", "customers")
			w.Must(os.MkdirAll(folder, 0o750))
			w.Must(os.WriteFile(filepath.Join(run.Dir, "customers.csv"), []byte(sheetOf(3)), 0o600))
			w.Must(os.WriteFile(filepath.Join(run.Dir, "more.json.gz"), []byte(`[{"username":"more"}]`), 0o600))
			if c.Name() == "plan" {
				manifest := w.mustRun(editor, "import", filepath.Join(run.Dir, "customers.csv"), "--name", "customers")
				w.Must(os.WriteFile(filepath.Join(folder, "all.yaml"), []byte(manifest), 0o600))
			}
			out, err := run.CombinedOutput()
			if code := run.ProcessState.ExitCode(); code != 0 && (c.Name() != "plan" || code != 2) {
				t.Errorf("%v: %v\n%s", args, err, out)
			}
		}
	}
	w.Await("customers", v1alpha1.ReasonSucceeded)
}

// maxPlanMemory is what plan and import take at most, in bytes.
const maxPlanMemory = 200 << 20

// However long a list is, its users are compared with those of the slices by hashes.
func TestPlan_OfALongList(t *testing.T) {
	w := newWorld(t, "long-plan", simulator.Options{})
	w.long(*thousands)
	var text strings.Builder
	text.WriteString("username;fullName\n")
	for i := range *thousands {
		for _, user := range usersOf(i) {
			fmt.Fprintf(&text, "%s;%s\n", user.Username, user.FullName)
		}
	}
	path := w.file("customers.csv", text.String())
	want := planning.Plan{
		Name: "customers", Namespace: w.Namespace, Send: planning.Send{Waiting: *thousands}, Requests: (*thousands + 999) / 1000,
		Settled: planning.Done{Created: 999 * *thousands},
	}
	for _, args := range [][]string{{"plan", path, "--name", "customers", "-o", "json"}, {"plan", "customers", "-o", "json"}} {
		command := w.command(reader, args...)
		var out bytes.Buffer
		command.Stdout, command.Stderr = &out, os.Stderr
		took, peak, _ := w.watch(command) // whose exit code is 2
		t.Logf("%v of %d users: %s, %d MiB", args, 1000**thousands, took.Round(10*time.Millisecond), peak>>20)
		var plan planning.Plan
		w.Must(json.Unmarshal(out.Bytes(), &plan))
		w.Equal("the plan", want, plan)
		if code := command.ProcessState.ExitCode(); code != 2 || peak == 0 || peak > maxPlanMemory {
			t.Errorf("exit code %d, %d MiB", code, peak>>20)
		}
	}
}
