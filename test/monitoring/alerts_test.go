// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// alert is one of config/prometheus/rules.yaml.
type alert struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Annotations map[string]string `yaml:"annotations"`
}

// readYAML reads a file of the repository.
func readYAML(t *testing.T, into any, path ...string) {
	t.Helper()
	text, err := os.ReadFile(testenv.Root(path...))
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func alerts(t *testing.T) (all []alert) {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []alert `yaml:"rules"`
		} `yaml:"groups"`
	}
	readYAML(t, &file, "config", "prometheus", "rules.yaml")
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) < 5 {
		t.Fatalf("%d alerts", len(all))
	}
	return all
}

var ownMetric = regexp.MustCompile(`embeddeduser_\w+`)

// checkMetrics reports metrics in an expression that docs/metrics.md does not describe.
func checkMetrics(t *testing.T, where, expression string) {
	t.Helper()
	known, _ := readPage(t)
	for _, name := range ownMetric.FindAllString(expression, -1) {
		if _, ok := known[strings.TrimSuffix(name, "_bucket")]; !ok {
			t.Errorf("%s: docs/metrics.md does not describe %s", where, name)
		}
	}
}

// TestAlerts_AreComplete checks that each alert has tests for promtool that it fires and that it is silent, a line in docs/metrics.md, and
// a page.
func TestAlerts_AreComplete(t *testing.T) {
	t.Parallel()
	var tests struct {
		Tests []struct {
			Rules []struct {
				Name   string `yaml:"alertname"`
				Alerts []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		} `yaml:"tests"`
	}
	readYAML(t, &tests, "test", "monitoring", "testdata", "rules_test.yaml")
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, rule := range test.Rules {
			fires[rule.Name] = fires[rule.Name] || len(rule.Alerts) > 0
			silent[rule.Name] = silent[rule.Name] || len(rule.Alerts) == 0
		}
	}
	page, err := os.ReadFile(testenv.Root("docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range alerts(t) {
		checkMetrics(t, a.Alert, a.Expr)
		if !fires[a.Alert] || !silent[a.Alert] && a.Alert != "" {
			t.Errorf("%s: tested to fire: %t, to be silent: %t", a.Alert, fires[a.Alert], silent[a.Alert])
		}
		link := "runbooks/" + a.Alert + ".md"
		if !strings.Contains(string(page), "| ["+a.Alert+"]("+link+") |") {
			t.Errorf("docs/metrics.md does not list %s", a.Alert)
		}
		if url := a.Annotations["runbook_url"]; !strings.HasSuffix(url, "/blob/main/docs/"+link) || a.Annotations["summary"] == "" {
			t.Errorf("%s: annotations %v", a.Alert, a.Annotations)
		}
		text, err := os.ReadFile(testenv.Root("docs", "runbooks", a.Alert+".md"))
		if err != nil {
			t.Error(err)
		}
		for _, heading := range []string{"# " + a.Alert, "## Meaning", "## Impact", "## Diagnosis", "## What to do"} {
			if !strings.Contains(string(text), heading+"\n\n") {
				t.Errorf("%s: the page has no %q", a.Alert, heading)
			}
		}
	}
	pages, err := os.ReadDir(testenv.Root("docs", "runbooks"))
	if err != nil || len(pages) != len(alerts(t)) {
		t.Errorf("%d pages for %d alerts: %v", len(pages), len(alerts(t)), err)
	}
}
