// SPDX-License-Identifier: Apache-2.0

// Package monitoring tests what people see of a running operator besides its objects: the metrics, as docs/metrics.md describes them,
// the alerts, and the queries of the dashboard. The operator runs as a process against a real control plane.
package monitoring

import (
	"bytes"
	"context"
	"flag"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp/cmpopts"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

var (
	withTools = flag.Bool("tools", false, "run also the tests that need Prometheus and promtool")
	picture   = flag.String("picture", "", "file, from the root of the repository, to draw the dashboard into")
)

var (
	plane   *testenv.ControlPlane
	program string // path of the operator
)

func TestMain(m *testing.M) {
	testenv.Main(m, testenv.Options{}, func(started *testenv.ControlPlane) (err error) {
		plane = started
		program, err = testenv.Build(context.Background(), plane.Folder, "operator")
		return err
	})
}

// skipWithoutTools skips a test that needs more than the control plane.
func skipWithoutTools(t *testing.T) {
	t.Helper()
	if !*withTools {
		t.Skip("make test-monitoring runs this test; it needs Prometheus: apt-get install prometheus")
	}
}

// world is a test's world.
type world struct{ *testenv.World }

// newWorld returns a world with an API key.
func newWorld(t *testing.T, name string, options simulator.Options) *world {
	t.Helper()
	w := &world{testenv.NewWorld(t, plane, name, options)}
	w.SetKey(w.Key)
	return w
}

// start starts an operator, which the end of the test kills.
func (w *world) start(args ...string) *testenv.Operator {
	w.Helper()
	return w.StartOperator(testenv.OperatorOptions{Path: program, Kubeconfig: plane.Kubeconfig, Args: args})
}

// createBatch creates a batch of users under the key in a Secret.
func (w *world) createBatch(name, secret string, users ...v1alpha1.User) {
	w.Helper()
	batch := w.Batch(name, users...)
	batch.Spec.APIKeySecretRef.Name = secret
	w.MustCreate(batch)
}

// failFor has the API answer requests for users with a prefix with 503, for ever.
func (w *world) failFor(prefix string) {
	w.Sim.Inject(simulator.Fault{Operation: simulator.Create, Status: 503, Match: func(r simulator.Request) bool {
		return slices.ContainsFunc(r.Usernames, func(username string) bool { return strings.HasPrefix(username, prefix) })
	}})
}

// scrape returns the text of the operator's metrics.
func (w *world) scrape(operator *testenv.Operator) []byte {
	w.Helper()
	var text bytes.Buffer
	w.Must(testenv.Await(w.Context(), func(ctx context.Context) error {
		text.Reset()
		return testenv.Fetch(ctx, operator.Metrics+"/metrics", &text)
	}))
	return text.Bytes()
}

// own returns the families of a scrape that are the operator's own, by name.
func (w *world) own(text []byte) map[string]*dto.MetricFamily {
	w.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	w.Must(err)
	maps.DeleteFunc(all, func(name string, _ *dto.MetricFamily) bool { return !strings.HasPrefix(name, "embeddeduser_") })
	return all
}

// labels returns the labels of a series.
func labels(of *dto.Metric) map[string]string {
	found := map[string]string{}
	for _, label := range of.GetLabel() {
		found[label.GetName()] = label.GetValue()
	}
	return found
}

// equalEmpty takes nil and an empty list as equal.
var equalEmpty = cmpopts.EquateEmpty()
