// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"bytes"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// described is what a page says of a metric.
type described struct {
	kind   string
	labels []string // sorted
}

var code = regexp.MustCompile("`([^`]+)`")

func codes(cell string) (found []string) {
	for _, match := range code.FindAllStringSubmatch(cell, -1) {
		found = append(found, match[1])
	}
	return found
}

// readPage returns the metrics that docs/metrics.md describes, and the values that it gives for each label.
func readPage(t *testing.T) (metrics map[string]described, values map[string][]string) {
	t.Helper()
	page, err := os.ReadFile(testenv.Root("docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	metrics, values = map[string]described{}, map[string][]string{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		if first := codes(cells[0]); strings.HasPrefix(first[0], "embeddeduser_") {
			metrics[first[0]] = described{strings.TrimSpace(cells[1]), slices.Sorted(slices.Values(codes(cells[2])))}
		} else if len(cells) == 2 {
			for _, label := range first {
				values[label] = codes(cells[1])
			}
		}
	}
	if len(metrics) < 10 || len(values) < 5 {
		t.Fatalf("the page describes %d metrics and %d labels", len(metrics), len(values))
	}
	return metrics, values
}

// troubled has batches of every kind: one that is done, one with invalid users, one with a wrong key, one without a key, one for which
// the API fails, one with a list, and one that is suspended.
func troubled(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, "documented", simulator.Options{Reject: func(username string) bool { return strings.HasPrefix(username, "refused") }})
	w.Must(testenv.WriteKey(t.Context(), w, w.Namespace, "wrong", "a-wrong-key"))
	w.failFor("failing")
	w.CreateBatch("done", testenv.Users("done", 3)...)
	w.CreateBatch("refused", append(testenv.Users("refused", 2), testenv.Users("accepted", 2)...)...)
	w.createBatch("wrong-key", "wrong", testenv.Users("wrong", 2)...)
	w.createBatch("no-key", "missing", testenv.Users("missing", 2)...)
	w.CreateBatch("failing", testenv.Users("failing", 2)...)
	suspended := w.Batch("suspended", testenv.Users("suspended", 2)...)
	suspended.Spec.Suspend = true
	w.MustCreate(suspended)
	return w
}

// TestMetrics_AreAsDocumented scrapes an operator with batches in trouble, and compares the scrape with docs/metrics.md.
func TestMetrics_AreAsDocumented(t *testing.T) {
	w := troubled(t)
	operator := w.start("--watch-namespaces", w.Namespace+",not-there")
	w.Await("done", v1alpha1.ReasonSucceeded)
	w.Await("wrong-key", v1alpha1.ReasonUnauthorized)
	w.Await("no-key", v1alpha1.ReasonSecretNotFound)
	w.Await("failing", v1alpha1.ReasonRetrying)
	w.Await("suspended", v1alpha1.ReasonSuspended)
	metrics, values := readPage(t)

	var text []byte
	var families map[string]*dto.MetricFamily
	w.Eventually(func() []string { // a counter appears with the first request, and a batch with the next scrape
		text = w.scrape(operator)
		families = w.own(text)
		return slices.Sorted(maps.Keys(families))
	}).Should(gomega.Equal(slices.Sorted(maps.Keys(metrics))))
	names := map[string][]string{
		"namespace": {w.Namespace, "not-there"}, "batch": {"refused", "wrong-key", "no-key", "failing", "suspended"}, // not the one that is done
	}
	for name, family := range families {
		if got := strings.ToLower(family.GetType().String()); got != metrics[name].kind {
			t.Errorf("%s is a %s, documented as a %s", name, got, metrics[name].kind)
		}
		for _, series := range family.GetMetric() {
			found := labels(series)
			w.Equal("labels of "+name, metrics[name].labels, slices.Sorted(maps.Keys(found)), equalEmpty)
			for label, value := range found {
				if !slices.Contains(slices.Concat(names[label], values[label]), value) || value == label {
					t.Errorf("%s: the value %q of label %s is not documented", name, value, label)
				}
			}
		}
	}
	for what, secret := range map[string]string{"a username": "@example.com", "a key": w.Key, "the wrong key": "a-wrong-key"} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("the metrics hold %s", what)
		}
	}
	w.lint(text)
	w.checkNumbers(families)
	w.checkEnd(operator)
}

// lint complains as `promtool check metrics` does.
func (w *world) lint(text []byte) {
	w.Helper()
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	w.Must(err)
	for _, problem := range problems {
		if strings.HasPrefix(problem.Metric, "embeddeduser_") {
			w.Errorf("%s: %s", problem.Metric, problem.Text)
		}
	}
}

