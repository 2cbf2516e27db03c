// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var (
	helpLine    = regexp.MustCompile(`^ +--([a-z-]+)(?:\[=true\|false\]| (\S+))?  +(.*)$`)
	helpDefault = regexp.MustCompile(`\(default "?([^")]*)"?\)`)
	flagInCode  = regexp.MustCompile("`--([a-z][a-z-]+)")
	tableFlag   = regexp.MustCompile("`--([a-z-]+)`")
)

// flagsOfOthers are flags of other programs that the prose of the documentation names.
var flagsOfOthers = map[string]bool{
	"server-side": true, "cascade": true, "dry-run": true, "force-conflicts": true, // kubectl
	"apply": true, "watch": true, // kubectl eub
}

// TestFlags_AreDocumented compares the table of docs/operator.md with the operator's --help.
func TestFlags_AreDocumented(t *testing.T) {
	defaults := flagDefaults(t)
	documented := tableOfFlags(t)
	for name, want := range defaults {
		if got, isDocumented := documented[name]; !isDocumented {
			t.Errorf("docs/operator.md does not document --%s", name)
		} else if want != "" && got != want {
			t.Errorf("docs/operator.md says that the default of --%s is %q, and it is %q", name, got, want)
		}
	}
	for name := range documented {
		if _, exists := defaults[name]; !exists {
			t.Errorf("docs/operator.md documents --%s, which does not exist", name)
		}
	}
	for _, p := range loadPages(t) {
		if strings.HasPrefix(p.path, "docs/kubectl-eub/") { // generated from the flags of the plugin
			continue
		}
		for _, match := range flagInCode.FindAllStringSubmatch(p.prose, -1) {
			if _, exists := defaults[match[1]]; !exists && !flagsOfOthers[match[1]] {
				t.Errorf("%s names --%s, which neither the operator nor a program in flagsOfOthers has", p.path, match[1])
			}
		}
	}
}

// flagDefaults returns the operator's flags with their defaults, which are empty for those that --help shows none for.
func flagDefaults(t *testing.T) map[string]string {
	t.Helper()
	out, _ := exec.CommandContext(t.Context(), operator, "--help").CombinedOutput()
	defaults := map[string]string{}
	for line := range strings.Lines(string(out)) {
		match := helpLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if match == nil {
			continue
		}
		name, kind, usage := match[1], match[2], match[3]
		value := helpDefault.FindStringSubmatch(usage)
		switch {
		case value != nil:
			defaults[name] = value[1]
		case kind == "": // a switch
			defaults[name] = "false"
		default:
			defaults[name] = ""
		}
	}
	if len(defaults) < 20 {
		t.Fatalf("found only %d flags in:\n%s", len(defaults), out)
	}
	return defaults
}

// tableOfFlags returns the flags and defaults of the table in docs/operator.md, whose cells may have several of each.
func tableOfFlags(t *testing.T) map[string]string {
	t.Helper()
	flags := map[string]string{}
	for line := range strings.Lines(pageAt(t, "docs/operator.md").prose) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		defaults := strings.Split(cells[2], ",")
		for i, match := range tableFlag.FindAllStringSubmatch(cells[1], -1) {
			flags[match[1]] = strings.Trim(defaults[min(i, len(defaults)-1)], " `")
		}
	}
	return flags
}
