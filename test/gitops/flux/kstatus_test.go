// SPDX-License-Identifier: Apache-2.0

// Package flux tests, with the libraries of Flux, what docs/gitops.md says of it.
package flux_test

import (
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/embedded-user-operator/embedded-user-operator/test/gitops/gitopstest"
)

// TestKstatus compares what kstatus says of each situation with the tables in docs/gitops.md.
func TestKstatus(t *testing.T) {
	var rows [][]string
	for _, situation := range gitopstest.Situations(t) {
		got, err := status.Compute(objectOf(t, situation))
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, []string{situation.Kind, situation.Name, string(got.Status), got.Message})
		if string(got.Status) != situation.Kstatus {
			t.Errorf("%s: kstatus says %s, docs/gitops.md says %s", situation, got.Status, situation.Kstatus)
		}
	}
	t.Log(gitopstest.Table([]string{"kind", "situation", "kstatus", "message"}, rows))
}

func objectOf(t *testing.T, situation gitopstest.Situation) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(situation.Object); err != nil {
		t.Fatal(err)
	}
	return object
}

// TestHealthCheckExprs compares what the expressions in docs/gitops.md say of each batch with what kstatus says: the same, but for what
// they are for.
func TestHealthCheckExprs(t *testing.T) {
	checks := expressions(t)
	for name, tc := range map[string]struct {
		check   kustomize.CustomHealthCheck
		differs func(gitopstest.Situation) (want status.Status) // empty if it does not
	}{
		"a plan that is rejected fails": {checks[0], func(s gitopstest.Situation) status.Status {
			if s.Ready == "False PlanRejected" {
				return status.FailedStatus
			}
			return ""
		}},
		"a batch that is paused is current": {checks[1], func(s gitopstest.Situation) status.Status {
			if s.ArgoCD == "Suspended" {
				return status.CurrentStatus
			}
			return ""
		}},
	} {
		evaluator, err := cel.NewStatusEvaluator(&tc.check.HealthCheckExpressions)
		if err != nil {
			t.Fatal(err)
		}
		differing := 0
		for _, situation := range gitopstest.Situations(t) {
			if situation.Kind != "EmbeddedUserBatch" {
				continue
			}
			got, err := evaluator.Evaluate(t.Context(), objectOf(t, situation))
			if err != nil {
				t.Fatalf("%s: %v", situation, err)
			}
			want := situation.Kstatus
			if other := tc.differs(situation); other != "" {
				differing++
				want = string(other)
			}
			if string(got.Status) != want {
				t.Errorf("%s: %s: the expressions say %s, want %s", name, situation, got.Status, want)
			}
		}
		if differing == 0 {
			t.Errorf("%s: no situation is so", name)
		}
	}
}

// expressions returns the health check expressions in docs/gitops.md, in the order of the Kustomizations that have them.
func expressions(t *testing.T) (checks []kustomize.CustomHealthCheck) {
	t.Helper()
	for _, kustomization := range kustomizations(t) {
		checks = append(checks, kustomization.Spec.HealthCheckExprs...)
	}
	if len(checks) != 2 {
		t.Fatalf("docs/gitops.md has %d checks", len(checks))
	}
	return checks
}
