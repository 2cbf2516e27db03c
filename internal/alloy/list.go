// SPDX-License-Identifier: Apache-2.0

package alloy

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// MaxListed is the most users in a list; a longer one is not read to its end. Whoever keeps a list may rely on it.
	MaxListed = 2_000_000
	// maxListBody bounds a list of users: two million of 250 bytes.
	maxListBody = 512 << 20
	// maxListRow bounds one row of it, and so what is held in memory.
	maxListRow = 1 << 20
	// listBuffer is how much of a list is read at once.
	listBuffer = 64 << 10
)

// Why a list was not read to its end.
var (
	errListTooLarge = errors.New("the list, or a row of it, is too large")
	errListShape    = errors.New("this is no list of users")
	errListCut      = errors.New("the list was cut off")
	errListSlow     = errors.New("the list took too long")
)

// classifyList says what it means that a list was read to its end, or not. A list that is too long or of another shape will be
// so again, but users may be found one by one; one that broke off may be read later.
func classifyList(status int, err error) Answer {
	answer := Answer{Outcome: Unavailable, StatusCode: status, Incomplete: true}
	switch {
	case err == nil:
		return Answer{Outcome: Listed, StatusCode: status}
	case errors.Is(err, errListTooLarge):
		return Answer{Outcome: Inconclusive, StatusCode: status, Message: "the list of users is too long to be read"}
	case errors.Is(err, errListShape):
		return Answer{Outcome: Inconclusive, StatusCode: status, Message: "the answer is not a list of users as the API documents it"}
	case errors.Is(err, errListSlow):
		answer.Message = "the list of users could not be read to its end, because it took too long"
	default:
		answer.Message = "the list of users could not be read to its end, because it was cut off"
	}
	return answer
}

// decodeList reads the answer to GET /users, {"data":[{"username":…},…]}, row by row. The vendor's page has no paging. Its error
// is errListTooLarge, errListShape, errListCut or errListSlow.
func decodeList(body io.Reader, visit func(ListedUser)) error {
	return decodeLimited(&rowReader{reader: body, rows: MaxListed, total: maxListBody, row: maxListRow}, visit)
}

func decodeLimited(limited *rowReader, visit func(ListedUser)) error {
	err := decodeRows(limited, visit)
	switch {
	case err == nil, errors.Is(err, errListTooLarge), errors.Is(err, errListShape):
		return err
	case limited.err != nil && isTimeout(limited.err):
		return errListSlow
	case limited.err != nil, errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF) && limited.started:
		return errListCut
	default: // an empty body, broken JSON, or JSON of other types
		return errListShape
	}
}

func decodeRows(limited *rowReader, visit func(ListedUser)) error {
	decoder := json.NewDecoder(limited)
	if err := expect(decoder, json.Delim('{')); err != nil {
		return err
	}
	isListed := false
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return fmt.Errorf("reading a field's name: %w", err)
		}
		if name != "data" {
			var skipped json.RawMessage
			if err := decoder.Decode(&skipped); err != nil {
				return fmt.Errorf("skipping a field: %w", err)
			}
			continue
		}
		isListed = true
		if err := expect(decoder, json.Delim('[')); err != nil {
			return err
		}
		reader := bufio.NewReaderSize(io.MultiReader(decoder.Buffered(), limited), listBuffer)
		if err := decodeUsers(reader, limited, visit); err != nil {
			return err
		}
		// What follows the users is decoded as the rest of an object.
		decoder = json.NewDecoder(io.MultiReader(strings.NewReader(`{"users":0`), reader))
		for range 3 {
			if _, err := decoder.Token(); err != nil {
				return fmt.Errorf("reading on after the users: %w", err)
			}
		}
	}
	if err := expect(decoder, json.Delim('}')); err != nil {
		return err
	}
	if !isListed {
		return errListShape
	}
	return nil
}

// decodeUsers decodes the users of a list up to the bracket at its end.
func decodeUsers(reader *bufio.Reader, limited *rowReader, visit func(ListedUser)) error {
	next, err := nextByte(reader)
	if err != nil || next == ']' {
		return err
	}
	var buffer []byte
	for {
		if next != '{' {
			return errListShape
		}
		if limited.rows--; limited.rows < 0 {
			return errListTooLarge
		}
		limited.row = maxListRow
		user, ok, err := readRow(reader, &buffer)
		if err != nil {
			return err
		}
		if ok {
			visit(user)
		}
		if next, err = nextByte(reader); err != nil || next == ']' {
			return err
		}
		if next != ',' {
			return errListShape
		}
		if next, err = nextByte(reader); err != nil {
			return err
		}
	}
}

func expect(decoder *json.Decoder, want json.Delim) error {
	token, err := decoder.Token()
	if err != nil {
		return fmt.Errorf("reading %s: %w", want, err)
	}
	if token != want {
		return errListShape
	}
	return nil
}

// rowReader ends with an error when total bytes were read, or row bytes since row was last set.
type rowReader struct {
	reader     io.Reader
	rows       int // that may follow
	total, row int
	started    bool  // something was read
	err        error // reading failed
}

func (r *rowReader) Read(p []byte) (int, error) {
	if r.total <= 0 || r.row <= 0 {
		return 0, errListTooLarge
	}
	n, err := r.reader.Read(p[:min(len(p), r.total, r.row)])
	r.total -= n
	r.row -= n
	r.started = r.started || n > 0
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err //nolint:wrapcheck // io.EOF must stay io.EOF
}
