// SPDX-License-Identifier: Apache-2.0

package lists

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

// readJSON turns the elements of an array into lines.
func (l *List) readJSON(ctx context.Context, about *About, visit func(Row) error) error {
	text, file, err := l.text(about.Encoding)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // only read
	lines := &lineCounter{text: text}
	decoder := json.NewDecoder(lines)
	start, err := decoder.Token()
	bad := func() error {
		return l.unreadable(ctx, about, fmt.Sprintf("the JSON has a syntax error after line %d, or a row of more than 64 KiB; check the commas, "+
			"quotes and brackets there", lines.at(decoder.InputOffset())))
	}
	if err != nil || start != json.Delim('[') {
		return bad()
	}
	var value json.RawMessage
	var row bytes.Buffer
	shape := shape{isEmpty: true}
	for decoder.More() {
		if err := decoder.Decode(&value); err != nil || len(value) > decode.MaxRowBytes {
			return bad()
		}
		row.Reset()
		if err := json.Compact(&row, value); err != nil {
			return fmt.Errorf("shortening a row: %w", err) // never happens, because it is valid
		}
		row.WriteByte('\n')
		shape.add(ctx, row.Bytes())
		line := lines.at(decoder.InputOffset()) - bytes.Count(value, []byte("\n"))
		place := Place(line) //nolint:gosec // no list is so long
		if err := visit(Row{Form: NDJSON, Text: row.Bytes(), Place: place}); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err() //nolint:wrapcheck // somebody pressed Ctrl+C
		}
	}
	if _, err := decoder.Token(); err != nil {
		return bad()
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) || !shape.isList && !shape.isEmpty {
		return bad()
	}
	return nil
}

// unreadable returns what the operator says of a list that it cannot read. Of one that is too long for the operator, which would only say
// that, it returns what is found here.
func (l *List) unreadable(ctx context.Context, about *About, found string) error {
	whole, err := l.whole(about, decode.MaxBytes)
	if err == nil && len(whole) <= decode.MaxBytes {
		_, err = decode.Rows(ctx, whole, about.Format, limits, func(decode.Row) error { return nil })
	}
	if err == nil {
		err = errors.New(found)
	}
	return err
}

// whole returns a text in UTF-8, of at most one byte more than most.
func (l *List) whole(about *About, most int64) ([]byte, error) {
	text, file, err := l.text(about.Encoding)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // only read
	whole, err := io.ReadAll(io.LimitReader(text, most+1))
	if err != nil {
		return nil, fmt.Errorf("reading the list: %w", err)
	}
	return whole, nil
}

// lineCounter remembers where the lines begin that a decoder has read ahead.
type lineCounter struct {
	text  io.Reader
	read  int64
	line  int     // of the last offset
	ahead []int64 // where lines after that begin
}

func (c *lineCounter) Read(p []byte) (int, error) {
	n, err := c.text.Read(p)
	for i, b := range p[:n] {
		if b == '\n' {
			c.ahead = append(c.ahead, c.read+int64(i)+1)
		}
	}
	c.read += int64(n)
	return n, err //nolint:wrapcheck // io.EOF must stay io.EOF
}

// at returns the line of an offset, from 1. Offsets must not decrease.
func (c *lineCounter) at(offset int64) int {
	n := 0
	for n < len(c.ahead) && c.ahead[n] <= offset {
		n++
	}
	c.line += n
	c.ahead = c.ahead[n:]
	return c.line + 1
}

// shape tells a list from a text that is none, such as the error page of a proxy, by the rule of the operator: a row has a field of a user.
type shape struct{ isEmpty, isList bool }

// add adds a line of JSON.
func (s *shape) add(ctx context.Context, line []byte) {
	s.isEmpty = false
	if !s.isList {
		_, err := decode.Rows(ctx, line, decode.NDJSON, limits, func(decode.Row) error { return nil })
		s.isList = err == nil
	}
}

// readNDJSON reads one object per line.
func (l *List) readNDJSON(ctx context.Context, about *About, visit func(Row) error) error {
	text, file, err := l.text(about.Encoding)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // only read
	shape := shape{isEmpty: true}
	for number := 1; ; number++ {
		line, err := readLine(text)
		if line = bytes.Trim(trimBOM(line), " \t"); len(line) > 0 {
			line = append(line, '\n')
			shape.add(ctx, line)
			if err := visit(Row{Form: NDJSON, Text: line, Place: Place(number)}); err != nil {
				return err
			}
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err() //nolint:wrapcheck // somebody pressed Ctrl+C
		case errors.Is(err, io.EOF) && !shape.isList:
			return l.unreadable(ctx, about, "no row has a username or a fullName; check the list and its format")
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// readLine returns the next line without its line break. Of a line that is too long for the operator it returns as much as shows that.
func readLine(text *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := text.ReadSlice('\n')
		if len(line) <= decode.MaxRowBytes {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			line = bytes.TrimSuffix(line, []byte("\n"))
			if len(line) > decode.MaxRowBytes {
				line = bytes.Repeat([]byte("x"), decode.MaxRowBytes+1)
			}
			return line, err //nolint:wrapcheck // io.EOF must stay io.EOF
		}
	}
}

// readYAML turns a sequence into lines of JSON if every row of it is valid. If one is not, the whole list stays YAML, so that the operator
// says the same of that row.
func (l *List) readYAML(ctx context.Context, about *About, visit func(Row) error) error {
	whole, err := l.whole(about, decode.MaxYAMLBytes)
	if err != nil {
		return err
	}
	var valid []users.User
	isValid := true
	_, err = decode.Rows(ctx, whole, decode.YAML, limits, func(row decode.Row) error {
		valid, isValid = append(valid, row.User), isValid && row.Problem == ""
		return nil
	})
	switch {
	case err != nil:
		return err //nolint:wrapcheck // says what is wrong with the list
	case !isValid:
		return visit(Row{Form: WholeYAML, Text: whole})
	}
	var row bytes.Buffer
	encoder := json.NewEncoder(&row)
	encoder.SetEscapeHTML(false)
	for i, user := range valid {
		row.Reset()
		if err := encoder.Encode(jsonUser(user)); err != nil {
			return fmt.Errorf("writing a row: %w", err) // never happens, because its texts are UTF-8
		}
		if err := visit(Row{Form: NDJSON, Text: row.Bytes(), Place: Place(-i - 1)}); err != nil {
			return err
		}
	}
	return nil
}

// jsonUser is a user as the operator reads it.
type jsonUser struct {
	Username string `json:"username"`
	FullName string `json:"fullName,omitempty"`
}
