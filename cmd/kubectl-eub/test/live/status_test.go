// SPDX-License-Identifier: Apache-2.0

package live

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"github.com/onsi/gomega"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

var escapes = regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`)

func TestStatus_DrawsABarInATerminal(t *testing.T) {
	w := newWorld(t, "bar", simulator.Options{})
	w.start()
	second, reached := make(chan struct{}), make(chan struct{})
	var requests atomic.Int32
	w.Sim.OnApplied(func(r simulator.Request) {
		if r.Operation == simulator.Create && requests.Add(1) == 3 {
			close(reached)
			<-second
		}
	})
	release := sync.OnceFunc(func() { close(second) })
	w.Cleanup(release) // in case the test fails before
	w.CreateBatch("customers", testenv.Users("customer", 4000)...)
	c := w.open(w.command(viewer, "status", "customers", "--watch"), 80)
	<-reached
	w.Eventually(c.last).Should(gomega.MatchRegexp(`\[=+>-+\] +\d+ %   [12],?\d* of 4,000 users`))
	w.Eventually(c.last).Should(gomega.ContainSubstring("/s"), "the rate")
	partly := escapes.ReplaceAllString(c.last(), "")
	release()
	w.Eventually(c.done).Should(gomega.Receive(gomega.BeNil()))
	last := escapes.ReplaceAllString(c.last(), "")
	w.Expect(last).To(gomega.MatchRegexp(`\[=+\] 100 %   4,000 of 4,000 users`))
	w.Expect(last).To(gomega.ContainSubstring("All users exist."))
	w.Expect(c.written()).To(gomega.ContainSubstring("\x1b[32mReady"), "in colour")
	for _, screen := range []string{partly, last} {
		lines := strings.Split(strings.TrimSuffix(screen, "\n"), "\n")
		w.Expect(len(lines)).To(gomega.BeNumerically("<", 24), screen)
		for _, line := range lines {
			w.Expect(utf8.RuneCountInString(line)).To(gomega.BeNumerically("<", 80), line)
		}
	}
	if len(c.screens()) < 3 {
		t.Errorf("the screen was drawn %d times", len(c.screens()))
	}
}

func TestStatus_WritesALinePerChangeWithoutATerminal(t *testing.T) {
	w := newWorld(t, "lines", simulator.Options{})
	w.CreateBatch("customers", testenv.Users("customer", 3)...)
	command := w.command(viewer, "status", "customers", "--watch", "--timeout", "90s")
	out := &testenv.Log{}
	command.Stdout = out
	w.Must(command.Start())
	w.Eventually(func() string { return string(out.Bytes()) }).Should(gomega.ContainSubstring("lines/customers Unseen: 0 of 0 users done"))
	w.start()
	if err := command.Wait(); err != nil {
		t.Fatal(err, string(out.Bytes()))
	}
	lines := strings.Split(strings.TrimSpace(string(out.Bytes())), "\n")
	want := "lines/customers Ready: 3 of 3 users done, 3 created, 0 existing, 0 invalid, 0 pending"
	w.Equal("the last line", want, lines[len(lines)-1])
	for i := 1; i < len(lines); i++ {
		if lines[i] == lines[i-1] {
			t.Error("a line is repeated: " + lines[i])
		}
	}
	if strings.ContainsRune(string(out.Bytes()), '\x1b') {
		t.Error("escape sequences in a file")
	}
}

// Somebody watches for hours, and the API server is upgraded meanwhile.
func TestStatus_GoesOnAfterTheAPIServerWasAway(t *testing.T) {
	w := newWorld(t, "away", simulator.Options{})
	w.CreateBatch("customers", testenv.Users("customer", 3)...)
	command := w.command(viewer, "status", "customers", "--watch", "--timeout", "90s")
	out, errOut := &testenv.Log{}, &testenv.Log{}
	command.Stdout, command.Stderr = out, errOut
	w.Must(command.Start())
	w.Eventually(func() string { return string(out.Bytes()) }).Should(gomega.ContainSubstring("Unseen"))
	c := w.open(w.command(viewer, "status", "customers", "--watch"), 100)
	w.Eventually(c.last).Should(gomega.ContainSubstring("Unseen"))
	w.Must(plane.RestartAPIServer())
	w.start()
	w.Eventually(c.done).Should(gomega.Receive(gomega.BeNil()))
	w.showsOnScreen(c, "Not shown  changes. Lost the batch, and trying again")
	if err := command.Wait(); err != nil || !strings.Contains(string(out.Bytes()), "away/customers Ready: 3 of 3") {
		t.Errorf("%v\n%s\n%s", err, out.Bytes(), errOut.Bytes())
	}
	if n := strings.Count(string(errOut.Bytes()), "Lost the batch, and trying again"); n > 1 {
		t.Errorf("it says %d times that the API server is away: %s", n, errOut.Bytes())
	}
}

// showsOnScreen checks that some screen had a text, and that nothing was written between screens, which would move the next one.
func (w *world) showsOnScreen(c *console, text string) {
	w.Helper()
	hasText := false
	for _, screen := range c.screens() {
		screen = escapes.ReplaceAllString(screen, "")
		hasText = hasText || strings.Contains(screen, text)
		if screen != "" && !strings.HasPrefix(screen, w.Namespace+"/customers") {
			w.Errorf("something is written between screens:\n%s", screen)
		}
	}
	if !hasText {
		w.Errorf("no screen has %q; the last is\n%s", text, c.last())
	}
}

func TestStatus_EndsWithCtrlC(t *testing.T) {
	w := newWorld(t, "interrupted", simulator.Options{})
	w.CreateBatch("customers", testenv.Users("customer", 3)...) // there is no operator
	command := w.command(viewer, "status", "customers", "--watch")
	c := w.open(command, 100)
	w.Eventually(c.last).Should(gomega.ContainSubstring("Unseen"))
	w.Must(command.Process.Signal(os.Interrupt))
	var err error
	w.Eventually(c.done).Should(gomega.Receive(&err))
	w.Equal("exit code", 130, command.ProcessState.ExitCode())
}

// A command that reads its input, or writes to a pager, does not see the first Ctrl-C.
func TestCtrlC_EndsACommandThatWaitsForItsInput(t *testing.T) {
	w := newWorld(t, "ctrl-c", simulator.Options{})
	command := w.command(editor, "import", "-", "--name", "customers")
	input, err := command.StdinPipe()
	w.Must(err)
	defer input.Close() //nolint:errcheck // nothing was written
	w.Must(command.Start())
	_, err = input.Write([]byte("username\n" + strings.Repeat("customer\n", 100_000))) // more than a pipe holds: the command reads
	w.Must(err)
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	w.Eventually(func() chan error { _ = command.Process.Signal(os.Interrupt); return ended }).Should(gomega.Receive())
}

func TestStatus_ExitsWith1IfSomebodyIsNeeded(t *testing.T) {
	w := newWorld(t, "stalled", simulator.Options{})
	w.start()
	w.CreateBatch("customers", v1alpha1.User{Username: "a"}, v1alpha1.User{Username: "\tb"})
	out, errOut, code := w.run(viewer, "status", "customers", "--watch")
	const cure = "kubectl eub results customers -n stalled --result Invalid"
	if code != 1 || !strings.Contains(out, "Stalled") || !strings.Contains(errOut, cure) {
		t.Errorf("exit code %d\n%s\n%s", code, out, errOut)
	}
	if fleet := w.mustRun(viewer, "status"); !strings.Contains(fleet, "kubectl eub retry customers -n stalled sends them again.\n") {
		t.Errorf("what to do is cut in a file:\n%s", fleet)
	}
	screen := w.mustRun(viewer, "status", "customers")
	for _, part := range []string{"Stalled (InvalidUsers)", `row 1 of spec.users, "�b"`, "To do", "InvalidUsers: Some users are invalid"} {
		if !strings.Contains(screen, part) {
			t.Errorf("%q is missing:\n%s", part, screen)
		}
	}
}

func TestStatus_ExitsWith3AfterTheTimeout(t *testing.T) {
	w := newWorld(t, "timeout", simulator.Options{})
	w.CreateBatch("customers", testenv.Users("customer", 3)...) // there is no operator
	out, errOut, code := w.run(viewer, "status", "customers", "--watch", "--timeout", "1s")
	if code != 3 || !strings.Contains(errOut, "Unseen after 1s") {
		t.Errorf("exit code %d\n%s\n%s", code, out, errOut)
	}
}

// The slices that hold a batch up are shown to those who may see slices, and the others are told.
func TestStatus_ShowsWhatOneMaySee(t *testing.T) {
	w := newWorld(t, "held-up", simulator.Options{})
	w.Sim.Inject(simulator.Fault{Status: http.StatusServiceUnavailable, Body: "the disk is full"})
	w.start()
	w.CreateBatch("customers", testenv.Users("secret-name", 3)...)
	w.Await("customers", v1alpha1.ReasonRetrying)
	screen := ""
	w.Eventually(func() string { screen = w.mustRun(reader, "status", "customers"); return screen }).
		Should(gomega.MatchRegexp(`customers-[0-9a-f]{8}-0: 3 pending, next request`))
	if !strings.Contains(screen, "the disk is full") || strings.Contains(screen, "Not shown") || strings.Contains(screen, "secret-name") {
		t.Error(screen)
	}
	screen = w.mustRun(viewer, "status", "customers")
	if !strings.Contains(screen, "Not shown") || !strings.Contains(screen, "embeddeduserslices") || !strings.Contains(screen, "slice-viewer") {
		t.Error(screen)
	}
	w.Equal("name", "embeddeduserbatch.embedded.runalloy.com/customers\n", w.mustRun(viewer, "status", "customers", "-o", "name"))
	if fleet := w.mustRun(viewer, "status"); !regexp.MustCompile(`held-up +customers +Working +Retrying +0 % +0 +3`).MatchString(fleet) {
		t.Error(fleet)
	}
}

func TestStatus_CompletesNames(t *testing.T) {
	w := newWorld(t, "status-completion", simulator.Options{})
	w.CreateBatch("customers")
	w.CreateBatch("staff")
	command := w.command(viewer)
	command.Args = []string{plugin, "__complete", "status", "--namespace", w.Namespace, ""}
	out, err := command.Output()
	if err != nil || string(out) != "customers\nstaff\n:4\n" {
		t.Errorf("%v: %s", err, out)
	}
}

func TestStatus_SaysWhatIsMissing(t *testing.T) {
	w := newWorld(t, "missing", simulator.Options{})
	for want, args := range map[string][]string{
		"there is no batch nobody in namespace missing":          {"status", "nobody"},
		"you may not list embeddeduserbatches in all namespaces": {"status", "-A"},
		"--watch follows one batch":                              {"status", "--watch"},
	} {
		_, errOut, code := w.run(viewer, args...)
		if code != 1 || !strings.Contains(errOut, want) {
			t.Errorf("%v: exit code %d, %s", args, code, errOut)
		}
	}
}
