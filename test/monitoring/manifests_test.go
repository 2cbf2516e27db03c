// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

var scrapeConfig = regexp.MustCompile("(?s)```yaml\n(scrape_configs:.*?)```")

// TestManifests_ThePlainConfigurationIsValid has promtool read the configuration in docs/metrics.md.
func TestManifests_ThePlainConfigurationIsValid(t *testing.T) {
	skipWithoutTools(t)
	page, err := os.ReadFile(testenv.Root("docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "prometheus.yaml")
	config := scrapeConfig.FindSubmatch(page)[1]
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	check := exec.Command("go", "tool", "-modfile=hack/promtool/go.mod", "promtool", "check", "config", "--syntax-only", path)
	check.Dir = testenv.Root()
	out, err := check.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "SUCCESS") {
		t.Errorf("%v: %s", err, out)
	}
}