// value returns the sum of the series of a metric that have some labels.
func value(families map[string]*dto.MetricFamily, name string, want map[string]string) (sum float64) {
	for _, series := range families[name].GetMetric() {
		found := labels(series)
		fits := true
		for label, value := range want {
			fits = fits && found[label] == value
		}
		if fits {
			sum += series.GetGauge().GetValue() + series.GetCounter().GetValue()
		}
	}
	return sum
}

// checkNumbers compares some metrics with the objects in the API server.
func (w *world) checkNumbers(families map[string]*dto.MetricFamily) {
	w.Helper()
	for _, tc := range []struct {
		metric string
		labels map[string]string
		want   float64
	}{
		{"embeddeduser_batches", nil, 6},
		{"embeddeduser_paused_batches", map[string]string{"pause": "suspended"}, 1},
		{"embeddeduser_paused_batches", nil, 1},
		{"embeddeduser_overdue_resync_batches", nil, 0},
		{"embeddeduser_batches", map[string]string{"reason": "Unauthorized"}, 1},
		{"embeddeduser_unready_batch_users", map[string]string{"batch": "failing", "result": "pending"}, 2},
		{"embeddeduser_namespace_watched", map[string]string{"namespace": "not-there"}, 0},
		{"embeddeduser_list_memory_limit_bytes", map[string]string{"lists": "long"}, 320 << 20},
	} {
		if got := value(families, tc.metric, tc.labels); got != tc.want {
			w.Errorf("%s%v is %v, want %v", tc.metric, tc.labels, got, tc.want)
		}
	}
	if got := value(families, "embeddeduser_users_in_doubt", nil); got < 1 {
		w.Errorf("%v users are in doubt", got)
	}
	if got := value(families, "embeddeduser_oldest_suspension_age_seconds", nil); got <= 0 {
		w.Errorf("a batch has been suspended for %v seconds", got)
	}
	since := value(families, "embeddeduser_unready_batch_since_timestamp_seconds", map[string]string{"batch": "wrong-key"})
	ready := testenv.Condition(w.Load("wrong-key").Status.Conditions, v1alpha1.ConditionReady)
	if int64(since) != ready.LastTransitionTime.Unix() {
		w.Errorf("a batch is not ready since %v, which its status says since %v", int64(since), ready.LastTransitionTime.Unix())
	}
}

// checkEnd deletes a batch, mends another, and sees their series end.
func (w *world) checkEnd(operator *testenv.Operator) {
	w.Helper()
	w.Must(w.Delete(w.Context(), w.Batch("wrong-key")))
	w.Must(testenv.WriteKey(w.Context(), w, w.Namespace, "missing", w.Key))
	w.Await("no-key", v1alpha1.ReasonSucceeded)
	w.Eventually(func() string { return string(w.scrape(operator)) }).ShouldNot(gomega.Or(
		gomega.ContainSubstring(`batch="wrong-key"`), gomega.ContainSubstring(`batch="no-key"`)))
	if got := value(w.own(w.scrape(operator)), "embeddeduser_batches", nil); got != 5 {
		w.Errorf("%v batches are counted, want 5", got)
	}
}

// TestMetrics_OfAllNamespaces runs the operator without --watch-namespaces, and two replicas, of which only one counts.
func TestMetrics_OfAllNamespaces(t *testing.T) {
	w := newWorld(t, "every-namespace", simulator.Options{})
	w.CreateBatch("b", testenv.Users("user", 3)...)
	args := []string{"--leader-elect", "--leader-election-namespace", w.Namespace}
	leader := w.start(args...)
	w.Await("b", v1alpha1.ReasonSucceeded)
	standby := w.start(args...)
	w.Must(standby.AwaitReady(t.Context()))
	w.Eventually(func() float64 {
		return value(w.own(w.scrape(leader)), "embeddeduser_users", map[string]string{"result": "created"})
	}).Should(gomega.BeEquivalentTo(3))
	if families := w.own(w.scrape(standby)); families["embeddeduser_batches"] != nil {
		t.Errorf("a replica that stands by counts batches: %v", families["embeddeduser_batches"])
	}
	w.Must(leader.Stop())
	w.Eventually(func() float64 { return value(w.own(w.scrape(standby)), "embeddeduser_batches", nil) }).Should(gomega.BeEquivalentTo(1))
}
