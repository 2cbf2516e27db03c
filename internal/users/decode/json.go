// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// readJSON reads an array row by row.
func readJSON(text *bufio.Reader, out *rows) error {
	limited := newRowReader(text)
	decoder := json.NewDecoder(limited)
	if start, err := decoder.Token(); err != nil {
		return unreadableJSON(err, decoder)
	} else if start != json.Delim('[') {
		return listError("the JSON is not an array; write one array of objects, or choose the format NDJSON for one object per line")
	}
	var row json.RawMessage
	for decoder.More() {
		if err := decoder.Decode(&row); err != nil {
			return unreadableJSON(err, decoder)
		}
		limited.next(decoder.InputOffset())
		if err := out.addObject(0, row); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return unreadableJSON(err, decoder)
	}
	_, err := decoder.Token()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		return listError(fmt.Sprintf("the JSON continues after its array, at byte %d; write one array", decoder.InputOffset()))
	default:
		return unreadableJSON(err, decoder)
	}
}

// unreadableJSON translates an error of the decoder.
func unreadableJSON(err error, decoder *json.Decoder) error {
	var list listError
	switch {
	case errors.Is(err, errRowTooLarge):
		return listError(fmt.Sprintf("the row after byte %d of the JSON has more than 64 KiB; shorten it", decoder.InputOffset()))
	case errors.As(err, &list):
		return list
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return listError("the JSON ends before its array does; complete it")
	default:
		return listError(fmt.Sprintf("the JSON has a syntax error after byte %d; check the commas, quotes and brackets there",
			decoder.InputOffset()))
	}
}

// readNDJSON reads one object per line.
func readNDJSON(text *bufio.Reader, out *rows) error {
	for number := 1; ; number++ {
		line, readErr := readLine(text)
		if readErr != nil && !errors.Is(readErr, io.EOF) && !errors.Is(readErr, errRowTooLarge) {
			return readErr
		}
		var err error
		switch line = bytes.Trim(trimBOM(line), " \t"); {
		case errors.Is(readErr, errRowTooLarge):
			err = out.bad(number, "more than 64 KiB; shorten it")
		case len(line) == 0:
		case !json.Valid(line):
			err = out.bad(number, "not one JSON object; write one per line, without a comma after it")
		default:
			err = out.addObject(number, line)
		}
		if err != nil {
			return err
		}
		if errors.Is(readErr, io.EOF) {
			return nil
		}
	}
}
