// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse_FindsBlocksAndCommands(t *testing.T) {
	p := parse("a.md", "# Title\n\n- item\n\n"+
		"  ```console\n  $ one \\\n  > two\n  output\n  $ three\n  ```\n\n```sh\n"+notRun+"reason\nfour\n```\n"+
		"````yaml\n# a.yaml\n```\n````\nend\n")
	if want := "# Title\n\n- item\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\nend\n\n"; p.prose != want {
		t.Errorf("prose (-want +got):\n%s", cmp.Diff(want, p.prose))
	}
	if len(p.blocks) != 3 {
		t.Fatalf("%d blocks: %+v", len(p.blocks), p.blocks)
	}
	want := []command{{where: "a.md:5", script: "one \\\ntwo", output: []string{"output"}}, {where: "a.md:5", script: "three"}}
	if diff := cmp.Diff(want, p.blocks[0].commands(), cmp.AllowUnexported(command{})); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	if got := p.blocks[1].reasonNotRun(); got != "reason" {
		t.Errorf("not run because of %q", got)
	}
	if got := p.blocks[2].fileName(); got != "a.yaml" || p.blocks[2].text != "# a.yaml\n```\n" {
		t.Errorf("file %q: %q", got, p.blocks[2].text)
	}
}

func TestSlug_IsThatOfGitHub(t *testing.T) {
	p := parse("a.md", "# A `b` c: d, e\n## `--flag` and 2\n## Twice\n## Twice\n## With [a link](x.md)\n## snake_case & so\n")
	want := map[string]bool{
		"a-b-c-d-e": true, "--flag-and-2": true, "twice": true, "twice-1": true, "with-a-link": true, "snake_case--so": true,
	}
	if diff := cmp.Diff(want, p.anchors()); diff != "" {
		t.Errorf("anchors (-want +got):\n%s", diff)
	}
}

func TestMatches_IgnoresWhatDiffersInEachRun(t *testing.T) {
	for name, test := range map[string]struct {
		want, got string
		matches   bool
	}{
		"ages and spaces":       {"customers   True   2s", "customers True  1m30s", true},
		"the name of a slice":   {"customers-61a2f956-0 3", "customers-0badcafe-0   3", true},
		"times":                 {`- time: "2026-11-24T06:42:01Z"`, `- time: "2027-01-02T03:04:05Z"`, true},
		"an ellipsis":           {"message: The … answered", "message: The Alloy API answered", true},
		"another count":         {"customers True 2", "customers True 3", false},
		"another line":          {"a", "b", false},
		"a line that is missed": {"a\nb", "a", false},
	} {
		if got := matches(lines(test.want), test.got); got != test.matches {
			t.Errorf("%s: %t", name, got)
		}
	}
}
