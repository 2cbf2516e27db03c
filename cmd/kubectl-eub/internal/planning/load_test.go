// SPDX-License-Identifier: Apache-2.0

package planning

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/importing"
)

// What kubectl eub import writes, and kubectl applies, can be planned.
func TestReadManifests(t *testing.T) {
	const (
		yaml = "---\n# first\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: customers-1\ndata:\n  users.csv: username\n---\n" +
			"apiVersion: embedded.runalloy.com/v1alpha1\nkind: EmbeddedUserBatch\nmetadata:\n  name: customers\n"
		json = `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "customers-1"}, "data": {"users.csv": "username"}}` + "\n" +
			`{"apiVersion": "embedded.runalloy.com/v1alpha1", "kind": "EmbeddedUserBatch", "metadata": {"name": "customers"}}`
	)
	for name, text := range map[string]string{"YAML": yaml, "JSON": json} {
		m, err := readManifests("-", strings.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if batch, err := m.batch(""); err != nil || batch.Name != "customers" || m.configMaps["customers-1"].Data["users.csv"] != "username" {
			t.Errorf("%s is read as %v, %v", name, m, err)
		}
	}
	for text, want := range map[string]string{
		"apiVersion: [\n": "reading standard input: ",
		"apiVersion: embedded.runalloy.com/v1alpha1\nkind: EmbeddedUserBatch\nspec:\n  user: []\n": `unknown field "user"`,
	} {
		if _, err := readManifests("-", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A folder with the name of a batch does not hide the batch.
func TestMeant(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("customers", 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("customers", "list"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	o := &options{}
	if name, files, err := o.meant([]string{"customers"}); name != "customers" || files != nil || err != nil {
		t.Errorf("%q, %v, %v", name, files, err)
	}
	if _, _, err := o.meant([]string{filepath.Join("customers", "list")}); err == nil {
		t.Error("a file is taken for a batch")
	}
}

// Help is read in terminals of 80 columns.
func TestHelp_Fits(t *testing.T) {
	for _, c := range []*cobra.Command{importing.NewCommand(&command.Options{}), NewCommand(&command.Options{})} {
		for line := range strings.SplitSeq("  "+c.Name()+"       "+c.Short+"\n"+c.Long+"\n"+c.Example, "\n") {
			if len(line) > 80 {
				t.Errorf("%s, %d columns: %s", c.Name(), len(line), line)
			}
		}
	}
}
