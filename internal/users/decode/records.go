// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Records splits a CSV into records. It differs from encoding/csv in what spreadsheets and people do: spaces around a field do
// not count unless they are in quotes, lines of nothing but separators are skipped like blank ones, and a stray double quote
// spoils its line only.
type Records struct {
	text   *bufio.Reader
	comma  byte     // that separates fields
	last   []byte   // the last line read, valid until the next one is
	lines  int      // number of lines read
	start  int      // line in which the last record begins
	buffer []byte   // fields of the last record, one after another
	ends   []int    // where each of them ends
	fields []string // that next returned
}

// NewRecords splits a text in UTF-8 whose fields have a separator, such as the semicolon of many spreadsheets. The operator reads commas
// only; a program that turns a list into one with commas splits it here, so that both find the same records.
func NewRecords(text io.Reader, separator byte) *Records {
	return &Records{text: bufio.NewReaderSize(Lines(text), MaxRowBytes+2), comma: separator}
}

// QuoteError says what is wrong with the double quotes of a record, and how to fix that. The next record is not affected.
type QuoteError string

func (e QuoteError) Error() string { return string(e) }

const (
	errBareQuote   QuoteError = "a double quote in an unquoted field; put the field in double quotes, and double those inside"
	errClosedEarly QuoteError = "a double quote ends within its field; double those inside a field"
	errNeverClosed QuoteError = "a double quote is never closed; add one at the end of the field"
)

// Header returns the fields of the first record. The error says why the list cannot be read.
func (r *Records) Header() ([]string, error) {
	fields, err := r.next()
	var stray QuoteError
	switch {
	case errors.Is(err, io.EOF):
		err = listError("the CSV is empty; begin it with a header: username,fullName")
	case errors.Is(err, errRowTooLarge):
		err = listError("the header of the CSV has more than 64 KiB; begin it with a line: username,fullName")
	case errors.As(err, &stray):
		err = listError(at(r.start, string(stray)))
	}
	return fields, err
}

// Next returns the fields of the next record, which are valid until the next call, and the line in which it begins, from 1. The error is
// io.EOF after the last record, a QuoteError, or says why the list cannot be read.
func (r *Records) Next() (fields []string, line int, err error) {
	before := r.start
	fields, err = r.next()
	if errors.Is(err, errRowTooLarge) {
		err = listError(fmt.Sprintf("the row after the one in line %d has more than 64 KiB; close its double quotes", before))
	}
	return fields, r.start, err
}

// Text returns the line of a record with a QuoteError, which has just been returned.
func (r *Records) Text() []byte { return r.last }

// next returns the fields of the next record, which are valid until the next call. The error is io.EOF after the last record, a
// QuoteError, errRowTooLarge, or a listError. A quoted field that goes wrong after its first line is a listError, because nobody
// can tell how many rows it holds.
func (r *Records) next() ([]string, error) {
	line, err := r.line()
	for line = trimBOM(line); err == nil && r.isBlank(line); line = trimBOM(line) {
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

func (r *Records) fault(err error) error {
	var stray QuoteError
	if errors.As(err, &stray) && r.lines > r.start {
		return listError(at(r.start, string(stray)))
	}
	return err
}

// unquoted reads a field without quotes. It returns the rest of the line, and whether another field follows.
func (r *Records) unquoted(line []byte) (rest []byte, more bool, err error) {
	field := line
	if comma := bytes.IndexByte(line, r.comma); comma >= 0 { // faster than bytes.Cut
		field, rest, more = line[:comma], line[comma+1:], true
	}
	if bytes.IndexByte(field, '"') >= 0 {
		return nil, false, errBareQuote
	}
	r.buffer = append(r.buffer, bytes.TrimRight(field, " ")...)
	return rest, more, nil
}

// quoted does the same for a field in quotes, which may go on over several lines. line begins after the opening quote.
func (r *Records) quoted(line []byte) (rest []byte, more bool, err error) {
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
			if len(after) == 0 {
				return nil, false, nil
			}
			if after[0] != r.comma {
				return nil, false, errClosedEarly
			}
			return after[1:], true, nil
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
func (r *Records) line() ([]byte, error) {
	line, err := readLine(r.text)
	if errors.Is(err, io.EOF) && len(line) > 0 {
		err = nil // the next call returns it again
	}
	if err == nil {
		r.lines++
		r.last = line
	}
	return line, err
}

// split returns the fields in the buffer. They share the memory of one string.
func (r *Records) split() []string {
	text, begin := string(r.buffer), 0
	r.fields = r.fields[:0]
	for _, end := range r.ends {
		r.fields = append(r.fields, text[begin:end])
		begin = end
	}
	return r.fields
}

func (r *Records) isBlank(line []byte) bool {
	for _, c := range line {
		if c != r.comma && c != ' ' {
			return false
		}
	}
	return true
}
