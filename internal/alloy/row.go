// SPDX-License-Identifier: Apache-2.0

package alloy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ListedUser is a user as the list of all users shows it.
type ListedUser struct {
	UserID   string // empty if the list does not say
	Username string
	FullName string // empty if the list does not say
}

// lenient is a string in JSON. A value of another type is empty: nobody may rely on it, and it must not spoil a list.
type lenient string

// UnmarshalJSON takes any value.
func (l *lenient) UnmarshalJSON(text []byte) error {
	var value string
	if firstByte(text) == '"' {
		if err := json.Unmarshal(text, &value); err != nil {
			return fmt.Errorf("reading a string: %w", err)
		}
	}
	*l = lenient(value)
	return nil
}

// decodeRow decodes a row of a list. It is not ok if the row has no username.
func decodeRow(text []byte) (user ListedUser, ok bool, err error) {
	var row struct {
		UserID   lenient `json:"userId"`
		Username *string `json:"username"`
		FullName lenient `json:"fullName"`
	}
	if err := json.Unmarshal(text, &row); err != nil {
		return ListedUser{}, false, fmt.Errorf("reading a user: %w", err)
	}
	if row.Username == nil {
		return ListedUser{}, false, nil
	}
	return ListedUser{string(row.UserID), *row.Username, string(row.FullName)}, true, nil
}

// decodePlainRow decodes an object, without its first brace, whose values are strings without escapes. Any other object is not
// plain. Most rows are, and encoding/json takes several times as long, which matters for a million of them.
func decodePlainRow(text []byte) (user ListedUser, ok, isPlain bool) {
	rest, found := text, true
	for found {
		var name, value []byte
		if name, rest, found = cutPlainString(trimSpace(rest)); !found {
			break
		}
		if rest, found = bytes.CutPrefix(trimSpace(rest), []byte(":")); !found {
			break
		}
		if value, rest, found = cutPlainString(trimSpace(rest)); !found {
			break
		}
		switch field := string(name); {
		case field == "userId":
			user.UserID = string(value)
		case field == "username":
			user.Username, ok = string(value), true
		case field == "fullName":
			user.FullName = string(value)
		case strings.EqualFold(field, "userId"), strings.EqualFold(field, "username"), strings.EqualFold(field, "fullName"):
			return ListedUser{}, false, false // encoding/json takes them too
		}
		if rest = trimSpace(rest); string(rest) == "}" {
			return user, ok, true
		}
		rest, found = bytes.CutPrefix(rest, []byte(","))
	}
	return ListedUser{}, false, false
}

// cutPlainString cuts a string without escapes from the beginning of a text.
func cutPlainString(text []byte) (value, rest []byte, found bool) {
	if len(text) == 0 || text[0] != '"' {
		return nil, nil, false
	}
	isASCII := true
	for k, c := range text[1:] {
		switch {
		case c == '"':
			value = text[1 : 1+k]
			return value, text[k+2:], isASCII || utf8.Valid(value)
		case c == '\\', c < ' ':
			return nil, nil, false
		case c >= utf8.RuneSelf:
			isASCII = false
		}
	}
	return nil, nil, false
}

func trimSpace(text []byte) []byte {
	for len(text) > 0 && isSpace(text[0]) {
		text = text[1:]
	}
	return text
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// nextByte reads the next byte that is no space.
func nextByte(reader *bufio.Reader) (byte, error) {
	for {
		if c, err := reader.ReadByte(); err != nil || !isSpace(c) {
			return c, err //nolint:wrapcheck // io.EOF must stay io.EOF
		}
	}
}

// readRow reads the rest of a row, whose first brace was read, and decodes it. The buffer is for rows that are not plain.
func readRow(reader *bufio.Reader, buffer *[]byte) (user ListedUser, ok bool, err error) {
	part, err := reader.ReadSlice('}')
	if user, ok, isPlain := decodePlainRow(part); isPlain {
		return user, ok, nil
	}
	*buffer = append((*buffer)[:0], '{')
	depth, inString, isEscaped := 1, false, false
	for {
		for _, c := range part {
			switch {
			case isEscaped:
				isEscaped = false
			case inString:
				isEscaped, inString = c == '\\', c != '"'
			case c == '"':
				inString = true
			case c == '{':
				depth++
			case c == '}':
				depth--
			}
		}
		*buffer = append(*buffer, part...)
		switch {
		case len(*buffer) > maxListRow:
			return ListedUser{}, false, errListTooLarge
		case err != nil && err != bufio.ErrBufferFull: //nolint:errorlint // it is never wrapped
			return ListedUser{}, false, err //nolint:wrapcheck // io.EOF must stay io.EOF
		case depth == 0:
			return decodeRow(*buffer)
		}
		part, err = reader.ReadSlice('}')
	}
}
