// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// records splits a CSV into records. It differs from encoding/csv in what spreadsheets and people do: spaces around a field do
// not count unless they are in quotes, lines of nothing but commas are skipped like blank ones, and a stray double quote spoils
// its line only.
type records struct {
	text   *bufio.Reader
	lines  int      // number of lines read
	start  int      // line in which the last record begins
	buffer []byte   // fields of the last record, one after another
	ends   []int    // where each of them ends
	fields []string // that next returned
}

// quoteError says what is wrong with the double quotes of a record, and how to fix that. The next record is not affected.
type quoteError string

func (e quoteError) Error() string { return string(e) }

const (
	errBareQuote   quoteError = "a double quote in an unquoted field; put the field in double quotes, and double those inside"
	errClosedEarly quoteError = "a double quote ends within its field; double those inside a field"
	errNeverClosed quoteError = "a double quote is never closed; add one at the end of the field"
)

// next returns the fields of the next record, which are valid until the next call. The error is io.EOF after the last record, a
// quoteError, errRowTooLarge, or a listError. A quoted field that goes wrong after its first line is a listError, because nobody
// can tell how many rows it holds.
func (r *records) next() ([]string, error) {
	line, err := r.line()
	for line = trimBOM(line); err == nil && isBlank(line); line = trimBOM(line) {
		line, err = r.line()
	}
	if err != nil {
		return nil, err
	}
	r.start, r.buffer, r.ends = r.lines, r.buffer[:0], r.ends[:0]
	for more := true; more; {
		if line = bytes.TrimLeft(line, " "); len(line) > 0 && line[0] == '"' {
			line, more, err = r.quoted(line[1:])
		} else {
			line, more, err = r.unquoted(line)
		}
		if err != nil {
			return nil, r.fault(err)
		}
		r.ends = append(r.ends, len(r.buffer))
	}
	return r.split(), nil
}

func (r *records) fault(err error) error {
	var stray quoteError
	if errors.As(err, &stray) && r.lines > r.start {
		return listError(at(r.start, string(stray)))
	}
	return err
}

// unquoted reads a field without quotes. It returns the rest of the line, and whether another field follows.
func (r *records) unquoted(line []byte) (rest []byte, more bool, err error) {
	field := line
	if comma := bytes.IndexByte(line, ','); comma >= 0 { // faster than bytes.Cut
		field, rest, more = line[:comma], line[comma+1:], true
	}
	if bytes.IndexByte(field, '"') >= 0 {
		return nil, false, errBareQuote
	}
	r.buffer = append(r.buffer, bytes.TrimRight(field, " ")...)
	return rest, more, nil
}

// quoted does the same for a field in quotes, which may go on over several lines. line begins after the opening quote.
func (r *records) quoted(line []byte) (rest []byte, more bool, err error) {
	for {
		text, after, isClosed := bytes.Cut(line, []byte(`"`))
		r.buffer = append(r.buffer, text...)
		switch {
		case !isClosed:
			if r.buffer = append(r.buffer, '\n'); len(r.buffer) > MaxRowBytes {
				return nil, false, errRowTooLarge
			}
			if line, err = r.line(); err != nil {
				return nil, false, endOf(err)
			}
		case len(after) > 0 && after[0] == '"':
			r.buffer = append(r.buffer, '"')
			line = after[1:]
		default:
			after = bytes.TrimLeft(after, " ")
			if len(after) > 0 && after[0] != ',' {
				return nil, false, errClosedEarly
			}
			return bytes.TrimPrefix(after, []byte(",")), len(after) > 0, nil
		}
	}
}

// endOf returns the error for a list that ends in a quoted field.
func endOf(err error) error {
	if errors.Is(err, io.EOF) {
		return errNeverClosed
	}
	return err
}

// line returns the next line, or io.EOF if there is none.
func (r *records) line() ([]byte, error) {
	line, err := readLine(r.text)
	if errors.Is(err, io.EOF) && len(line) > 0 {
		err = nil // the next call returns it again
	}
	if err == nil {
		r.lines++
	}
	return line, err
}

// split returns the fields in the buffer. They share the memory of one string.
func (r *records) split() []string {
	text, begin := string(r.buffer), 0
	r.fields = r.fields[:0]
	for _, end := range r.ends {
		r.fields = append(r.fields, text[begin:end])
		begin = end
	}
	return r.fields
}

func isBlank(line []byte) bool {
	for _, c := range line {
		if c != ',' && c != ' ' {
			return false
		}
	}
	return true
}
