// SPDX-License-Identifier: Apache-2.0

// Package terminal prepares text for people: what a terminal may be sent, how wide it is, and how numbers and durations are written.
package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// DefaultWidth is the width of lines, in columns, where there is no terminal that has one.
const DefaultWidth = 100

// narrowest is the least width to which Fit wraps a line. A terminal that has less room behind an indent breaks it once more.
const narrowest = 10

// Note writes a line beside the output, such as to standard error, and cleans it. If that fails there is nobody left to tell.
func Note(out io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintln(out, Clean(fmt.Sprintf(format, args...)))
}

// Is reports whether a stream is a terminal.
func Is(stream any) bool {
	file, isFile := stream.(*os.File)
	return isFile && term.IsTerminal(int(file.Fd()))
}

// CanDraw reports whether a stream is a terminal that understands escape sequences.
func CanDraw(stream any) bool { return Is(stream) && os.Getenv("TERM") != "dumb" }

// Size returns the width and height of a terminal. It returns DefaultWidth and no height for any other stream.
func Size(stream io.Writer) (width, height int) {
	file, isFile := stream.(*os.File)
	if !isFile {
		return DefaultWidth, 0
	}
	width, height, err := term.GetSize(int(file.Fd()))
	if err != nil || width <= 0 {
		return DefaultWidth, 0
	}
	return width, height
}

// Clean returns a text as it may be written to a terminal: in one line, and without characters that move the cursor, change colours or
// reverse the direction of what follows. Full names and what an API says may have any.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
			return utf8.RuneError
		default:
			return r
		}
	}, text)
}

// CleanLines cleans each line of a text.
func CleanLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = Clean(lines[i])
	}
	return strings.Join(lines, "\n")
}

// Width returns the number of columns that a text takes.
func Width(text string) int { return runewidth.StringWidth(text) }

// Cut shortens a text to a number of columns, and marks that with an ellipsis.
func Cut(text string, columns int) string { return runewidth.Truncate(text, max(columns, 1), "…") }

// Pad fills a text with spaces up to a number of columns.
func Pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(columns-Width(text), 0))
}

// Wrap splits a text into lines of at most so many columns, at spaces. A word that is longer is broken, as a terminal does.
func Wrap(text string, columns int) []string {
	columns = max(columns, 2) // a character takes up to two
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case Width(line)+1+Width(word) <= columns:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
		for Width(line) > columns {
			begin := runewidth.Truncate(line, columns, "")
			lines, line = append(lines, begin), line[len(begin):]
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// Fit returns lines as they may be written to a stream: for a terminal they are cleaned, and those that are too long wrapped. What
// continues a line is indented by two more spaces.
func Fit(stream io.Writer, text string) string {
	if !Is(stream) {
		return text
	}
	columns, _ := Size(stream)
	var fitting strings.Builder
	for line := range strings.Lines(text) {
		line = Clean(strings.TrimSuffix(line, "\n"))
		if Width(line) <= columns {
			fitting.WriteString(line + "\n")
			continue
		}
		indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
		for i, wrapped := range Wrap(line, max(columns-len(indent)-2, narrowest)) {
			if i == 1 {
				indent += "  "
			}
			fitting.WriteString(indent + wrapped + "\n")
		}
	}
	return fitting.String()
}

// Number writes a number with commas between the thousands.
func Number[T ~int | ~int32 | ~int64](n T) string {
	return message.NewPrinter(language.English).Sprintf("%d", int64(n))
}

// Count writes a number of things, such as: 1 row, 2,000 rows.
func Count[T ~int | ~int32 | ~int64](n T, one, many string) string {
	if n == 1 {
		many = one
	}
	return Number(n) + " " + many
}

// Duration writes a duration as a person says it, in at most two units: 1h5m, 2m10s, 12s.
func Duration(d time.Duration) string {
	round := time.Second
	switch {
	case d >= time.Hour:
		round = time.Minute
	case d < time.Second:
		return "0s"
	}
	text := d.Round(round).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
