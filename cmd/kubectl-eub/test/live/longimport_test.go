// SPDX-License-Identifier: Apache-2.0

package live

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
)

// Limits of an import of a million users.
const (
	mostImportMemory = 200 << 20
	mostImportTime   = 30 * time.Second
)

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
