// SPDX-License-Identifier: Apache-2.0

// Package gitopstest is what the tests with the libraries of Argo CD and of Flux share: the tables and manifests of docs/gitops.md, the
// objects that the operator writes, and a running operator. It uses only the standard library, so that both can use it with their
// versions of everything else.
package gitopstest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Kinds are the kinds of the operator, in the order of their tables in docs/gitops.md.
var Kinds = []string{"EmbeddedUserBatch", "EmbeddedUserSlice"}

// Situation is a row of a table in docs/gitops.md, with the object that the operator wrote in this situation.
type Situation struct {
	Kind, Name string
	// Ready is the status and the reason of the condition, and AlsoTrue names Reconciling or Stalled; each is "–" if there is none.
	Ready, AlsoTrue string
	Kstatus, ArgoCD string
	Object          json.RawMessage
}

// String names a situation in the output of a test.
func (s Situation) String() string { return s.Kind + "/" + s.Name }

// Root returns the path of a file of the repository.
func Root(elements ...string) string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(append([]string{filepath.Dir(file), "..", "..", ".."}, elements...)...)
}

// Situations returns the situations in the tables of docs/gitops.md. It ends the test unless each has an object, and each object one.
func Situations(t *testing.T) []Situation {
	t.Helper()
	tables := tables(t)
	if len(tables) != len(Kinds) {
		t.Fatalf("docs/gitops.md has %d tables of situations, want %d", len(tables), len(Kinds))
	}
	var situations []Situation
	for i, kind := range Kinds {
		objects := objects(t, kind)
		for _, s := range tables[i] {
			s.Kind, s.Object = kind, objects[s.Name]
			if s.Object == nil {
				t.Fatalf("no file in test/gitops/testdata has an object for the row %q of docs/gitops.md", s)
			}
			delete(objects, s.Name)
			situations = append(situations, s)
		}
		for name := range objects {
			t.Errorf("the table in docs/gitops.md has no row %q", name)
		}
	}
	return situations
}

// tables returns the rows of the tables of situations.
func tables(t *testing.T) (tables [][]Situation) {
	t.Helper()
	inTable := false
	for line := range strings.Lines(Document(t)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case len(cells) != 5:
			inTable = false
		case cells[0] == "situation":
			tables, inTable = append(tables, nil), true
		case inTable && !strings.HasPrefix(cells[0], "---"):
			last := &tables[len(tables)-1]
			*last = append(*last, Situation{
				Name: cells[0], Ready: strings.ReplaceAll(cells[1], "`", ""), AlsoTrue: cells[2], Kstatus: cells[3], ArgoCD: cells[4],
			})
		}
	}
	return tables
}

// objects returns the objects of a kind that the operator wrote, by situation.
func objects(t *testing.T, kind string) map[string]json.RawMessage {
	t.Helper()
	paths, err := filepath.Glob(Root("test", "gitops", "testdata", kind, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]json.RawMessage{}
	for _, path := range paths {
		text, err := os.ReadFile(path) //nolint:gosec // a file of this repository
		if err != nil {
			t.Fatal(err)
		}
		var saved struct {
			Situation string
			Object    json.RawMessage
		}
		if err := json.Unmarshal(text, &saved); err != nil {
			t.Fatalf("reading %s: %v", path, err)
		}
		objects[saved.Situation] = saved.Object
	}
	return objects
}

// manifest matches a block of YAML, and its kind.
var manifest = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

// Manifests returns the manifests of a kind in docs/gitops.md. It ends the test if there is none.
func Manifests(t *testing.T, apiVersion, kind string) (manifests []string) {
	t.Helper()
	for _, block := range manifest.FindAllStringSubmatch(Document(t), -1) {
		for text := range strings.SplitSeq(block[1], "---\n") {
			if strings.HasPrefix(text, "apiVersion: "+apiVersion+"\nkind: "+kind+"\n") {
				manifests = append(manifests, text)
			}
		}
	}
	if len(manifests) == 0 {
		t.Fatalf("docs/gitops.md has no %s of %s", kind, apiVersion)
	}
	return manifests
}

// Document returns docs/gitops.md.
func Document(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(Root("docs", "gitops.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// longest is the most characters of a cell that Table shows.
const longest = 90

// Table returns a table for the output of a test.
func Table(header []string, rows [][]string) string {
	for _, row := range rows {
		for i, cell := range row {
			if text := []rune(cell); len(text) > longest {
				row[i] = string(text[:longest-1]) + "…"
			}
		}
	}
	widths := make([]int, len(header))
	lines := slices.Insert(slices.Clone(rows), 0, header)
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var table strings.Builder
	for _, line := range lines {
		table.WriteString("\n")
		for i, cell := range line {
			fmt.Fprintf(&table, "%s%s  ", cell, strings.Repeat(" ", widths[i]-len([]rune(cell))))
		}
	}
	return table.String()
}
