// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// upgradedFrom is the commit whose bundle the upgrade begins with.
const upgradedFrom = "46eb31d"

// image is an image that the nodes have: the variable names it, or the program is built and loaded when it is first needed. The name that
// it gets then has a host, because nodes add docker.io to names without one.
type image struct {
	name, variable, commit, program string
	isOptional                      bool // a scenario without it is skipped
}

var (
	operatorImage  = image{name: "localhost/embedded-user-operator:e2e", variable: "E2E_IMG", program: "./cmd/operator"}
	simulatorImage = image{
		name: "localhost/embedded-user-operator-simulator:e2e", variable: "E2E_SIMULATOR_IMG", program: "./cmd/alloy-simulator",
	}
	proxyImage = image{
		name: "localhost/embedded-user-operator-proxy:e2e", variable: "E2E_PROXY_IMG", program: "./test/e2e/proxy", isOptional: true,
	}
	oldImage = image{
		name: "localhost/embedded-user-operator:" + upgradedFrom, variable: "E2E_OLD_IMG", commit: upgradedFrom, program: "./cmd/operator",
		isOptional: true,
	}
)

// image returns the name of an image on the nodes.
func (c *cluster) image(i image) string {
	c.Helper()
	command := os.Getenv("E2E_LOAD_IMAGE")
	if command == "" {
		name := os.Getenv(i.variable)
		const missing = "neither %s names an image of %s, nor E2E_LOAD_IMAGE a command that loads one"
		switch {
		case name == "" && i.isOptional:
			c.Skipf(missing, i.variable, i.program)
		case name == "":
			c.Fatalf(missing, i.variable, i.program)
		}
		return name
	}
	if c.loaded[i.name] {
		return i.name
	}
	source := testenv.Root()
	if i.commit != "" {
		source = c.checkOut(".")
	}
	program := filepath.Join(c.TempDir(), filepath.Base(i.program))
	build := exec.CommandContext(c.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, i.program)
	build.Dir = source
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	mustRun(c.TB, build)
	mustRun(c.TB, exec.CommandContext(c.Context(), "sh", "-c", command+` "$@"`, command, program, i.name))
	c.loaded[i.name] = true
	return i.name
}

// checkOut writes files of the commit upgradedFrom into a folder, and returns it.
func (c *cluster) checkOut(paths ...string) string {
	c.Helper()
	folder := c.TempDir()
	script := fmt.Sprintf("git archive %s %s | tar -x -C %s", upgradedFrom, strings.Join(paths, " "), folder)
	command := exec.CommandContext(c.Context(), "bash", "-o", "pipefail", "-c", script)
	command.Dir = testenv.Root()
	mustRun(c.TB, command)
	return folder
}
