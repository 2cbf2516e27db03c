// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"regexp"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

var (
	rule      = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`)
	makeInUse = regexp.MustCompile("(?m)(?:^|`|&& |[A-Z]+=[^ ]* |run: )make ([a-z][a-z0-9-]+)")
)

// TestMake_TargetsExist looks for each target that a page, a workflow or .ci/run makes.
func TestMake_TargetsExist(t *testing.T) {
	targets := makeTargets(t)
	used := 0
	check := func(where, text string) {
		for _, match := range makeInUse.FindAllStringSubmatch(text, -1) {
			used++
			if !targets[match[1]] {
				t.Errorf("%s: there is no target %s", where, match[1])
			}
		}
	}
	for _, p := range loadPages(t) {
		check(p.path, p.prose)
		for _, b := range p.blocks {
			check(b.where, b.text)
		}
	}
	for _, file := range append(workflowFiles(t), testenv.Root(".ci", "run")) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		check(file, string(text))
	}
	if used < 20 {
		t.Errorf("found only %d uses", used)
	}
}

// makeTargets returns the targets of the Makefile.
func makeTargets(t *testing.T) map[string]bool {
	t.Helper()
	makefile, err := os.ReadFile(testenv.Root("Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, match := range rule.FindAllStringSubmatch(string(makefile), -1) {
		targets[match[1]] = true
	}
	return targets
}
