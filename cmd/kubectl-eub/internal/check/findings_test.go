// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/access"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/golden"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

var now = time.Date(2026, 11, 26, 22, 0, 0, 0, time.UTC)

// batch returns a batch whose last change the operator has seen.
func batch(name string, conditions ...metav1.Condition) *v1alpha1.EmbeddedUserBatch {
	b := &v1alpha1.EmbeddedUserBatch{ObjectMeta: metav1.ObjectMeta{
		Name: name, Generation: 1, CreationTimestamp: metav1.NewTime(now.Add(-time.Hour)),
	}}
	b.Spec.APIKeySecretRef.Name = "alloy"
	b.Status.ObservedGeneration, b.Status.Conditions = 1, conditions
	b.Status.Counts = v1alpha1.UserCounts{Total: 2000, Created: 1500, Pending: 500}
	return b
}

func ready(status metav1.ConditionStatus, reason string) metav1.Condition {
	return metav1.Condition{Type: v1alpha1.ConditionReady, Status: status, Reason: reason, Message: "a message"}
}

func stalled(reason string) metav1.Condition {
	return metav1.Condition{Type: v1alpha1.ConditionStalled, Status: "True", Reason: reason, Message: "a message"}
}

func key(status metav1.ConditionStatus, reason string) metav1.Condition {
	return metav1.Condition{Type: v1alpha1.ConditionCredentialsValid, Status: status, Reason: reason, Message: "a message"}
}

// served returns the fields that the API server serves if the CRDs are those of this version.
func served() map[string][]string {
	fields := map[string][]string{}
	for kind := range kinds {
		fields[kind] = knownFields(kind)
	}
	return fields
}

func well() *facts {
	return &facts{
		namespace: "demo", now: now, plugin: "v0.1.0", kubernetes: "v1.37.2", hasGroup: true, served: served(),
		operators: []Operator{{"embedded-user-operator-system", "manager", "v0.1.3", 1, 1}},
		batches:   []batchFacts{{batch: batch("customers", ready("True", "Succeeded"), key("True", "Accepted")), secret: exists}},
	}
}

func TestFindings(t *testing.T) {
	for name, f := range map[string]*facts{
		"well":    well(),
		"no-crds": {namespace: "demo", kubernetes: "v1.37.2"},
		"wrong": func() *facts {
			f := well()
			known := knownFields(v1alpha1.EmbeddedUserBatchKind)
			f.served[v1alpha1.EmbeddedUserBatchKind] = without(known, []string{"spec.mode", "status.approval"})
			f.operators = append(f.operators, Operator{"team-a", "manager", "v0.2.0", 1, 1}, Operator{"team-b", "manager", "", 0, 2},
				Operator{"team-c", "manager", "latest", 0, 0})
			f.denied = map[right]bool{{"list", access.Slices}: true, {"patch", access.Batches}: true}
			unseen := batch("unseen")
			unseen.Status.ObservedGeneration = -1
			full := batch("full", ready("False", "Retrying"), key("Unknown", "NotTried"))
			full.Status.Plan = &v1alpha1.PlanStatus{Version: knownRules + 1}
			full.Spec.UsersFrom = make([]v1alpha1.UsersSource, 60)
			keyless := batch("keyless", ready("False", "SecretNotFound"), stalled("SecretNotFound"), key("False", "SecretNotFound"))
			f.batches = []batchFacts{
				{batch: keyless, secret: isMissing},
				{batch: batch("rejected", ready("False", "Unauthorized"), stalled("Unauthorized"), key("False", "Unauthorized")), secret: exists},
				{batch: batch("paused", ready("Unknown", "Suspended"), key("True", "Accepted")), secret: cannotTell},
				{batch: batch("newer", ready("False", "OfANewerOperator"), stalled("OfANewerOperator"), key("True", "Accepted")), secret: exists},
				{batch: unseen, secret: exists},
				{batch: full, rows: 9500, secret: exists},
				{batch: batch("silent", ready("Unknown", "Progressing"), key("True", "Accepted")), secret: exists},
			}
			f.quotas = []quota{{"small", 5, 5}, {"large", 5, 100}}
			return f
		}(),
		"unknown": func() *facts {
			f := well()
			f.served, f.schemaErr, f.operatorsErr = nil, errors.New("forbidden"), apierrors.NewForbidden(appsv1.Resource("deployments"), "", nil)
			f.operators, f.batches = nil, nil
			return f
		}(),
	} {
		found := findings(f)
		golden.Equal(t, name, Text(found, 120, false)+fmt.Sprintf("failed: %t\n", failed(found)))
	}
}

