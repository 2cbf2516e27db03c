// SPDX-License-Identifier: Apache-2.0

package live

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/internal/ledger"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

var thousands = flag.Int("thousands", 20, "thousands of users of the long batch; 1000 measures what the documentation says")

// maxMemory is what results and status take at most, in bytes.
const maxMemory = 100 << 20

// usersOf returns the users of a slice.
func usersOf(slice int) []v1alpha1.User {
	return testenv.Users(fmt.Sprintf("customer-of-the-region-%04d", slice), v1alpha1.MaxSliceUsers)
}

// slicesPerList is the number of slices whose users are in one list.
const slicesPerList = 20

// lists creates ConfigMaps with the users of many slices, and returns them as sources.
func (w *world) lists(thousands int) (sources []v1alpha1.UsersSource) {
	w.Helper()
	for first := 0; first < thousands; first += slicesPerList {
		var list, text bytes.Buffer
		list.WriteString("username,fullName\n")
		for i := first; i < min(first+slicesPerList, thousands); i++ {
			for _, user := range usersOf(i) {
				list.WriteString(user.Username + "," + user.FullName + "\n")
			}
		}
		gz := gzip.NewWriter(&text)
		_, err := gz.Write(list.Bytes())
		w.Must(errors.Join(err, gz.Close()))
		ref := &v1alpha1.UsersKeyReference{Name: fmt.Sprintf("customers-%d", first), Key: "users.csv.gz"}
		w.MustCreate(&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: ref.Name}, BinaryData: map[string][]byte{ref.Key: text.Bytes()},
		})
		sources = append(sources, v1alpha1.UsersSource{ConfigMapKeyRef: ref})
	}
	return sources
}

// long creates a batch with many users, whose slices have results, as after the operator has sent them.
func (w *world) long(thousands int) {
	w.Helper()
	batch := w.Batch("customers")
	batch.Spec.UsersFrom = w.lists(thousands)
	w.MustCreate(batch)
	batch.Status.ObservedGeneration, batch.Status.Counts.Pending = -1, int32(thousands)
	w.Must(w.Client.Status().Update(w.Context(), batch))
	yes := true
	owner := metav1.OwnerReference{
		APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: v1alpha1.EmbeddedUserBatchKind, Name: batch.Name, UID: batch.UID,
		Controller: &yes,
	}
	for i := range thousands {
		slice := &v1alpha1.EmbeddedUserSlice{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: w.Namespace, Name: fmt.Sprintf("customers-61a2f956-%d", i),
				Labels: map[string]string{v1alpha1.LabelBatch: batch.Name}, OwnerReferences: []metav1.OwnerReference{owner},
			},
			Spec: v1alpha1.EmbeddedUserSliceSpec{
				APIKeySecretRef: v1alpha1.APIKeySecretReference{Name: "alloy", Key: "apiKey"},
				Users:           usersOf(i),
			},
		}
		w.MustCreate(slice)
		for _, user := range slice.Spec.Users {
			slice.Status.Results = append(slice.Status.Results, v1alpha1.UserResult{Username: user.Username, Result: v1alpha1.ResultCreated})
		}
		slice.Status.Results = slice.Status.Results[:len(slice.Status.Results)-1] // the last one is pending
		slice.Status.ObservedGeneration, slice.Status.Counts = -1, ledger.Count(slice, slice.Status.Results)
		w.Must(w.Client.Status().Update(w.Context(), slice))
	}
}

// measure runs a command that succeeds, and returns how long it took, and its peak memory.
func (w *world) measure(command *exec.Cmd) (took time.Duration, peak int) {
	w.Helper()
	took, peak, err := w.watch(command)
	w.Must(err)
	return took, peak
}

// watch does the same for a command that may fail. It asks for the memory while the command runs: what is known of it afterwards begins
// with that of the test.
func (w *world) watch(command *exec.Cmd) (took time.Duration, peak int, err error) {
	w.Helper()
	process, err := testenv.StartProcess(command)
	w.Must(err)
	w.Cleanup(process.Kill)
	for poll := time.NewTicker(10 * time.Millisecond); ; {
		select {
		case <-process.Done():
			return time.Since(process.Started), peak, process.Wait()
		case <-poll.C:
			if _, now, err := process.Memory(); err == nil {
				peak = max(peak, now)
			}
		}
	}
}

func lines(t *testing.T, path string) (n int) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // only read
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		n++
	}
	return n
}

// However long a list is, its results are streamed.
func TestResults_OfALongList(t *testing.T) {
	w := newWorld(t, "long", simulator.Options{})
	w.long(*thousands)
	for _, test := range []struct {
		args []string
		want int // lines
	}{
		{[]string{"results", "customers", "-o", "csv"}, 1000**thousands + 1},
		{[]string{"results", "customers", "-o", "ndjson"}, 1000 * *thousands},
		{[]string{"results", "customers"}, 1000**thousands + 1},
		{[]string{"results", "customers", "--result", "Pending", "-o", "json"}, *thousands + 2},
		{[]string{"results", "customers", "--rows", "-o", "csv"}, 1000**thousands + 1},
	} {
		path := filepath.Join(t.TempDir(), "out")
		out, err := os.Create(path)
		w.Must(err)
		command := w.command(editor, test.args...)
		command.Stdout = out
		took, peak := w.measure(command)
		w.Must(out.Close())
		t.Logf("%v of %d users: %s, %d MiB", test.args, 1000**thousands, took.Round(10*time.Millisecond), peak>>20)
		w.Equal("lines", test.want, lines(t, path))
		if peak == 0 || peak > maxMemory {
			t.Errorf("%v took %d MiB", test.args, peak>>20)
		}
	}
	for _, name := range []string{"status", "check", "suspend", "resume", "retry"} { // which read the batch, and few slices
		took, peak := w.measure(w.command(editor, name, "customers"))
		t.Logf("%s: %s, %d MiB", name, took.Round(10*time.Millisecond), peak>>20)
		if peak > maxMemory {
			t.Errorf("%s took %d MiB", name, peak>>20)
		}
	}
}
