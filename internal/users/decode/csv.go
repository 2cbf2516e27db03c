// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

func readCSV(text *bufio.Reader, out *rows) error {
	separators := wrongSeparators(text)
	reader := &Records{text: text, comma: ','}
	header, err := reader.Header()
	var place columns
	if err == nil {
		place, err = columnsOf(header)
	}
	switch {
	case err == nil:
	case separators:
		return listError("the columns of the CSV are not separated by commas; save it with commas")
	default:
		return err
	}
	out.isList = true // the header says so
	width, stray := len(header), QuoteError("")
	for {
		record, line, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &stray):
			err = out.bad(line, string(stray))
		case err != nil:
			return err
		case len(record) != width:
			err = out.bad(line, fmt.Sprintf("%d fields instead of %d; put text that contains a comma in double quotes", len(record), width))
		default:
			err = place.add(line, record, out)
		}
		if err != nil {
			return err
		}
	}
}

// wrongSeparators reports whether the header seems to use separators other than commas.
func wrongSeparators(text *bufio.Reader) bool {
	head, _ := text.Peek(1024) // the next read returns the error again
	header, _, _ := bytes.Cut(bytes.TrimLeft(head, "\n"), []byte("\n"))
	return bytes.ContainsAny(header, ";\t") && !bytes.Contains(header, []byte(","))
}

// columns are the indexes of a user's fields in a record.
type columns struct {
	username int
	fullName int // -1 if there is none
}

// add passes on the user in a record, unless it shows that another file was appended to the list.
func (c columns) add(line int, record []string, out *rows) error {
	user := users.User{Username: record[c.username]}
	if c.fullName >= 0 {
		user.FullName = record[c.fullName]
	}
	switch again, isHeader := c.again(record); {
	case isHeader && again != c:
		return listError(at(line, "another header, with the columns in another order; name the lists one by one in usersFrom"))
	case isHeader:
		return out.bad(line, "the header again; delete this line, or name the lists one by one in usersFrom")
	case c.fullName < 0 && strings.Contains(user.Username, bom): // with two columns such a row has too many fields
		return out.bad(line, "username contains a byte order mark; remove it, and begin a new line where lists were joined")
	default:
		return out.add(line, user)
	}
}

// again returns the columns that a record names, if it is a header.
func (c columns) again(record []string) (columns, bool) {
	if first := record[c.username]; !strings.EqualFold(first, fieldUsername) && !strings.EqualFold(first, fieldFullName) {
		return columns{}, false // as nearly every record; the rest takes longer
	}
	found, err := columnsOf(record)
	return found, err == nil
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
		return found, listError(fmt.Sprintf(
			"the CSV's header has no username, only fullName in column %d; add a column username", found.fullName+1))
	}
	return found, nil
}
