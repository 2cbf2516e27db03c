// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// operatorModule is the Go module that holds the CRDs of the Prometheus Operator.
const operatorModule = "github.com/prometheus-operator/prometheus-operator@v0.85.0"

// installCRDs installs the CRDs of the Prometheus Operator, which it takes out of its module.
func (w *world) installCRDs() {
	w.Helper()
	out, err := exec.Command("go", "mod", "download", "-json", operatorModule).Output()
	w.Must(err)
	var module struct{ Dir string }
	w.Must(json.Unmarshal(out, &module))
	folder := filepath.Join(module.Dir, "example", "prometheus-operator-crd")
	for _, name := range []string{"servicemonitors", "prometheusrules"} {
		path := filepath.Join(folder, "monitoring.coreos.com_"+name+".yaml")
		if out, err := plane.Kubectl(w.Context(), "apply", "--server-side", "-f", path).CombinedOutput(); err != nil {
			w.Fatalf("%v: %s", err, out)
		}
		crd := "crd/" + name + ".monitoring.coreos.com"
		if out, err := plane.Kubectl(w.Context(), "wait", "--for=condition=Established", crd).CombinedOutput(); err != nil {
			w.Fatalf("%v: %s", err, out)
		}
	}
}

// TestManifests_AreAccepted applies config/prometheus to an API server that knows the kinds of the Prometheus Operator, and runs the
// commands of docs/metrics.md.
func TestManifests_AreAccepted(t *testing.T) {
	skipWithoutTools(t)
	w := newWorld(t, "manifests", simulator.Options{})
	w.installCRDs()
	strict := plane.Kubectl(t.Context(), "apply", "--dry-run=server", "--validate=strict", "-k", testenv.Root("config", "prometheus"))
	if out, err := strict.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	page := commands(t, testenv.Root("docs", "metrics.md"))
	for _, command := range page {
		out, err := w.run("cd " + testenv.Root() + " && " + command)
		if err != nil {
			t.Errorf("%s: %v: %s", command, err, out)
		}
		t.Log(out)
	}
	if len(page) != 2 {
		t.Errorf("the page has the commands %q", page)
	}
}

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
