package decode

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

func readCSV(text *bufio.Reader, out *rows) error {
	separators := wrongSeparators(text)
	limited := newRowReader(text)
	reader := csv.NewReader(limited)
	reader.ReuseRecord = true // reuses the slice only; the strings stay valid

	header, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return listError("the CSV is empty; begin it with a header: username,fullName")
	}
	var place columns
	if err == nil {
		place, err = columnsOf(header)
	}
	switch {
	case err == nil:
	case separators:
		return listError("the columns of the CSV are not separated by commas; save it with commas")
	default:
		return unreadableCSV(err, 0)
	}

	line := 1
	var wrong *csv.ParseError // declared outside the loop to save an allocation per row
	for {
		limited.next(reader.InputOffset())
		record, err := reader.Read()
		switch {
		case err == nil:
			line, _ = reader.FieldPos(0)
			err = out.add(line, place.user(record))
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, csv.ErrFieldCount) && errors.As(err, &wrong):
			line = wrong.StartLine
			err = out.bad(line, fmt.Sprintf("%d fields instead of %d; put text that contains a comma in double quotes", len(record), len(header)))
		case errors.Is(err, csv.ErrBareQuote) && errors.As(err, &wrong):
			line = wrong.StartLine
			err = out.bad(line, "a double quote in an unquoted field; put the field in double quotes, and double those inside")
		default:
			return unreadableCSV(err, line)
		}
		if err != nil {
			return err
		}
	}
}

// unreadableCSV translates an error of the parser. line is the line of the last row that was read, 0 if it is the header.
func unreadableCSV(err error, line int) error {
	var list listError
	var wrong *csv.ParseError
	switch {
	case errors.Is(err, errRowTooLarge) && line == 0:
		return listError("the header of the CSV has more than 64 KiB; begin it with a line: username,fullName")
	case errors.Is(err, errRowTooLarge):
		return listError(fmt.Sprintf("the row after the one in line %d has more than 64 KiB; close its double quotes", line))
	case errors.As(err, &list):
		return list
	case errors.As(err, &wrong):
		return listError(at(wrong.StartLine, "a double quote is never closed, or ends within its field; double those inside a field"))
	default:
		return listError(fmt.Sprintf("the CSV cannot be read after line %d; save it again", line))
	}
}

// wrongSeparators reports whether the header seems to use separators other than commas.
func wrongSeparators(text *bufio.Reader) bool {
	head, _ := text.Peek(1024) // the next read returns the error again
	header, _, _ := bytes.Cut(bytes.TrimLeft(head, "\r\n"), []byte("\n"))
	return bytes.ContainsAny(header, ";\t") && !bytes.Contains(header, []byte(","))
}

// columns are the indexes of a user's fields in a record.
type columns struct {
	username int
	fullName int // -1 if there is none
}

func (c columns) user(record []string) users.User {
	user := users.User{Username: record[c.username]}
	if c.fullName >= 0 {
		user.FullName = record[c.fullName]
	}
	return user
}

func columnsOf(header []string) (columns, error) {
	found := columns{username: -1, fullName: -1}
	for i, name := range header {
		name = strings.TrimSpace(name)
		column := &found.fullName
		switch {
		case strings.EqualFold(name, fieldUsername):
			column = &found.username
		case !strings.EqualFold(name, fieldFullName):
			return found, listError(fmt.Sprintf("column %d of the CSV's header is neither username nor fullName; "+
				"the first line must name the columns, and no others are allowed", i+1))
		}
		if *column >= 0 {
			return found, listError(fmt.Sprintf("column %d of the CSV's header repeats column %d; delete one of them", i+1, *column+1))
		}
		*column = i
	}
	if found.username < 0 {
		return found, listError(fmt.Sprintf("the CSV's header has no username, only fullName in column %d; add a column username", found.fullName+1))
	}
	return found, nil
}
