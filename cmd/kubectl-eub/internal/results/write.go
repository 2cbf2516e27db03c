// SPDX-License-Identifier: Apache-2.0

package results

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/sheet"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
)

// Formats of --output.
const (
	formatTable  = "table"
	formatCSV    = "csv"
	formatJSON   = "json"
	formatNDJSON = "ndjson"
)

// writer writes rows one by one. end completes the output.
type writer interface {
	write(Row) error
	end() error
}

// delimiters of --delimiter.
var delimiters = map[string]rune{"comma": ',', "semicolon": ';', "tab": '\t'}

// newWriter returns the writer of a format, which must be known. What goes to a terminal is cleaned. Only a CSV has delimiters.
func newWriter(out *bufio.Writer, format string, delimiter rune, isTerminal bool) writer {
	var w writer
	switch format {
	case formatCSV:
		w = newCSV(out, delimiter, isTerminal)
	case formatJSON:
		w = &jsonArray{out: out}
	case formatNDJSON:
		w = &ndjson{json.NewEncoder(out)}
	default:
		return &cleaner{&table{out: out}} // which people read, also in a pager
	}
	if isTerminal {
		return &cleaner{w}
	}
	return w
}

// cleaner writes rows without characters that change what a terminal shows. They are not what the users have then, which is for programs.
type cleaner struct{ writer }

func (c *cleaner) write(row Row) error {
	row.Username, row.FullName = terminal.Clean(row.Username), terminal.Clean(row.FullName)
	row.Message = terminal.Clean(row.Message)
	return c.writer.write(row)
}

// csvFile writes CSV for spreadsheets.
type csvFile struct {
	csv *csv.Writer
	err error // of the header
}

// newCSV writes the header, behind a byte order mark, without which Excel takes the file for one in the code page of the country. A
// terminal gets none.
func newCSV(out *bufio.Writer, delimiter rune, isTerminal bool) *csvFile {
	c := &csvFile{csv: csv.NewWriter(out)}
	c.csv.Comma = delimiter
	if !isTerminal {
		_, c.err = out.WriteString("\ufeff")
	}
	if c.err == nil {
		c.err = c.csv.Write(sheet.Header())
	}
	return c
}

func (c *csvFile) write(row Row) error {
	if c.err != nil {
		return c.err
	}
	line := ""
	if row.Line != nil {
		line = strconv.Itoa(*row.Line)
	}
	index := ""
	if row.Row != nil {
		index = strconv.Itoa(int(*row.Row))
	}
	fields := []string{
		sheet.Escape(row.Username), sheet.Escape(row.FullName), string(row.Result), row.Reason, sheet.Escape(row.Message),
		sheet.Escape(row.Source), index, line,
	}
	return c.csv.Write(fields) //nolint:wrapcheck // wrapped by the caller
}

func (c *csvFile) end() error {
	if c.err != nil {
		return c.err
	}
	c.csv.Flush()
	return c.csv.Error() //nolint:wrapcheck // wrapped by the caller
}

// ndjson writes one object per line.
type ndjson struct{ encoder *json.Encoder }

func (n *ndjson) write(row Row) error { return n.encoder.Encode(row) } //nolint:wrapcheck // wrapped by the caller

func (n *ndjson) end() error { return nil }

// jsonArray writes an array with one object per line.
type jsonArray struct {
	out     *bufio.Writer
	hasRows bool
}

func (j *jsonArray) write(row Row) error {
	text, err := json.Marshal(row)
	if err != nil {
		return err //nolint:wrapcheck // wrapped by the caller
	}
	separator := ",\n"
	if !j.hasRows {
		separator, j.hasRows = "[\n", true
	}
	_, err = fmt.Fprintf(j.out, "%s%s", separator, text)
	return err //nolint:wrapcheck // wrapped by the caller
}

func (j *jsonArray) end() error {
	text := "\n]\n"
	if !j.hasRows {
		text = "[]\n"
	}
	_, err := j.out.WriteString(text)
	return err //nolint:wrapcheck // wrapped by the caller
}

const (
	// rowsAhead is the number of rows that a table reads before it chooses the widths of its columns.
	rowsAhead = 200
	// maxCell is the maximum width of a column but the last.
	maxCell = 48
)

// table writes rows in columns. It keeps only the first rows, for the widths of the columns.
type table struct {
	out    io.Writer
	ahead  [][]string
	widths []int // nil until they are chosen
}

var heads = []string{"USERNAME", "RESULT", "REASON", "WHERE", "MESSAGE"}

func (t *table) write(row Row) error {
	cells := []string{row.Username, string(row.Result), row.Reason, where(row), row.Message}
	if t.widths != nil {
		return t.print(cells)
	}
	if t.ahead = append(t.ahead, cells); len(t.ahead) < rowsAhead {
		return nil
	}
	return t.start()
}

// where says where a row is: its line if that is known, else its index.
func where(row Row) string {
	switch {
	case row.Line != nil:
		return fmt.Sprintf("%s line %d", row.Source, *row.Line)
	case row.Row != nil:
		return fmt.Sprintf("%s row %d", row.Source, *row.Row)
	default:
		return row.Source
	}
}

// start chooses the widths of the columns, and prints what was read.
func (t *table) start() error {
	t.widths = make([]int, len(heads))
	for _, cells := range append([][]string{heads}, t.ahead...) {
		for i, cell := range cells {
			t.widths[i] = max(t.widths[i], min(terminal.Width(cell), maxCell))
		}
	}
	for _, cells := range append([][]string{heads}, t.ahead...) {
		if err := t.print(cells); err != nil {
			return err
		}
	}
	t.ahead = nil
	return nil
}

// print prints a row. A long cell pushes the others aside, because a username that is cut is of no use.
func (t *table) print(cells []string) error {
	last := len(cells) - 1
	for last > 0 && cells[last] == "" {
		last--
	}
	var line strings.Builder
	for i, cell := range cells[:last] {
		line.WriteString(terminal.Pad(cell, t.widths[i]) + "   ")
	}
	_, err := fmt.Fprintln(t.out, line.String()+cells[last])
	return err //nolint:wrapcheck // wrapped by the caller
}

func (t *table) end() error {
	if t.widths == nil {
		return t.start()
	}
	return nil
}
