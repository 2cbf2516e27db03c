// SPDX-License-Identifier: Apache-2.0

package live

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/check"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/operate"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/results"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/status"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// examples returns the commands in the help of a command, up to where they give their output to another program.
func examples(t *testing.T, of *cobra.Command) (all [][]string) {
	t.Helper()
	for line := range strings.Lines(of.Example) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "|")
		line, _, _ = strings.Cut(line, ">")
		if args, isCommand := strings.CutPrefix(line, "kubectl eub "); isCommand {
			all = append(all, strings.Fields(args))
		} else if line != "" && !strings.HasPrefix(line, "#") {
			t.Errorf("%s: %q is neither a comment nor a command", of.Name(), line)
		}
	}
	if len(all) == 0 {
		t.Errorf("%s has no examples", of.Name())
	}
	return all
}

// Whoever copies an example gets what it says.
func TestExamples(t *testing.T) {
	w := newWorld(t, "examples", simulator.Options{})
	w.start()
	w.CreateBatch("customers", testenv.Users("customer", 3)...)
	w.Await("customers", v1alpha1.ReasonSucceeded)
	options := &command.Options{}
	for _, c := range []*cobra.Command{
		status.NewCommand(options), results.NewCommand(options), operate.NewSuspendCommand(options), operate.NewResumeCommand(options),
		operate.NewRetryCommand(options), check.NewCommand(options),
	} {
		for _, args := range examples(t, c) {
			if args[len(args)-1] == "-A" {
				continue // needs the rights of a cluster
			}
			w.mustRun(editor, args...)
		}
	}
	for _, args := range examples(t, operate.NewApproveCommand(options)) {
		if out, errOut, _ := w.run(editor, args...); args[0] == "approve" && !strings.Contains(errOut, "asks for no approval") {
			t.Errorf("%v: %s%s", args, out, errOut)
		}
	}
}
