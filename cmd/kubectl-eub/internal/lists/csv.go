// SPDX-License-Identifier: Apache-2.0

package lists

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/sheet"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

// table is a CSV that is being read.
type table struct {
	separator byte
	form      Form
	columns   []int // of the fields of a row: username and, in the form CSV, fullName
	width     int   // number of fields of the header
	escaped   bool  // as sheet.Escape does it
	buffer    []byte
}

// readCSV reads a CSV with any separator.
func (l *List) readCSV(ctx context.Context, about *About, visit func(Row) error) error {
	text, file, err := l.text(about.Encoding)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // only read
	head, _ := text.Peek(decode.MaxRowBytes)
	separator, isSaid := separatorOf(head)
	about.Separator = rune(separator)
	above := 0 // lines
	for isSaid {
		line, err := text.ReadString('\n')
		above++
		isSaid = err == nil && line == "\n"
	}
	records := decode.NewRecords(io.MultiReader(strings.NewReader(strings.Repeat("\n", above)), text), separator) // lines keep their numbers
	header, err := records.Header()
	if err != nil {
		return err //nolint:wrapcheck // says what is wrong with the list
	}
	t, err := newTable(ctx, separator, header)
	if err != nil {
		return err
	}
	about.IsResults = t.escaped
	var stray decode.QuoteError
	for {
		record, line, err := records.Next()
		row := Row{Form: t.form, Place: Place(line)} //nolint:gosec // no list is so long
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &stray):
			row.Text = t.stray(records.Text())
		case err != nil:
			return err //nolint:wrapcheck // says what is wrong with the list
		default:
			row.Text = t.row(record)
		}
		if ctx.Err() != nil {
			return ctx.Err() //nolint:wrapcheck // somebody pressed Ctrl+C
		}
		if err := visit(row); err != nil {
			return err
		}
	}
}

// limits are those for every list.
var limits = decode.Limits{Text: decode.MaxBytes, Memory: 1 << 30}

// newTable returns a table with a header, or what the operator says of that header.
func newTable(ctx context.Context, separator byte, header []string) (*table, error) {
	t := &table{separator: separator, form: CSV, width: len(header), escaped: sheet.IsResults(header)}
	find := func(name string) int {
		return slices.IndexFunc(header, func(field string) bool { return isColumn(field, name) })
	}
	if !t.escaped {
		text := appendRecord(nil, header)
		if _, err := decode.Rows(ctx, text, decode.CSV, limits, func(decode.Row) error { return nil }); err != nil {
			return nil, err //nolint:wrapcheck // says what is wrong with the list
		}
	}
	t.columns = []int{find(sheet.ColumnUsername), find(sheet.ColumnFullName)}
	if t.columns[1] < 0 {
		t.columns, t.form = t.columns[:1], CSVOfOne
	}
	return t, nil
}

// row returns a record as a row of the form. A record with too many or too few fields stays one.
func (t *table) row(record []string) []byte {
	fields := make([]string, 0, len(t.columns)+1)
	if len(record) == t.width {
		for _, column := range t.columns {
			field := record[column]
			if t.escaped {
				field = sheet.Unescape(field)
			}
			fields = append(fields, field)
		}
	} else if fields = append(fields, record...); len(record) == len(t.columns) {
		fields = append(fields, "")
	}
	t.buffer = appendRecord(t.buffer[:0], fields)
	return t.buffer
}

// stray returns a line with a stray double quote. The separator changes places with the comma, so that all that the line has of both means
// the same as before, and the operator finds the same double quote.
func (t *table) stray(line []byte) []byte {
	t.buffer = append(append(t.buffer[:0], line...), '\n')
	for i, c := range t.buffer {
		switch c {
		case ',':
			t.buffer[i] = t.separator
		case t.separator:
			t.buffer[i] = ','
		}
	}
	return t.buffer
}

// appendRecord appends a record with commas that the operator's decoder splits into the same fields. The first field is in quotes if all
// are empty, because a line of nothing but commas is no record.
func appendRecord(text []byte, fields []string) []byte {
	isBlank := true
	for _, field := range fields {
		isBlank = isBlank && field == ""
	}
	for i, field := range fields {
		if i > 0 {
			text = append(text, ',')
		}
		if i == 0 && isBlank || needsQuotes(field) {
			text = append(text, '"')
			text = append(text, strings.ReplaceAll(field, `"`, `""`)...)
			text = append(text, '"')
		} else {
			text = append(text, field...)
		}
	}
	return append(text, '\n')
}

func needsQuotes(field string) bool {
	return field != "" &&
		(field[0] == ' ' || field[len(field)-1] == ' ' || strings.ContainsAny(field, ",\"\n") || strings.HasPrefix(field, bom))
}

// trimBOM does to a line what the operator's decoder does.
func trimBOM(line []byte) []byte {
	for bytes.HasPrefix(line, []byte(bom)) {
		line = line[len(bom):]
	}
	return line
}
