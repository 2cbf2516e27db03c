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

var errListTooLarge = errors.New("the list, or a row of it, is too large")

// decodeList reads the answer to GET /users, {"data":[{"username":…},…]}, row by row. The vendor's page has no paging.
func decodeList(body io.Reader, visit func(username string)) error {
	limited := &rowReader{reader: body, total: maxListBody, row: maxListRow}
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
	if !listed {
		return errors.New("the answer has no data")
	}
	return expect(decoder, json.Delim('}'))
}

func expect(decoder *json.Decoder, want json.Delim) error {
	token, err := decoder.Token()
	if err != nil {
		return fmt.Errorf("reading %s: %w", want, err)
	}
	if token != want {
		return fmt.Errorf("%s is missing", want)
	}
	return nil
}

// rowReader ends with an error when total bytes were read, or row bytes since row was last set.
type rowReader struct {
	reader     io.Reader
	total, row int
}

func (r *rowReader) Read(p []byte) (int, error) {
	if r.total <= 0 || r.row <= 0 {
		return 0, errListTooLarge
	}
	n, err := r.reader.Read(p[:min(len(p), r.total, r.row)])
	r.total -= n
	r.row -= n
	return n, err //nolint:wrapcheck // io.EOF must stay io.EOF
}
