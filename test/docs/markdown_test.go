// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// notRun begins a comment that says why no test runs a command, to readers too. On the first line of a block it is about the block, and
// at the end of a line about this line.
const notRun = "# Not run by a test: "

// runBy begins the first line of a block that another test runs; the rest begins with its folder.
const runBy = "# Run by "

// page is a page of the documentation.
type page struct {
	path   string // relative to the repository, with slashes
	prose  string // the page with empty lines in place of its blocks
	blocks []block
}

// block is a fenced block of a page.
type block struct {
	where    string // page and line
	language string
	text     string
}

// command is a shell script of a page, and what the page says it prints.
type command struct {
	where  string
	script string
	output []string
}

var (
	fence      = regexp.MustCompile("^( *)(`{3,})([a-z]*)")
	notRunLine = regexp.MustCompile("(?m)^.+" + notRun + ".+$")
)

// parse splits a page into prose and blocks.
func parse(path, text string) page {
	p := page{path: path}
	var prose strings.Builder
	var current *block
	indent, closing := "", ""
	for i, line := range strings.Split(text, "\n") {
		opens := fence.FindStringSubmatch(line)
		switch {
		case current != nil && strings.TrimSpace(line) == closing:
			p.blocks = append(p.blocks, *current)
			current = nil
		case current != nil:
			current.text += strings.TrimPrefix(line, indent) + "\n"
		case opens != nil:
			indent, closing = opens[1], opens[2]
			current = &block{where: fmt.Sprintf("%s:%d", path, i+1), language: opens[3]}
		default:
			prose.WriteString(line)
		}
		prose.WriteByte('\n')
	}
	p.prose = prose.String()
	return p
}

// isShell reports whether the block is made of commands.
func (b block) isShell() bool {
	return b.language == "console" || b.language == "sh" || b.language == "bash"
}

// reasonNotRun returns why no test runs the block; empty if one does.
func (b block) reasonNotRun() string {
	first, _, _ := strings.Cut(b.text, "\n")
	reason, isMarked := strings.CutPrefix(first, notRun)
	if !isMarked {
		return ""
	}
	return strings.TrimSpace(reason)
}

// otherTest returns the folder of the test that runs the block; empty if none but this one does.
func (b block) otherTest() string {
	first, _, _ := strings.Cut(b.text, "\n")
	folder, isMarked := strings.CutPrefix(first, runBy)
	if !isMarked {
		return ""
	}
	return strings.TrimRight(strings.Fields(folder)[0], ".,:;")
}

// commands returns the commands of a block. In a block with a line that begins with "$ ", such lines are commands, lines that begin
// with "> " continue them, and the others are output. Any other block is one script without output.
func (b block) commands() []command {
	if !strings.Contains("\n"+b.text, "\n$ ") {
		return []command{{where: b.where, script: notRunLine.ReplaceAllString(b.text, "")}}
	}
	var commands []command
	for line := range strings.Lines(b.text) {
		line = strings.TrimSuffix(line, "\n")
		last := len(commands) - 1
		if script, isCommand := strings.CutPrefix(line, "$ "); isCommand {
			commands = append(commands, command{where: b.where, script: script})
		} else if script, continues := strings.CutPrefix(line, "> "); continues && last >= 0 {
			commands[last].script += "\n" + script
		} else if last >= 0 && strings.TrimSpace(line) != "" {
			commands[last].output = append(commands[last].output, line)
		}
	}
	return commands
}

// fileName returns the name of the file that a block shows: its first line is a comment with nothing but the name.
func (b block) fileName() string {
	first, _, _ := strings.Cut(b.text, "\n")
	name, isComment := strings.CutPrefix(first, "# ")
	if !isComment || !strings.Contains(name, ".") || strings.ContainsAny(name, " /:") {
		return ""
	}
	return name
}

// loadPages returns all pages of the repository.
func loadPages(t testing.TB) []page {
	t.Helper()
	var pages []page
	root := testenv.Root()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && (name == ".git" || name == "bin" || name == "testdata") {
			return filepath.SkipDir
		}
		if entry.IsDir() || filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		pages = append(pages, parse(filepath.ToSlash(relative), string(text)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(pages) < 10 {
		t.Fatalf("found only %d pages", len(pages))
	}
	return pages
}
