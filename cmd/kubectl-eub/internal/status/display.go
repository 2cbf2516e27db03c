// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/vbauerster/cupwriter"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
)

// screens draws each report over the one before, on a terminal.
type screens struct {
	out    io.Writer
	writer *cupwriter.Writer
}

func newScreens(out io.Writer) *screens { return &screens{out, cupwriter.New(out, false)} }

func (*screens) wantsDetails() bool { return true }

func (s *screens) show(r *Report) error {
	columns, rows := terminal.Size(s.out)
	lines := strings.Split(strings.TrimSuffix(Screen(r, columns-1, terminal.PaletteFor(s.out), time.Now()), "\n"), "\n")
	if rows > 1 && len(lines) >= rows { // what has left the terminal at the top cannot be drawn over
		lines = append(lines[:rows-2], "…")
	}
	for _, line := range lines {
		s.writer.WriteString(line + "\n") //nolint:gosec // to memory
	}
	if err := s.writer.Flush(len(lines)); err != nil {
		return fmt.Errorf("writing to the terminal: %w", err)
	}
	return nil
}

// lines writes a line for each report that differs from the one before.
type lines struct {
	out  io.Writer
	last string
}

func (*lines) wantsDetails() bool { return false }

func (l *lines) show(r *Report) error {
	line := Line(r)
	if line == l.last {
		return nil
	}
	l.last = line
	if _, err := fmt.Fprintln(l.out, line); err != nil {
		return fmt.Errorf("writing the status: %w", err)
	}
	return nil
}

// silence shows nothing: the report is written as JSON or YAML at the end.
type silence struct{}

func (silence) wantsDetails() bool { return false }
func (silence) show(*Report) error { return nil }
