// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// dashboard is config/prometheus/dashboard.json, as far as the tests need it.
type dashboard struct {
	Panels []panel `json:"panels"`
}

type panel struct {
	ID          int      `json:"id"`
	Type        string   `json:"type"` // timeseries, stat or table
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Grid        grid     `json:"gridPos"`
	Targets     []target `json:"targets"`
	Fields      struct {
		Defaults struct {
			Unit       string `json:"unit"`
			Thresholds struct {
				Steps []struct {
					Color string   `json:"color"`
					Value *float64 `json:"value"`
				} `json:"steps"`
			} `json:"thresholds"`
			Custom struct {
				Stacking struct {
					Mode string `json:"mode"`
				} `json:"stacking"`
			} `json:"custom"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
}

// grid is the place of a panel, in a grid of 24 columns.
type grid struct{ X, Y, W, H int }

type target struct {
	Expr   string `json:"expr"`
	Legend string `json:"legendFormat"`
	Source struct {
		UID string `json:"uid"`
	} `json:"datasource"`
}

// expression returns the query as Grafana sends it, for the rates of half a minute.
func (t target) expression() string {
	return strings.NewReplacer("$__rate_interval", "30s", "$job", job).Replace(t.Expr)
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile(testenv.Root("config", "prometheus", "dashboard.json"))
	if err == nil {
		err = json.Unmarshal(text, &d)
	}
	if err != nil || len(d.Panels) < 5 {
		t.Fatalf("%d panels: %v", len(d.Panels), err)
	}
	return d
}

// TestDashboard_IsInOrder checks what Grafana would show wrongly without an error.
func TestDashboard_IsInOrder(t *testing.T) {
	t.Parallel()
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, p := range readDashboard(t).Panels {
		if ids[p.ID] || p.Title == "" || p.Description == "" || len(p.Targets) == 0 || p.Fields.Defaults.Unit == "" {
			t.Errorf("panel %d is not complete, or another has its number: %+v", p.ID, p)
		}
		ids[p.ID] = true
		for x := p.Grid.X; x < p.Grid.X+p.Grid.W; x++ {
			for y := p.Grid.Y; y < p.Grid.Y+p.Grid.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%q overlaps %q, or leaves the page", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		for _, target := range p.Targets {
			checkMetrics(t, p.Title, target.Expr)
			if target.Source.UID != "${datasource}" {
				t.Errorf("%q asks the data source %q", p.Title, target.Source.UID)
			}
			if !strings.Contains(target.Expr, `job=~"$job"`) && !strings.Contains(target.Expr, "ALERTS") {
				t.Errorf("%q counts the operators of all jobs: %s", p.Title, target.Expr)
			}
		}
	}
}

// csv returns a list of n users.
func csv(prefix string, n int) string {
	var text bytes.Buffer
	text.WriteString("username,fullName\n")
	for i := range n {
		fmt.Fprintf(&text, "%s-%05d@example.com,Customer number %d\n", prefix, i, i)
	}
	return text.String()
}

// createLongList creates a batch of 45,000 users in three ConfigMaps: a list that is too long for the memory for short ones.
func (w *world) createLongList() {
	w.Helper()
	batch := w.Batch("long-list")
	for i := range 3 {
		name := fmt.Sprint("list-", i)
		w.MustCreate(&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}, Data: map[string]string{"users.csv": csv(name, 15_000)},
		})
		batch.Spec.UsersFrom = append(batch.Spec.UsersFrom, v1alpha1.UsersSource{
			ConfigMapKeyRef: &v1alpha1.UsersKeyReference{Name: name, Key: "users.csv"},
		})
	}
	w.MustCreate(batch)
}

// live lets the operator do all that a dashboard shows. An API that works, fails for a while, and works again; one batch after the other,
// and a long list; then batches in trouble, which stay. The pauses give the graphs their shape; nothing depends on their length.
func (w *world) live(p *prometheus) {
	w.Helper()
	each := func(phase string, n, users int) {
		for i := range n {
			w.CreateBatch(fmt.Sprint(phase, "-", i), testenv.Users(fmt.Sprint(phase, "-", i), users)...)
			time.Sleep(2 * time.Second)
		}
	}
	each("at-first", 6, 900)
	w.await(p, `sum(embeddeduser_users{result="created"}) >= 5400`)
	w.createLongList()
	each("next-to-it", 4, 300)
	w.await(p, `sum(embeddeduser_users{result="created"}) >= 51600`)

	w.Sim.Inject(simulator.Fault{Status: 503})
	each("outage", 6, 700)
	w.await(p, `sum(embeddeduser_alloy_accounts{circuit="open"}) > 0 and sum(embeddeduser_users_in_doubt) > 0`)
	w.await(p, `sum(rate(embeddeduser_alloy_requests_total{outcome="unavailable"}[30s])) > 0`)
	w.Sim.ClearFaults()
	w.await(p, `sum(embeddeduser_users{result="pending"}) == 0`)

	w.failFor("failing")
	w.Must(testenv.WriteKey(w.Context(), w, w.Namespace, "wrong", "a-wrong-key"))
	w.createBatch("wrong-key", "wrong", testenv.Users("wrong", 40)...)
	w.CreateBatch("refused", append(testenv.Users("refused", 20), testenv.Users("accepted", 200)...)...)
	w.createBatch("no-key", "missing", testenv.Users("missing", 120)...)
	w.CreateBatch("failing", testenv.Users("failing", 15)...) // each fails alone once, while others go one by one
	w.pause()
	each("at-last", 5, 500)
	w.await(p, `embeddeduser_unready_batch_since_timestamp_seconds{reason="Unauthorized"}`)
	w.await(p, `sum(embeddeduser_users{result="invalid"}) > 0`) // the last one may take minutes to be proven, if nobody is created meanwhile
	w.await(p, `sum(embeddeduser_paused_batches) == 2 and sum(embeddeduser_oldest_suspension_age_seconds) > 0`)
	w.await(p, `ALERTS{alertname="EmbeddedUserBatchStalled"} or ALERTS{alertname="EmbeddedUserKeyRejected"}`)
}

// pause creates a batch that is suspended, and one that observes.
func (w *world) pause() {
	w.Helper()
	suspended := w.Batch("suspended", testenv.Users("suspended", 80)...)
	suspended.Spec.Suspend = true
	observing := w.Batch("observing", testenv.Users("observing", 80)...)
	observing.Spec.Mode = v1alpha1.ModeObserve
	w.MustCreate(suspended)
	w.MustCreate(observing)
}

// TestDashboard_EveryQueryHasData runs the operator under Prometheus, and sends each query of the dashboard. It draws the answers if that
// is asked for.
func TestDashboard_EveryQueryHasData(t *testing.T) {
	skipWithoutTools(t)
	w := newWorld(t, "team-a", simulator.Options{
		Latency: 100 * time.Millisecond, Reject: func(username string) bool { return strings.HasPrefix(username, "refused") },
	})
	operator := w.start("--watch-namespaces", w.Namespace)
	p := w.startPrometheus(operator)
	from := time.Now()
	w.live(p)
	to := time.Now()

	drawn := picturePage{from: from, to: to}
	for _, panel := range readDashboard(t).Panels {
		var shown [][]series
		for _, target := range panel.Targets {
			found, err := p.query(t.Context(), target.expression(), from, to)
			w.Must(err)
			if len(found) == 0 {
				t.Errorf("%q has no data for %s", panel.Title, target.expression())
			}
			shown = append(shown, found)
		}
		drawn.add(panel, shown)
	}
	w.checkAlerts(p)
	if *picture != "" && !t.Failed() {
		w.Must(os.WriteFile(testenv.Root(*picture), drawn.svg(), 0o644))
	}
}

// checkAlerts checks that Prometheus could evaluate each alert.
func (w *world) checkAlerts(p *prometheus) {
	w.Helper()
	var body bytes.Buffer
	w.Must(testenv.Fetch(w.Context(), p.url+"/api/v1/rules", &body))
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	w.Must(json.Unmarshal(body.Bytes(), &answer))
	n := 0
	for _, group := range answer.Data.Groups {
		for _, rule := range group.Rules {
			if n++; rule.Health != "ok" {
				w.Errorf("%s: %s %s", rule.Name, rule.Health, rule.LastError)
			}
		}
	}
	if n < 5 {
		w.Errorf("Prometheus evaluates %d alerts", n)
	}
}
