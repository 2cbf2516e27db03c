// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"strings"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
)

var tones = map[Level]terminal.Tone{OK: terminal.Good, Unknown: terminal.Faint, Warn: terminal.Busy, Fail: terminal.Bad}

// Text returns findings as lines of at most so many columns, and a line that sums them up.
func Text(found []Finding, columns int, palette terminal.Palette) string {
	const levelColumns = len("warning") + 2
	subjects, of := 0, map[Level]int{}
	for _, f := range found {
		subjects = max(subjects, min(terminal.Width(f.Subject), 30)+2)
		of[f.Level]++
	}
	var out strings.Builder
	for _, f := range found {
		head := palette.Paint(tones[f.Level], terminal.Pad(string(f.Level), levelColumns)) + terminal.Pad(terminal.Clean(f.Subject), subjects)
		indent := strings.Repeat(" ", levelColumns+subjects)
		write := func(text string, tone terminal.Tone) {
			for _, line := range terminal.Wrap(terminal.Clean(text), max(min(columns, 120)-len(indent), 30)) {
				out.WriteString(head + palette.Paint(tone, line) + "\n")
				head = indent
			}
		}
		write(f.Says, terminal.Plain)
		if f.Level != OK {
			write(f.Do, terminal.Bold)
		}
	}
	fmt.Fprintf(&out, "\n%d ok, %s, %d wrong", of[OK], terminal.Count(of[Warn], "warning", "warnings"), of[Fail])
	if n := of[Unknown]; n > 0 {
		fmt.Fprintf(&out, ", %d cannot be told", n)
	}
	out.WriteString("\n")
	return out.String()
}
