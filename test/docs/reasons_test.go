// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

var named = regexp.MustCompile("(?m)^#+ .*$|`[^`\n]+`")

// TestReasons_AreExplained looks for each reason and condition of the API in docs/troubleshooting.md.
func TestReasons_AreExplained(t *testing.T) {
	words := map[string]bool{} // in headings and in code
	for _, match := range named.FindAllString(pageAt(t, "docs/troubleshooting.md").prose, -1) {
		for _, word := range strings.Fields(strings.Trim(match, "`#")) {
			words[word] = true
		}
	}
	found := 0
	for name, value := range constants(t, "condition_types.go") {
		if !strings.HasPrefix(name, "Reason") && !strings.HasPrefix(name, "Condition") {
			continue
		}
		found++
		if !words[value] {
			t.Errorf("docs/troubleshooting.md does not explain %s", value)
		}
	}
	if found < 25 {
		t.Errorf("found only %d reasons and conditions", found)
	}
}

// constants returns the text constants of a file of the API by name.
func constants(t *testing.T, file string) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), testenv.Root("api", "v1alpha1", file), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	ast.Inspect(parsed, func(node ast.Node) bool {
		if spec, isValue := node.(*ast.ValueSpec); isValue {
			for i, value := range spec.Values {
				if literal, isLiteral := value.(*ast.BasicLit); isLiteral {
					values[spec.Names[i].Name], _ = strconv.Unquote(literal.Value)
				}
			}
		}
		return true
	})
	return values
}