func TestFindings_NewerCRDs(t *testing.T) {
	f := well()
	f.served[v1alpha1.EmbeddedUserSliceKind] = append(f.served[v1alpha1.EmbeddedUserSliceKind], "spec.priority")
	if got := crds(f); got.Level != Warn || !strings.Contains(got.Says, "EmbeddedUserSlice.spec.priority") {
		t.Errorf("%+v", got)
	}
}

func TestFindings_NameTheRightOfEachCommand(t *testing.T) {
	for _, test := range []struct {
		denied right
		want   []string
	}{
		{right{"watch", access.Batches}, []string{"status", "retry, suspend, resume, approve"}},
		{right{"list", access.Secrets}, []string{"import --apply"}}, // it looks for the lists of earlier imports
		{right{"get", access.Secrets}, []string{"results --rows"}},
		{right{"create", access.Secrets}, []string{"import --apply --secret"}},
	} {
		f := well()
		f.denied = map[right]bool{test.denied: true}
		var got []string
		for _, finding := range permissions(f) {
			command, says, _ := strings.Cut(finding.Says, ": ")
			got = append(got, command)
			if want := fmt.Sprintf("you may not %s %s in namespace demo;", test.denied.verb, test.denied.resource); !strings.HasPrefix(says, want) {
				t.Error(says)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%+v: %s", test.denied, diff)
		}
	}
}

// Whoever may not list batches is not told that there are none.
func TestFindings_BatchesThatCannotBeListed(t *testing.T) {
	f := well()
	f.batches, f.denied = nil, map[right]bool{{"list", access.Batches}: true}
	at := slices.IndexFunc(findings(f), func(f Finding) bool { return f.Subject == "Batches" })
	if at < 0 || findings(f)[at].Level != Unknown {
		t.Errorf("%+v", findings(f))
	}
}

// Only somebody who may not list Deployments is told so.
func TestFindings_OperatorsThatCannotBeListed(t *testing.T) {
	for want, err := range map[string]error{
		"You may not list deployments.apps in all namespaces": apierrors.NewForbidden(appsv1.Resource("deployments"), "", nil),
		"The Deployments cannot be listed: it is too slow":    errors.New("it is too slow"),
	} {
		f := well()
		f.operators, f.operatorsErr = nil, err
		if got := operators(f); len(got) != 1 || got[0].Level != Unknown || !strings.HasPrefix(got[0].Says, want) {
			t.Errorf("%v: %+v", err, got)
		}
	}
}

func TestSkewed(t *testing.T) {
	for _, test := range []struct {
		plugin, operator string
		want             bool
	}{
		{"v0.1.0", "v0.1.7", false},
		{"v0.1.0", "0.2.0", true},
		{"v0.1.0", "v0.2.0-rc.1", true},
		{"v0.1.0", "latest", false},
		{"(devel)", "v0.1.0", false},
		{"v0.0.0-20261126220000-abcdef012345", "v0.1.0", false},
		{"v0.1.0", "", false},
	} {
		if got := skewed(test.plugin, test.operator); got != test.want {
			t.Errorf("%+v: %t", test, got)
		}
	}
}

// The operator and the plugin are built from one commit, so that they know the same rules.
func TestKnownRules_AreTheOperators(t *testing.T) {
	source, err := os.ReadFile(testenv.Root("internal", "controller", "batch", "load.go"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^const planVersion = (\d+)$`).FindSubmatch(source)
	if found == nil || string(found[1]) != strconv.Itoa(knownRules) {
		t.Errorf("the operator has %q, the plugin %d", found, knownRules)
	}
}
