// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

const (
	fieldUsername = "username"
	fieldFullName = "fullName"

	problemUnknown = "an unknown field; only username and fullName are allowed"
)

// addObject passes on a row of JSON, which is syntactically valid.
func (r *rows) addObject(line int, value []byte) error {
	r.isList = r.isList || hasField(value)
	user, problem := parseObject(value)
	if problem != "" {
		return r.bad(line, problem)
	}
	return r.add(line, user)
}

// hasField reports whether a value is an object with a field of a user.
func hasField(value []byte) bool {
	var fields map[string]json.RawMessage
	mayHave := bytes.Contains(value, []byte(fieldUsername)) || bytes.Contains(value, []byte(fieldFullName)) ||
		bytes.IndexByte(value, '\\') >= 0
	if !mayHave || json.Unmarshal(value, &fields) != nil { // which takes long for millions of rows
		return false
	}
	_, hasUsername := fields[fieldUsername]
	_, hasFullName := fields[fieldFullName]
	return hasUsername || hasFullName
}

// parseObject returns the user in a syntactically valid value, or what is wrong with it. It does not use reflection, because
// encoding/json accepts names in any case, repeated names, and invalid UTF-8.
func parseObject(value []byte) (user users.User, problem string) {
	rest := skipSpace(value)
	if rest[0] != '{' {
		return users.User{}, "not an object; write {\"username\": …, \"fullName\": …}"
	}
	var met fields
	for rest = skipSpace(rest[1:]); rest[0] == '"'; {
		var name, text []byte
		name, rest = cutString(rest)
		field, problem := met.field(&user, unescape(name))
		if problem != "" {
			return users.User{}, problem
		}
		rest = skipSpace(skipSpace(rest)[1:]) // the colon
		switch rest[0] {
		case '"':
			text, rest = cutString(rest)
			*field = string(unescape(text))
		case 'n':
			rest = rest[len("null"):]
		default:
			return users.User{}, "a field is not a string; put its value in double quotes"
		}
		if rest = skipSpace(rest); rest[0] == ',' {
			rest = skipSpace(rest[1:])
		}
	}
	return user, ""
}

// fields records which fields a row has.
type fields struct {
	username, fullName bool
}

// field returns the field of a user with the given name.
func (f *fields) field(user *users.User, name []byte) (field *string, problem string) {
	var before *bool
	switch string(name) {
	case fieldUsername:
		field, before = &user.Username, &f.username
	case fieldFullName:
		field, before = &user.FullName, &f.fullName
	default:
		return nil, problemUnknown
	}
	if *before {
		return nil, "a field is repeated; delete one of them"
	}
	*before = true
	return field, ""
}

func skipSpace(text []byte) []byte {
	for len(text) > 0 && (text[0] == ' ' || text[0] == '\t' || text[0] == '\r' || text[0] == '\n') {
		text = text[1:]
	}
	return text
}

// cutString returns the content of the quoted string at the start of a text, and the rest of the text.
func cutString(text []byte) (content, rest []byte) {
	for i := 1; ; i++ {
		switch text[i] {
		case '"':
			return text[1:i], text[i+1:]
		case '\\':
			i++
		}
	}
}

// unescape resolves the escapes in the content of a string. It turns half a surrogate pair into invalid UTF-8, so that the user
// is invalid; encoding/json would replace it and so create a user with another name.
func unescape(content []byte) []byte {
	i := bytes.IndexByte(content, '\\')
	if i < 0 {
		return content
	}
	text := append(make([]byte, 0, len(content)), content[:i]...)
	for ; i < len(content); i++ {
		if content[i] != '\\' {
			text = append(text, content[i])
			continue
		}
		i++
		switch c := content[i]; c {
		case 'b':
			text = append(text, '\b')
		case 'f':
			text = append(text, '\f')
		case 'n':
			text = append(text, '\n')
		case 'r':
			text = append(text, '\r')
		case 't':
			text = append(text, '\t')
		case 'u':
			r := codeUnit(content[i+1:])
			i += 4
			if pair := utf16.DecodeRune(r, escapedUnit(content[i+1:])); pair != utf8.RuneError {
				text = utf8.AppendRune(text, pair)
				i += len(`\u0000`)
			} else if utf16.IsSurrogate(r) {
				text = append(text, 0xff)
			} else {
				text = utf8.AppendRune(text, r)
			}
		default: // a quote, a backslash or a slash
			text = append(text, c)
		}
	}
	return text
}

// escapedUnit returns the UTF-16 code unit of the escape at the start of a text, or 0 if there is none.
func escapedUnit(text []byte) rune {
	if !bytes.HasPrefix(text, []byte(`\u`)) {
		return 0
	}
	return codeUnit(text[2:])
}

// codeUnit returns the UTF-16 code unit given by the four hexadecimal digits at the start of a text.
func codeUnit(text []byte) rune {
	unit, err := strconv.ParseUint(string(text[:4]), 16, 16)
	if err != nil { // impossible in valid syntax
		return utf8.RuneError
	}
	return rune(unit)
}
