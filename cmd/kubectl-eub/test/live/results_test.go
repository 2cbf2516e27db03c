// SPDX-License-Identifier: Apache-2.0

package live

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/sheet"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
)

// mixed creates a batch with users of every kind but pending ones, and waits until they have results.
func (w *world) mixed() {
	w.Helper()
	w.Sim.Seed(w.Key, "existing@example.com")
	w.MustCreate(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "customers"},
		Data:       map[string]string{"users.csv": "username,fullName\n=1+1,\"Jo, the first\"\n00123,'quoted'\n,Nobody\nrejected@example.com,\n"},
	})
	batch := w.Batch("customers", v1alpha1.User{Username: "existing@example.com"}, v1alpha1.User{Username: "new@example.com", FullName: "New"},
		v1alpha1.User{Username: "new@example.com", FullName: "Other"})
	batch.Spec.UsersFrom = []v1alpha1.UsersSource{{ConfigMapKeyRef: &v1alpha1.UsersKeyReference{Name: "customers", Key: "users.csv"}}}
	w.MustCreate(batch)
	w.Await("customers", v1alpha1.ReasonInvalidUsers)
}

// It takes half a minute until the operator is sure that the API does not accept a user.
func TestResults(t *testing.T) {
	w := newWorld(t, "results", simulator.Options{Reject: func(username string) bool { return strings.HasPrefix(username, "rejected") }})
	w.start()
	w.mixed()
	w.hasEveryUserOfTheList()
	w.filters()
	w.findsRows()
	w.endsQuietly()
}

func (w *world) hasEveryUserOfTheList() {
	text := strings.TrimPrefix(w.mustRun(editor, "results", "customers", "-o", "csv"), "\ufeff")
	records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	w.Must(err)
	w.Equal("the header", sheet.Header(), records[0])
	type found struct{ FullName, Result, Reason, Where string }
	got := map[string]found{}
	for _, r := range records[1:] {
		name := sheet.Unescape(r[0])
		if r[3] == string(v1alpha1.InvalidReasonDuplicateUsername) {
			name += " again"
		}
		got[name] = found{sheet.Unescape(r[1]), r[2], r[3], strings.Join(r[5:], ",")}
	}
	w.Equal("what became of the users", map[string]found{
		"existing@example.com":  {"", "Existing", "", ",,"},
		"new@example.com":       {"New", "Created", "", ",,"},
		"new@example.com again": {"", "Invalid", "DuplicateUsername", "spec.users,2,"},
		"=1+1":                  {"Jo, the first", "Created", "", ",,"},
		"00123":                 {"'quoted'", "Created", "", ",,"},
		"":                      {"", "Invalid", "InvalidRow", "ConfigMap/customers/users.csv,2,4"},
		"rejected@example.com":  {"", "Invalid", "RejectedByAPI", "ConfigMap/customers/users.csv,3,"},
	}, got)
	for _, user := range w.Sim.Users(w.Key) {
		if r := got[user.Username]; r.Result != "Created" && r.Result != "Existing" || r.Result == "Created" && r.FullName != user.FullName {
			w.Errorf("%+v is %+v", user, r)
		}
	}
	w.Equal("users in the account", 4, len(w.Sim.Users(w.Key)))
}

func (w *world) filters() {
	invalid := w.mustRun(reader, "results", "customers", "--result", "invalid")
	if n := strings.Count(invalid, "\n"); n != 4 || !strings.Contains(invalid, "ConfigMap/customers/users.csv line 4") {
		w.Errorf("%d lines:\n%s", n, invalid)
	}
	var rows []struct{ Username, Result string }
	w.Must(json.Unmarshal([]byte(w.mustRun(editor, "results", "customers", "-o", "json", "--result", "Created,Existing")), &rows))
	w.Equal("users that exist", 4, len(rows))
	w.Equal("no user is pending", "[]\n", w.mustRun(editor, "results", "customers", "-o", "json", "--result", "Pending"))
	for line := range strings.Lines(w.mustRun(editor, "results", "customers", "-o", "ndjson")) {
		w.Must(json.Unmarshal([]byte(line), &struct{}{}))
	}
	for want, args := range map[string][]string{
		`--result "Broken" is unknown`: {"results", "customers", "--result", "Broken"},
		`--output "xls" is unknown`:    {"results", "customers", "-o", "xls"},
		"there is no batch nobody":     {"results", "nobody"},
	} {
		if _, errOut, code := w.run(editor, args...); code != 1 || !strings.Contains(errOut, want) {
			w.Errorf("%v: exit code %d, %s", args, code, errOut)
		}
	}
	_, errOut, code := w.run(viewer, "results", "customers")
	if code != 1 || !strings.Contains(errOut, "you may not list embeddeduserslices") {
		w.Errorf("somebody who may not see slices: exit code %d, %s", code, errOut)
	}
}

// endsQuietly checks that a reader that has seen enough, such as head, is no error worth a word.
func (w *world) endsQuietly() {
	w.Helper()
	read, write, err := os.Pipe()
	w.Must(err)
	w.Must(read.Close())
	var errOut bytes.Buffer
	command := w.command(editor, "results", "customers", "--rows")
	command.Stdout, command.Stderr = write, &errOut
	if err := command.Run(); err == nil || errOut.Len() > 0 {
		w.Errorf("%v: %s", err, &errOut)
	}
	w.Must(write.Close())
}

// findsRows checks that --rows finds everybody, for somebody who may read the lists.
func (w *world) findsRows() {
	out := w.mustRun(editor, "results", "customers", "--rows", "-o", "ndjson")
	for _, part := range []string{
		`{"username":"00123","fullName":"'quoted'","result":"Created","source":"ConfigMap/customers/users.csv","row":1}`,
		`{"username":"new@example.com","fullName":"New","result":"Created","source":"spec.users","row":1}`,
		`{"username":"","result":"Invalid","reason":"InvalidRow","message":"username is empty; give one of 1 to 256 characters",` +
			`"source":"ConfigMap/customers/users.csv","row":2,"line":4}`,
		`"reason":"DuplicateUsername"`, `"reason":"RejectedByAPI"`,
	} {
		if !strings.Contains(out, part) {
			w.Errorf("%s is missing in\n%s", part, out)
		}
	}
}

// A slice that another object controls is not the batch's, whatever its label.
func TestResults_LeavesForeignSlicesOut(t *testing.T) {
	w := newWorld(t, "foreign", simulator.Options{})
	w.start()
	w.CreateBatch("customers", v1alpha1.User{Username: "mine"})
	w.Await("customers", v1alpha1.ReasonSucceeded)
	w.MustCreate(&v1alpha1.EmbeddedUserSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "foreign", Labels: map[string]string{v1alpha1.LabelBatch: "customers"}},
		Spec: v1alpha1.EmbeddedUserSliceSpec{
			APIKeySecretRef: v1alpha1.APIKeySecretReference{Name: "alloy", Key: "apiKey"}, Users: []v1alpha1.User{{Username: "theirs"}},
		},
	})
	if out := w.mustRun(editor, "results", "customers", "-o", "ndjson"); strings.Contains(out, "theirs") || !strings.Contains(out, "mine") {
		t.Error(out)
	}
}
