// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// situations is the folder of the objects that this test leaves behind: one for each row of the tables in docs/gitops.md. The tests in
// test/gitops show them to the libraries of Argo CD and Flux.
var situations = testenv.Root("test", "gitops", "testdata")

// situation is a row of a table in docs/gitops.md.
type situation struct {
	name    string // in the first column of the table
	options simulator.Options
	bring   func(*world) // brings it about for the batch "customers"
}

// TestGitOps_TheSituationsAreWhatTheOperatorWrites brings about every situation, and compares the object with the one that is saved.
func TestGitOps_TheSituationsAreWhatTheOperatorWrites(t *testing.T) {
	var files []string
	for kind, rows := range map[string]map[string]situation{"EmbeddedUserBatch": batchSituations, "EmbeddedUserSlice": sliceSituations} {
		for name, tc := range rows {
			file := filepath.Join(kind, name+".json")
			files = append(files, file)
			t.Run(file, func(t *testing.T) {
				w := newWorld(t, tc.options)
				tc.bring(w)
				path := filepath.Join(situations, file)
				if *update {
					w.Must(os.MkdirAll(filepath.Dir(path), 0o755))
					w.Must(os.WriteFile(path, []byte(w.show(kind, tc.name)), 0o600))
				}
				want, err := os.ReadFile(path)
				w.Must(err)
				var got string
				w.Eventually(func() string { got = w.show(kind, tc.name); return got }).Should(gomega.Equal(string(want)), func() string {
					return "the operator writes something else; run this test with -update if that is right (-want +got):\n" +
						cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n"))
				})
			})
		}
	}
	saved, err := filepath.Glob(filepath.Join(situations, "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range saved {
		if file, _ := filepath.Rel(situations, path); !*update && !slices.Contains(files, file) {
			t.Errorf("%s is of no situation; remove it", file)
		}
	}
}

// different is what differs from run to run, each with what is saved instead of it.
var different = map[*regexp.Regexp]string{
	regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`):           "2026-01-01T00:00:00Z",
	regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`): "00000000-0000-0000-0000-000000000000",
	regexp.MustCompile(`customers-[0-9a-f]{8}-`):                      "customers-00000000-",
	regexp.MustCompile(`"[0-9a-f]{16,32}"`):                           `"0000000000000000"`,
	regexp.MustCompile(`(approve=)[0-9a-f]+`):                         "${1}0000000000000000",
	regexp.MustCompile(`test-\d+`):                                    "team-a",
}

// show returns the batch "customers", or its first slice, with the situation that it is in.
func (w *world) show(kind, name string) string {
	w.Helper()
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind(kind))
	key := client.ObjectKey{Namespace: w.Namespace, Name: "customers"}
	if kind == "EmbeddedUserSlice" {
		key.Name = w.Slices()[0].Name
	}
	w.Must(w.Get(w.Context(), key, object))
	object.SetManagedFields(nil)
	object.SetResourceVersion("")
	text, err := json.MarshalIndent(map[string]any{"situation": name, "object": object.Object}, "", "  ")
	w.Must(err)
	shown := string(text) + "\n"
	for pattern, replacement := range different {
		shown = pattern.ReplaceAllString(shown, replacement)
	}
	return shown
}

// customers creates the batch of which the situations are, and waits for a reason of Ready.
func (w *world) customers(reason string, sources ...v1alpha1.UsersSource) {
	w.Helper()
	batch := w.Batch("customers", testenv.Users("user", 3)...)
	batch.Spec.UsersFrom = sources
	w.MustCreate(batch)
	w.Await("customers", reason)
}

// awaitSlice waits until Ready of the only slice has a reason.
func (w *world) awaitSlice(reason string) {
	w.Helper()
	w.Eventually(func() string {
		if found := w.Slices(); len(found) == 1 {
			return testenv.Condition(found[0].Status.Conditions, v1alpha1.ConditionReady).Reason
		}
		return ""
	}).Should(gomega.Equal(reason))
}

// answered brings about a situation in which the API gives the same answer to every request.
func answered(reason string, fault simulator.Fault) func(*world) {
	return func(w *world) {
		w.Sim.Inject(fault)
		w.SetKey(w.Key)
		w.customers(reason)
		w.awaitSlice(reason)
	}
}

// withKey brings about a situation that depends on the value in the Secret.
func withKey(key func(*world) string, reason string, sources ...v1alpha1.UsersSource) func(*world) {
	return func(w *world) { w.SetKey(key(w)); w.customers(reason, sources...) }
}

// observing brings about a situation of a batch that creates nobody, one of whose users exists.
func observing(reason string) func(*world) {
	return func(w *world) {
		w.SetKey(w.Key)
		w.Sim.Seed(w.Key, "user-00000@example.com")
		batch := w.Batch("customers", testenv.Users("user", 3)...)
		batch.Spec.Mode = v1alpha1.ModeObserve
		w.MustCreate(batch)
		w.Await("customers", reason)
	}
}

func goodKey(w *world) string { return w.Key }

func quotedKey(w *world) string { return `"` + w.Key + `"` }

func wrongKey(*world) string { return "wrong" }

// missesForLong has two minutes pass after a situation began.
func missesForLong(bring func(*world), conditionType string) func(*world) {
	return func(w *world) {
		bring(w)
		w.setSince("customers", conditionType, ago(patience))
		w.awaitStalled("customers")
	}
}

// withInvalidUser brings about a situation with a row that repeats a username.
func withInvalidUser(policy v1alpha1.InvalidUserPolicy, reason string) func(*world) {
	return func(w *world) {
		w.SetKey(w.Key)
		batch := w.Batch("customers", append(testenv.Users("user", 3), v1alpha1.User{Username: "user-00000@example.com"})...)
		batch.Spec.InvalidUserPolicy = policy
		w.MustCreate(batch)
		w.Await("customers", reason)
	}
}

// edit adds a user to the batch.
func (w *world) edit() {
	w.Edit("customers", func(b *v1alpha1.EmbeddedUserBatch) {
		b.Spec.Users = append(b.Spec.Users, v1alpha1.UserRow{Username: "another"})
	})
}

var (
	unavailable = simulator.Fault{Status: http.StatusServiceUnavailable, Body: `{"message":"Under maintenance"}`}
	unpaid      = simulator.Fault{Status: http.StatusPaymentRequired, Body: `{"message":"Your plan has no more users"}`}
	elsewhere   = simulator.Fault{Status: http.StatusFound, Header: http.Header{"Location": {"/elsewhere"}}}

	secretMissing = func(w *world) { w.customers(v1alpha1.ReasonSecretNotFound) }
	sourceMissing = withKey(goodKey, v1alpha1.ReasonSourceNotFound, configMapSource("list", "users.csv"))
)
