// SPDX-License-Identifier: Apache-2.0

package gitopstest

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Key is the API key that the simulated API accepts.
const Key = "key-of-the-world"

// StartWorld starts a control plane, the simulated API and the operator until the test ends. It returns the path of a kubeconfig.
func StartWorld(t *testing.T) (kubeconfig string) {
	t.Helper()
	world := exec.CommandContext(t.Context(), "go", "run", "./test/gitops/world")
	world.Dir = Root()
	log := &strings.Builder{}
	world.Stderr = log
	stdin, err := world.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := world.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	// The context of the test ends before this, so the process must be told to end by closing its input, not by killing it.
	world.Cancel = func() error { return os.ErrProcessDone }
	if err := world.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := world.Wait(); err != nil {
			t.Errorf("stopping the world: %v", err)
		}
		if t.Failed() {
			t.Logf("the world's log:\n%s", log)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the world did not start: %v", err)
	}
	return strings.TrimSpace(line)
}
