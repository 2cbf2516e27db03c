// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// scrapeInterval is short, so that a short run gives many samples.
const scrapeInterval = time.Second

// job is the label under which the operator is scraped, as docs/metrics.md names it.
const job = "embedded-user-operator"

// prometheus is a running Prometheus.
type prometheus struct {
	*testenv.Process

	url string
}

// startPrometheus starts Prometheus, which scrapes an operator and evaluates the alerts. The end of the test kills it.
func (w *world) startPrometheus(operator *testenv.Operator) *prometheus {
	w.Helper()
	path, err := exec.LookPath("prometheus")
	if err != nil {
		w.Fatal("prometheus is not installed: apt-get install prometheus")
	}
	folder := w.TempDir()
	config := filepath.Join(folder, "prometheus.yaml")
	w.Must(os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: %[1]s, scrape_timeout: %[1]s, evaluation_interval: %[1]s}
rule_files: [%[2]q]
scrape_configs:
- job_name: %[3]s
  honor_labels: true
  static_configs:
  - targets: [%[4]q]
`, scrapeInterval, testenv.Root("config", "prometheus", "rules.yaml"), job, strings.TrimPrefix(operator.Metrics, "http://")), 0o600))
	address := freeAddress(w.TB)
	command := exec.Command(path, "--config.file", config, "--storage.tsdb.path", filepath.Join(folder, "data"),
		"--web.listen-address", address, "--log.level", "warn")
	command.Stdout, command.Stderr = &w.ProcessLog, &w.ProcessLog
	process, err := testenv.StartProcess(command)
	w.Must(err)
	w.Cleanup(process.Kill)
	p := &prometheus{process, "http://" + address}
	w.Must(testenv.Await(w.Context(), func(ctx context.Context) error {
		return testenv.Fetch(ctx, p.url+"/-/ready", &bytes.Buffer{})
	}))
	return p
}

func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // never used
	return listener.Addr().String()
}

// series is what a query returns.
type series struct {
	Labels map[string]string `json:"metric"`
	Values []sample          `json:"values"`
}

// sample is a value at some time.
type sample struct {
	at    time.Time
	value float64
}

// UnmarshalJSON decodes a pair of a Unix time and a text.
func (s *sample) UnmarshalJSON(data []byte) error {
	var at float64
	var text string
	if err := json.Unmarshal(data, &[]any{&at, &text}); err != nil {
		return err
	}
	s.at = time.UnixMilli(int64(at * 1000))
	var err error
	s.value, err = strconv.ParseFloat(text, 64)
	return err
}

// query returns the values of an expression from some time until another. Values that are no numbers are left out, as in a graph.
func (p *prometheus) query(ctx context.Context, expression string, from, to time.Time) ([]series, error) {
	values := url.Values{
		"query": {expression}, "step": {"1"},
		"start": {strconv.FormatInt(from.Unix(), 10)}, "end": {strconv.FormatInt(to.Unix(), 10)},
	}
	var body bytes.Buffer
	if err := testenv.Fetch(ctx, p.url+"/api/v1/query_range?"+values.Encode(), &body); err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Result []series `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body.Bytes(), &answer); err != nil {
		return nil, err
	}
	var found []series
	for _, one := range answer.Data.Result {
		var numbers []sample
		for _, s := range one.Values {
			if !math.IsNaN(s.value) && !math.IsInf(s.value, 0) {
				numbers = append(numbers, s)
			}
		}
		if len(numbers) > 0 {
			found = append(found, series{one.Labels, numbers})
		}
	}
	return found, nil
}

// await waits until an expression, such as a comparison, has a value.
func (w *world) await(p *prometheus, expression string) {
	w.Helper()
	w.Must(testenv.Await(w.Context(), func(ctx context.Context) error {
		now := time.Now()
		found, err := p.query(ctx, expression, now, now)
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("%s has no value", expression)
		}
		return err
	}))
}
