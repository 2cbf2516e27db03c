// SPDX-License-Identifier: Apache-2.0

package live

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

var pictures = flag.String("pictures", "", "draw the pictures of the documentation into this folder, which needs tmux")

// tmux is a terminal in which a person could type.
type tmux struct {
	*world

	socket string
}

// openTmux opens a terminal in which kubectl is an editor's, in a folder with nothing but a list.
func (w *world) openTmux(list string) *tmux {
	w.Helper()
	home := w.TempDir()
	w.Must(os.WriteFile(filepath.Join(home, "customers.csv"), []byte(list), 0o600))
	config, err := clientcmd.LoadFromFile(w.as(editor))
	w.Must(err)
	for _, c := range config.Contexts {
		c.Namespace = w.Namespace
	}
	w.Must(clientcmd.WriteToFile(*config, filepath.Join(home, "kubeconfig")))
	t := &tmux{world: w, socket: filepath.Join(home, "tmux")}
	command := t.command("-f", "/dev/null", "new-session", "-d", "-x", "92", "-y", "32", "-c", home,
		"env", "-i", "HOME="+home, "KUBECONFIG="+filepath.Join(home, "kubeconfig"), "TERM=xterm-256color", "LANG=C.UTF-8", "PS1=$ ",
		"PATH="+filepath.Dir(plugin)+":"+os.Getenv("KUBEBUILDER_ASSETS")+":"+os.Getenv("PATH"), "bash", "--noprofile", "--norc")
	if out, err := command.CombinedOutput(); err != nil {
		w.Fatalf("starting tmux: %v: %s", err, out)
	}
	w.Cleanup(func() { _ = t.command("kill-server").Run() })
	w.Eventually(t.screen).Should(gomega.ContainSubstring("$")) // else what is typed shows before the prompt
	return t
}

func (t *tmux) command(args ...string) *exec.Cmd {
	return exec.Command("tmux", append([]string{"-S", t.socket}, args...)...)
}

// enter types a command.
func (t *tmux) enter(command string) {
	t.Helper()
	t.Must(t.command("send-keys", "-l", command).Run())
	t.Must(t.command("send-keys", "Enter").Run())
}

// screen returns what the terminal shows, with colours.
func (t *tmux) screen() string {
	out, err := t.command("capture-pane", "-e", "-p").Output()
	t.Must(err)
	return strings.TrimRight(string(out), "\n") + "\n"
}

// draw draws what the terminal shows once it shows all of the given patterns.
func (t *tmux) draw(name string, patterns ...string) {
	t.Helper()
	var shown string
	for _, pattern := range patterns {
		t.Eventually(func() string {
			shown = t.screen()
			return escapes.ReplaceAllString(shown, "")
		}).WithPolling(100 * time.Millisecond).Should(gomega.MatchRegexp(pattern))
	}
	text := filepath.Join(t.TempDir(), name)
	t.Must(os.WriteFile(text, []byte(shown), 0o600))
	command := exec.Command("go", "tool", "-modfile", testenv.Root("hack", "freeze", "go.mod"), "freeze", text, "--language", "ansi",
		"--font.family", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace", "--font.size", "13",
		"--border.radius", "8", "--padding", "16", "--output", filepath.Join(*pictures, name+".svg"))
	command.Dir = testenv.Root("cmd", "kubectl-eub")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("drawing: %v: %s", err, out)
	}
}

// The pictures show a list of a spreadsheet with mistakes, and how its users are sent.
func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("draws only with -pictures")
	}
	w := newWorld(t, "production", simulator.Options{Latency: 1200 * time.Millisecond})
	w.start()
	var list strings.Builder
	list.WriteString("username;fullName\r\n")
	for i := range 48_200 {
		switch i {
		case 1311:
			list.WriteString(";Jos\xe9 Alvarez\r\n")
		case 20_007:
			list.WriteString("customer-00042@example.com;Somebody else\r\n")
		default:
			fmt.Fprintf(&list, "customer-%05d@example.com;Zo\xeb M\xfcller %d\r\n", i, i)
		}
	}
	terminal := w.openTmux(list.String())
	terminal.enter("kubectl eub import customers.csv --name customers --apply")
	terminal.draw("kubectl-eub-import", `--watch\n\$`)
	terminal.enter("clear; kubectl eub status customers --watch")
	terminal.draw("kubectl-eub-status", `\] +[3-6]\d %`)
}
