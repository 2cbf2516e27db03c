// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"context"
	"errors"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// TestCommands_Work follows each page on a cluster of its own: it writes the files that the page shows and runs its commands, in order,
// except those that the page marks as not run. At the end it runs the kubectl commands within the text that only read.
func TestCommands_Work(t *testing.T) {
	ran := 0
	var runbooks []page
	for _, p := range loadPages(t) {
		n := len(p.toRun(t))
		ran += n
		switch {
		case path.Dir(p.path) == "docs/runbooks":
			runbooks = append(runbooks, p)
		case n > 0:
			t.Run(p.path, func(t *testing.T) {
				if p.needsHelm(t) != *withHelm {
					t.Skip("make test-chart follows the pages that need Helm, and make test the others")
				}
				t.Parallel()
				newReader(t, p.path).read(p)
			})
		}
	}
	t.Run("docs/runbooks", func(t *testing.T) { // they only look, so they share a cluster
		if *withHelm {
			t.Skip("they need no Helm")
		}
		t.Parallel()
		r := newReader(t, "docs/runbooks")
		for _, p := range runbooks {
			r.read(p)
		}
	})
	if ran < 30 {
		t.Errorf("found only %d commands", ran)
	}
}

// read follows a page.
func (r *reader) read(p page) {
	r.Helper()
	for _, b := range p.blocks {
		if name := b.fileName(); name != "" {
			r.write(name, b.text)
		}
		if isRunHere(r.TB, b) {
			for _, c := range b.commands() {
				r.follow(c)
			}
		}
	}
	for _, c := range p.inline() {
		r.follow(c)
	}
}

// toRun returns the commands of a page that a test runs.
func (p page) toRun(t testing.TB) []command {
	t.Helper()
	var commands []command
	for _, b := range p.blocks {
		if isRunHere(t, b) {
			commands = append(commands, b.commands()...)
		}
	}
	return append(commands, p.inline()...)
}

// needsHelm reports whether a command of the page is helm.
func (p page) needsHelm(t testing.TB) bool {
	t.Helper()
	return slices.ContainsFunc(p.toRun(t), func(c command) bool { return helm.MatchString(c.script) })
}

var helm = regexp.MustCompile(`(?m)^helm `)

// isRunHere reports whether TestCommands_Work runs the block. It logs why not.
func isRunHere(t testing.TB, b block) bool {
	t.Helper()
	switch {
	case !b.isShell():
		return false
	case b.reasonNotRun() != "":
		t.Logf("%s: not run: %s", b.where, b.reasonNotRun())
		return false
	case b.otherTest() != "":
		if _, err := os.Stat(testenv.Root(b.otherTest())); err != nil || !strings.HasPrefix(b.otherTest(), "test/") {
			t.Errorf("%s: %q is not the folder of a test", b.where, b.otherTest())
		}
		t.Logf("%s: %s runs it", b.where, b.otherTest())
		return false
	case isRunByCI(b.text):
		t.Logf("%s: .ci/run runs it", b.where)
		return false
	}
	t.Logf("%s: run", b.where)
	return true
}

// isRunByCI reports whether every command of a script is a make target that .ci/run makes.
func isRunByCI(script string) bool {
	targets := ciTargets()
	for line := range strings.Lines(script) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		if len(words) < 2 || words[0] != "make" || !targets[words[1]] {
			return false
		}
	}
	return true
}

var makeTarget = regexp.MustCompile(`(?m)^(?:.*&& )?make ([a-z0-9-]+)`)

func ciTargets() map[string]bool {
	text, err := os.ReadFile(testenv.Root(".ci", "run"))
	if err != nil {
		return nil
	}
	targets := map[string]bool{}
	for _, match := range makeTarget.FindAllStringSubmatch(string(text), -1) {
		targets[match[1]] = true
	}
	return targets
}

var reading = regexp.MustCompile("`(kubectl (?:get|describe|wait|explain) [^`…<]+)`")

// inline returns the commands within the text that only read.
func (p page) inline() []command {
	var commands []command
	for _, match := range reading.FindAllStringSubmatch(p.prose, -1) {
		commands = append(commands, command{where: p.path, script: strings.ReplaceAll(match[1], "\n", " ")})
	}
	return commands
}

var gets = regexp.MustCompile(`^kubectl (?:-n \S+ )?get `)

// follow runs a command. One that reads is repeated until it prints what the page says, because the operator may be at work.
func (r *reader) follow(c command) {
	r.Helper()
	var out string
	try := func(ctx context.Context) error {
		printed, err := r.run(ctx, c.script)
		if ctx.Err() == nil {
			out = printed
		}
		switch {
		case err != nil:
		case len(c.output) > 0 && !matches(c.output, printed):
			err = errors.New("its output is not that of the page")
		case gets.MatchString(c.script) && strings.TrimSpace(printed) == "":
			err = errors.New("it prints nothing")
		}
		return err
	}
	var err error
	if gets.MatchString(c.script) {
		err = testenv.Await(r.Context(), try)
	} else {
		err = try(r.Context())
	}
	if err != nil {
		r.Fatalf("%s: %s\n%v: it prints\n%s\nand the page says\n%s", c.where, c.script, err, out, strings.Join(c.output, "\n"))
	}
}

var (
	// Each differs from run to run.
	age       = regexp.MustCompile(`\b(?:\d+[dhms])+\b`)
	timestamp = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	sliceName = regexp.MustCompile(`-[0-9a-f]{8}-(\d+)\b`)

	// logLine is what kubectl logs now and then, such as that a watch ended when it is done.
	logLine = regexp.MustCompile(`^[IWE]\d{4} \d\d:\d\d:\d\d`)
)

// matches reports whether a command printed what a page says. An ellipsis stands for any text, and on a line of its own for any lines.
func matches(want []string, got string) bool {
	var pattern strings.Builder
	pattern.WriteString("^")
	for _, line := range want {
		if strings.TrimSpace(line) == "…" {
			pattern.WriteString("(?:[^\n]*\n)*")
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(normal(line)), "…", "[^\n]*") + "\n")
	}
	var printed strings.Builder
	for _, line := range lines(got) {
		if !logLine.MatchString(line) {
			printed.WriteString(normal(line) + "\n")
		}
	}
	return regexp.MustCompile(pattern.String() + "$").MatchString(printed.String())
}

// normal replaces what differs from run to run.
func normal(line string) string {
	line = timestamp.ReplaceAllString(line, "TIME")
	line = sliceName.ReplaceAllString(line, "-UID-$1")
	return strings.Join(strings.Fields(age.ReplaceAllString(line, "AGE")), " ")
}

// lines returns the lines that are not empty.
func lines(text string) []string {
	var found []string
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			found = append(found, strings.TrimSuffix(line, "\n"))
		}
	}
	return found
}
