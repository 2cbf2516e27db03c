// SPDX-License-Identifier: Apache-2.0

package alloy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"unicode/utf8"
)

const (
	// maxBatchBody bounds every answer to POST /users/batch, whatever its status: a 400 may repeat the users as well. 1000 users
	// of 256 characters, each escaped to six bytes, with as long full names, take 3.1 MB.
	maxBatchBody = 4 << 20
	// maxUserBody bounds every other answer that is read whole.
	maxUserBody = 64 << 10
)

const unreadable = "the answer could not be read"

// body is what was read of an answer's body.
type body struct {
	text []byte
	long bool // it is longer than the limit, and text is its beginning
	cut  bool // it broke off, and text is its beginning
	slow bool // it broke off because it took too long
}

// readBody reads at most limit bytes of an answer's body.
func readBody(response *http.Response, limit int) body {
	if response.StatusCode < http.StatusOK { // a switch of protocols: its body is the connection, which has no deadline
		return body{}
	}
	return readText(response.Body, limit)
}

func readText(reader io.Reader, limit int) body {
	text, err := io.ReadAll(io.LimitReader(reader, int64(limit)+1))
	switch {
	case err != nil:
		return body{text: text, cut: true, slow: isTimeout(err)}
	case len(text) > limit:
		return body{text: text, long: true}
	default:
		// A body that ends with its connection looks whole when it is not.
		return body{text: text, cut: isBeginning(text)}
	}
}

// isBeginning reports whether a text is JSON that lacks its end.
func isBeginning(text []byte) bool {
	if len(bytes.TrimSpace(text)) == 0 || json.Valid(text) {
		return false
	}
	var value json.RawMessage
	return errors.Is(json.NewDecoder(bytes.NewReader(text)).Decode(&value), io.ErrUnexpectedEOF)
}

// decode reads the body as a JSON object, and reports whether it is one.
func (b body) decode(into any) bool {
	return !b.long && !b.cut && firstByte(b.text) == '{' && utf8.Valid(b.text) && json.Unmarshal(b.text, into) == nil
}

// isEmpty reports whether the answer has no body at all.
func (b body) isEmpty() bool { return len(b.text) == 0 && !b.cut }

// message says what the body of a failure says, or why it says nothing.
func (b body) message(status int) string {
	switch {
	case b.slow:
		return unreadable + ", because it took too long"
	case b.cut:
		return unreadable + ", because it was cut off"
	case b.long:
		return unreadable + ", because it is too long"
	}
	text := errorText(b.text)
	if status/100 == 2 && (firstByte(b.text) != '{' || text == "" || sameMessage(text, messageSuccess)) {
		return unreadable // a page with words of its own, or a success of an unknown shape
	}
	return text
}

// firstByte returns the first byte of a JSON value, or 0.
func firstByte(text []byte) byte {
	if text = bytes.TrimLeft(text, " \t\r\n"); len(text) > 0 {
		return text[0]
	}
	return 0
}
