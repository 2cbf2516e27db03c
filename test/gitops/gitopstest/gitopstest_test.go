// SPDX-License-Identifier: Apache-2.0

package gitopstest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/test/gitops/gitopstest"
)

// TestConditions compares the conditions in the tables of docs/gitops.md with those that the operator writes.
func TestConditions(t *testing.T) {
	var rows [][]string
	for _, situation := range gitopstest.Situations(t) {
		var object struct {
			Kind   string
			Status struct {
				Conditions []struct{ Type, Status, Reason string }
			}
		}
		if err := json.Unmarshal(situation.Object, &object); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, []string{
			situation.Kind, situation.Name, situation.Ready, situation.AlsoTrue, situation.Kstatus, situation.ArgoCD,
		})
		ready, also := "–", "–"
		for _, condition := range object.Status.Conditions {
			switch condition.Type {
			case "Ready":
				ready = strings.TrimSpace(condition.Status + " " + condition.Reason)
			case "Reconciling", "Stalled":
				also = condition.Type
			}
		}
		if object.Kind != situation.Kind || ready != situation.Ready || also != situation.AlsoTrue {
			t.Errorf("%s: the operator writes a %s with Ready %s and %s, docs/gitops.md says %s and %s",
				situation, object.Kind, ready, also, situation.Ready, situation.AlsoTrue)
		}
	}
	t.Log(gitopstest.Table([]string{"kind", "situation", "Ready", "also True", "kstatus", "Argo CD"}, rows))
}
