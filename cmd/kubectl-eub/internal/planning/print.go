// SPDX-License-Identifier: Apache-2.0

package planning

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/advice"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/tally"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
)

// printers print a plan, by the name of the output.
var printers = map[string]func(io.Writer, *Plan, []tally.Finding, *v1alpha1.EmbeddedUserBatchSpec) error{
	"text": printText,
	"json": func(out io.Writer, plan *Plan, _ []tally.Finding, _ *v1alpha1.EmbeddedUserBatchSpec) error {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(plan)
	},
	"yaml": func(out io.Writer, plan *Plan, _ []tally.Finding, _ *v1alpha1.EmbeddedUserBatchSpec) error {
		text, err := yaml.Marshal(plan)
		if err == nil {
			_, err = out.Write(text)
		}
		return err //nolint:wrapcheck // wrapped by the caller
	},
}

// part is a number of users with what they are.
type part struct {
	n    int
	what string
}

// line says how many users there are, and what they are, without those of which there are none.
func line(what string, parts ...part) string {
	sum := 0
	var texts []string
	for _, p := range parts {
		if sum += p.n; p.n > 0 {
			texts = append(texts, terminal.Number(p.n)+" "+p.what)
		}
	}
	text := fmt.Sprintf("%12s  %s", terminal.Number(sum), what)
	if sum > 0 {
		text += ": " + strings.Join(texts, ", ")
	}
	return text + "\n"
}

// printText prints a plan for a person.
func printText(out io.Writer, plan *Plan, findings []tally.Finding, spec *v1alpha1.EmbeddedUserBatchSpec) error {
	var text bytes.Buffer
	fmt.Fprintf(&text, "Batch %s in namespace %s\n", plan.Name, plan.Namespace)
	text.WriteString(line("users to be sent", part{plan.Send.New, "new"}, part{plan.Send.Waiting, "waiting"},
		part{plan.Send.Again, "to be confirmed"}, part{plan.Send.Corrected, "corrected"},
		part{plan.Send.Second, "rejected once"}))
	text.WriteString(line("users settled", part{plan.Settled.Created, "created"}, part{plan.Settled.Existing, "existing"},
		part{plan.Settled.Invalid, "rejected by the API"}))
	if plan.Names > 0 {
		fmt.Fprintf(&text, "%12s  of them with a full name to be written\n", terminal.Number(plan.Names))
	}
	if plan.Unidentified > 0 {
		fmt.Fprintf(&text, "%12s  of them to be looked up, so that their full names can be written later\n", terminal.Number(plan.Unidentified))
	}
	fmt.Fprintf(&text, "%12s  rows invalid by themselves\n", terminal.Number(plan.InvalidRows))
	for _, found := range findings {
		fmt.Fprintf(&text, "%14s%s: %s\n", "", found.Where, found.Problem)
	}
	if more := plan.InvalidRows - len(findings); more > 0 {
		fmt.Fprintf(&text, "%14sand %s more\n", "", terminal.Number(more))
	}
	if plan.RepeatedRows > 0 {
		fmt.Fprintf(&text, "%12s  repeated rows, which count once\n", terminal.Number(plan.RepeatedRows))
	}
	fmt.Fprintf(&text, "%12s  users would leave the list", terminal.Number(plan.Leave))
	if plan.Leave > 0 {
		text.WriteString("; they stay in Alloy, and the batch forgets their results")
	}
	text.WriteString("\n" + outlook(plan, spec) + "\n")
	_, err := io.WriteString(out, terminal.Fit(out, text.String()))
	return err //nolint:wrapcheck // wrapped by the caller
}

// outlook says what comes next.
func outlook(plan *Plan, spec *v1alpha1.EmbeddedUserBatchSpec) string {
	var text string
	switch {
	case !plan.HasWork():
		return "Nothing to do."
	case plan.AnotherKey:
		text = "The API key comes from another Secret: the operator looks every user up with it before it sends any."
	}
	if plan.Requests > 0 {
		text = strings.TrimSpace(text + " At least " + terminal.Count(plan.Requests, "request", "requests"))
		if least := shortest(plan.Requests); least > 0 {
			text += fmt.Sprintf(", which take at least %s", least)
		}
		text += "."
	} else if !plan.AnotherKey {
		text += "No request."
	}
	if plan.Send.Second > 0 {
		text += " Users that were rejected once are sent again ten minutes after that."
	}
	switch {
	case plan.Requests == 0:
	case plan.AwaitsApproval:
		text += " Nothing is sent before somebody approves the API key: kubectl eub status " + advice.Target(plan.Namespace, plan.Name) + "."
	case spec.Suspend:
		text += " The batch is suspended: nothing is sent until it is resumed."
	case spec.Mode == v1alpha1.ModeObserve:
		text += " The batch only observes: nothing is sent until its mode is Apply."
	}
	return text
}
