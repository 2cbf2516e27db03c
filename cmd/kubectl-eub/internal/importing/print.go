// SPDX-License-Identifier: Apache-2.0

package importing

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/parts"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/tally"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
)

// outputName is the output of names only.
const outputName = "name"

// printers print an object, by the name of the output.
var printers = map[string]func(io.Writer, *unstructured.Unstructured) error{
	"yaml": printYAML,
	"json": func(out io.Writer, object *unstructured.Unstructured) error {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(object.Object)
	},
	outputName: func(out io.Writer, object *unstructured.Unstructured) error {
		_, err := fmt.Fprintln(out, nameOf(object))
		return err //nolint:wrapcheck // wrapped by the caller
	},
}

func printYAML(out io.Writer, object *unstructured.Unstructured) error {
	text, err := yaml.Marshal(object.Object)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", nameOf(object), err)
	}
	_, err = fmt.Fprintf(out, "---\n%s", text)
	return err //nolint:wrapcheck // wrapped by the caller
}

func nameOf(object *unstructured.Unstructured) string {
	return command.ResourceName(object.GroupVersionKind(), object.GetName())
}

// summarize says how many users there are, and which rows are invalid.
func summarize(out io.Writer, t *tally.Tally, list []parts.Part, kind string) {
	size := 0
	for _, part := range list {
		size += len(part.Data)
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s in %s (%s KiB)", terminal.Count(t.Users, "user", "users"), terminal.Count(len(list), kind, kind+"s"),
		terminal.Number((size+1023)>>10))
	if t.Repeats > 0 {
		fmt.Fprintf(&text, "; %s of earlier rows", terminal.Count(t.Repeats, "exact repetition", "exact repetitions"))
	}
	if t.Invalid > 0 {
		fmt.Fprintf(&text, "; %s, which the operator will report:", terminal.Count(t.Invalid, "invalid row", "invalid rows"))
	}
	text.WriteString("\n")
	for _, found := range t.Findings {
		fmt.Fprintf(&text, "  %s: %s\n", found.Where, found.Problem)
	}
	if more := t.Invalid - len(t.Findings); more > 0 {
		fmt.Fprintf(&text, "  and %s more\n", terminal.Number(more))
	}
	text.WriteString(t.Excess())
	_, _ = io.WriteString(out, terminal.Fit(out, text.String())) // the output matters more
}
