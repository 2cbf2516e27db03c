// SPDX-License-Identifier: Apache-2.0

package advice

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// reasons returns the reasons that api/v1alpha1 defines for conditions and events.
func reasons(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), testenv.Root("api", "v1alpha1", "condition_types.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	ast.Inspect(file, func(node ast.Node) bool {
		spec, isValue := node.(*ast.ValueSpec)
		if !isValue || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
			return true
		}
		reason, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, reason)
		return true
	})
	return found
}

func TestFor_KnowsEveryReasonOfTheAPIAndNoOther(t *testing.T) {
	all := reasons(t)
	if len(all) < 20 {
		t.Fatalf("only %d reasons were found: %v", len(all), all)
	}
	isReason := map[string]bool{}
	for _, reason := range all {
		isReason[reason] = true
		if a, known := For(reason, "customers"); !known || a.Words == "" {
			t.Errorf("%s: no advice", reason)
		}
	}
	for reason := range advice {
		if !isReason[reason] {
			t.Errorf("%s: the API has no such reason", reason)
		}
	}
}

// Whoever wants to know more looks for the reason on the page.
func TestPage_HasEveryReason(t *testing.T) {
	page, err := os.ReadFile(testenv.Root(strings.Split(Page, "/")...))
	if err != nil {
		t.Fatal(err)
	}
	for reason := range advice {
		if !strings.Contains(string(page), reason) {
			t.Errorf("%s does not have %s", Page, reason)
		}
	}
}

func TestFor_PutsTheNameOfTheBatchIntoCommands(t *testing.T) {
	for reason := range advice {
		a, _ := For(reason, "customers")
		if strings.Contains(a.Do, "NAME") || strings.Contains(advice[reason].Words, "NAME") {
			t.Errorf("%s: %+v", reason, a)
		}
	}
	if a, _ := For("Suspended", Target("demo", "customers")); !strings.HasSuffix(a.Do, "kubectl eub resume customers -n demo.") {
		t.Error(a.Do)
	}
	if _, known := For("OfANewerOperator", "customers"); known {
		t.Error("an unknown reason is known")
	}
}
