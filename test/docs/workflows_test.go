// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// workflow is what the tests look at in a GitHub workflow.
type workflow struct {
	Permissions map[string]string `yaml:"permissions"`
	Jobs        map[string]struct {
		Permissions map[string]string `yaml:"permissions"`
		Timeout     int               `yaml:"timeout-minutes"`
		Steps       []struct {
			Uses string         `yaml:"uses"`
			Run  string         `yaml:"run"`
			With map[string]any `yaml:"with"`
		} `yaml:"steps"`
	} `yaml:"jobs"`
}

// version is the form of a tag or digest of an action: a branch may change at any time.
var version = regexp.MustCompile(`@(v\d+(\.\d+)*|[0-9a-f]{40})$`)

// TestWorkflows_HaveLeastRights checks that each job names its rights and ends, that no checkout leaves a token behind, that actions have
// versions, and that no script contains an expression, which others may be able to write.
func TestWorkflows_HaveLeastRights(t *testing.T) {
	for _, file := range workflowFiles(t) {
		var w workflow
		text, err := os.ReadFile(file)
		if err == nil {
			err = yaml.Unmarshal(text, &w)
		}
		if err != nil {
			t.Fatal(err)
		}
		if w.Permissions == nil || len(w.Permissions) > 0 {
			t.Errorf("%s: permissions are not {}, but %v", file, w.Permissions)
		}
		for name, job := range w.Jobs {
			if job.Permissions == nil || job.Timeout == 0 {
				t.Errorf("%s: %s lacks permissions or timeout-minutes", file, name)
			}
			for _, step := range job.Steps {
				if step.Uses != "" && !version.MatchString(step.Uses) {
					t.Errorf("%s: %s has no version", file, step.Uses)
				}
				if strings.HasPrefix(step.Uses, "actions/checkout@") && step.With["persist-credentials"] != false {
					t.Errorf("%s: a checkout in %s keeps its token", file, name)
				}
				if strings.Contains(strings.ReplaceAll(step.Run, "${{ matrix.", ""), "${{") {
					t.Errorf("%s: a script in %s has an expression: %s", file, name, step.Run)
				}
			}
		}
	}
}

// TestWorkflows_MakeWhatCIMakes looks for each target that .ci/run makes on every machine, and for the targets in the Makefile.
func TestWorkflows_MakeWhatCIMakes(t *testing.T) {
	text, err := os.ReadFile(testenv.Root(".github", "workflows", "ci.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for target := range ciTargets() {
		if !regexp.MustCompile(`target: ` + target + `\b`).Match(text) {
			t.Errorf("ci.yaml does not make %s", target)
		}
	}
	targets := makeTargets(t)
	for _, match := range regexp.MustCompile(`target: ([a-z0-9-]+)`).FindAllSubmatch(text, -1) {
		if !targets[string(match[1])] {
			t.Errorf("ci.yaml makes %s, which does not exist", match[1])
		}
	}
}

// workflowFiles returns the paths of the workflows.
func workflowFiles(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(testenv.Root(".github", "workflows"))
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, entry := range entries {
		files = append(files, testenv.Root(".github", "workflows", entry.Name()))
	}
	return files
}
