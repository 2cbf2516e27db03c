// SPDX-License-Identifier: Apache-2.0

package alloy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	// maxListBody bounds a list of users: a million of 250 bytes.
	maxListBody = 256 << 20
	// maxListRow bounds one row of it, and so what is held in memory.
	maxListRow = 1 << 20
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
func decodeList(body io.Reader, visit func(username string)) error {
	limited := &rowReader{reader: body, total: maxListBody, row: maxListRow}
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

func decodeRows(limited *rowReader, visit func(username string)) error {
	decoder := json.NewDecoder(limited)
	if err := expect(decoder, json.Delim('{')); err != nil {
		return err
	}
	listed := false
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
		listed = true
		if err := expect(decoder, json.Delim('[')); err != nil {
			return err
		}
		for decoder.More() {
			var row struct {
				Username *string `json:"username"`
			}
			if err := decoder.Decode(&row); err != nil {
				return fmt.Errorf("reading a user: %w", err)
			}
			limited.row = maxListRow
			if row.Username != nil {
				visit(*row.Username)
			}
		}
		if err := expect(decoder, json.Delim(']')); err != nil {
			return err
		}
	}
	if err := expect(decoder, json.Delim('}')); err != nil {
		return err
	}
	if !listed {
		return errListShape
	}
	return nil
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
