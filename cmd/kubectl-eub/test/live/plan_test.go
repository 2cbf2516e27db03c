// SPDX-License-Identifier: Apache-2.0

package live

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/onsi/gomega"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/planning"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// planned returns a plan.
func (w *world) planned(args ...string) (plan planning.Plan) {
	w.Helper()
	out, errOut, code := w.run(reader, append([]string{"plan", "-o", "json"}, args...)...)
	if code != 0 && code != 2 {
		w.Fatalf("exit code %d: %s%s", code, out, errOut)
	}
	w.Must(json.Unmarshal([]byte(out), &plan))
	if plan.HasWork() != (code == 2) {
		w.Errorf("exit code %d of %s", code, out)
	}
	return plan
}

// What is planned for a list happens when it is imported, and then nothing is left to do.
func TestPlan_IsWhatTheOperatorDoes(t *testing.T) {
	w := newWorld(t, "planned", simulator.Options{})
	w.start()
	list := func(n int, more ...string) string {
		rows := []string{"username,fullName"}
		for i := range n {
			rows = append(rows, fmt.Sprintf("customer-%04d,Customer", i))
		}
		return w.file("customers.csv", strings.Join(append(rows, more...), "\n"))
	}
	done := map[simulator.Operation]int{}
	for _, step := range []struct {
		list   string
		policy v1alpha1.UpdatePolicy
		want   planning.Plan
	}{
		{list(1500), "", planning.Plan{Send: planning.Send{New: 1500}, Requests: 2}},
		{list(1600), "", planning.Plan{Send: planning.Send{New: 100}, Settled: planning.Done{Created: 1500}, Requests: 1}},
		{list(10), "", planning.Plan{Settled: planning.Done{Created: 10}, Leave: 1590}},
		{list(10, "ann,Ann"), "Update", planning.Plan{Send: planning.Send{New: 1}, Settled: planning.Done{Created: 10}, Requests: 1}},
		{list(10, "ann,Lee"), "Update", planning.Plan{Settled: planning.Done{Created: 11}, Names: 1, Requests: 1}},
		{list(10, "ann,Kim"), "CreateOnly", planning.Plan{Settled: planning.Done{Created: 11}}},
	} {
		if step.policy != "" {
			w.Edit("customers", func(batch *v1alpha1.EmbeddedUserBatch) { batch.Spec.UpdatePolicy = step.policy })
		}
		step.want.Name, step.want.Namespace = "customers", w.Namespace
		w.Equal("the plan", step.want, w.planned(step.list, "--name", "customers"))
		w.mustRun(editor, "import", step.list, "--name", "customers", "--apply")
		w.Await("customers", v1alpha1.ReasonSucceeded)
		users, creations := w.Sent()
		done["users"] += step.want.Send.Users()
		done[simulator.Create] += step.want.Requests - step.want.Names
		done[simulator.Update] += step.want.Names
		updates := 0
		for _, request := range w.Sim.Requests() {
			if request.Operation == simulator.Update {
				updates++
			}
		}
		w.Equal("what was done", done, map[simulator.Operation]int{"users": len(users), simulator.Create: creations, simulator.Update: updates})
		if after := w.planned("customers"); after.HasWork() {
			t.Errorf("the plan afterwards is %+v", after)
		}
	}
}

// A command that waits for standard input ends when somebody insists.
func TestPlan_Ends(t *testing.T) {
	w := newWorld(t, "ends", simulator.Options{})
	command := w.command(reader, "plan", "-f", "-")
	stdin, err := command.StdinPipe()
	w.Must(err)
	defer stdin.Close() //nolint:errcheck // nobody writes
	process, err := testenv.StartProcess(command)
	w.Must(err)
	w.Cleanup(process.Kill)
	_, err = stdin.Write(bytes.Repeat([]byte("# no batch\n"), 1<<15)) // more than a pipe holds: the command is reading
	w.Must(err)
	w.Eventually(func() <-chan struct{} {
		_ = command.Process.Signal(syscall.SIGTERM) // fails once it has ended
		return process.Done()
	}).Should(gomega.BeClosed())
}
