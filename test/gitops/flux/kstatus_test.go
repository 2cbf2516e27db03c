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

// TestHealthCheckExprs compares what the expressions in docs/gitops.md say of each batch with what kstatus says: the same, but for a plan
// that is rejected.
func TestHealthCheckExprs(t *testing.T) {
	check := expressions(t)
	evaluator, err := cel.NewStatusEvaluator(&check.HealthCheckExpressions)
	if err != nil {
		t.Fatal(err)
	}
	for _, situation := range gitopstest.Situations(t) {
		if situation.Kind != "EmbeddedUserBatch" {
			continue
		}
		got, err := evaluator.Evaluate(t.Context(), objectOf(t, situation))
		if err != nil {
			t.Fatalf("%s: %v", situation, err)
		}
		want := situation.Kstatus
		if situation.Ready == "False PlanRejected" {
			want = string(status.FailedStatus)
		}
		if string(got.Status) != want {
			t.Errorf("%s: the expressions say %s, want %s", situation, got.Status, want)
		}
	}
}

// expressions returns the health check expressions in docs/gitops.md.
func expressions(t *testing.T) kustomize.CustomHealthCheck {
	t.Helper()
	for _, kustomization := range kustomizations(t) {
		if checks := kustomization.Spec.HealthCheckExprs; len(checks) == 1 {
			return checks[0]
		}
	}
	t.Fatal("docs/gitops.md has no Kustomization with healthCheckExprs")
	return kustomize.CustomHealthCheck{}
}
