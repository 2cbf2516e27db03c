// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"regexp"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// TestVersions_AreTheSame compares the version of the chart with every other place that has it.
func TestVersions_AreTheSame(t *testing.T) {
	find := func(pattern string, path ...string) string {
		t.Helper()
		text, err := os.ReadFile(testenv.Root(path...))
		if err != nil {
			t.Fatal(err)
		}
		match := regexp.MustCompile(`(?m)` + pattern).FindSubmatch(text)
		if match == nil {
			t.Fatalf("%v has no %s", path, pattern)
		}
		return string(match[1])
	}
	want := find(`^version: (\S+)$`, "dist", "chart", "Chart.yaml")
	for what, got := range map[string]string{
		"appVersion of the chart":          find(`^appVersion: "?v([^"\s]+)"?$`, "dist", "chart", "Chart.yaml"),
		"the first version in CHANGELOG":   find(`^## \[(\d[^\]]*)\]`, "CHANGELOG.md"),
		"RELEASE in the Makefile":          find(`^RELEASE \?= v(\S+)$`, "Makefile"),
		"the image in dist/install.yaml":   find(`image: embedded-user-operator:v(\S+)$`, "dist", "install.yaml"),
		"the image that README.md deploys": find(`make deploy IMG=\S+:v(\S+)$`, "README.md"),
	} {
		if got != want {
			t.Errorf("%s is %s, and the chart has version %s", what, got, want)
		}
	}
}
