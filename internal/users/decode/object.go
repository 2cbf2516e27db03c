package decode

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

const (
	fieldUsername = "username"
	fieldFullName = "fullName"

	problemUnknown = "an unknown field; only username and fullName may be there"
)

// object is a row of JSON. It is read by hand and not by reflection, which would take names in any case, the last of two
// values, and bytes that are no text for text.
type object struct {
	user    users.User
	problem string
}

// UnmarshalJSON fills in either the user or the problem, and returns no error.
func (o *object) UnmarshalJSON(value []byte) error {
	o.user, o.problem = parseObject(value)
	return nil
}

// parseObject returns the user in a value whose syntax is known to be good, or what is wrong with it.
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
			return users.User{}, "a field is no string; put its value in double quotes"
		}
		if rest = skipSpace(rest); rest[0] == ',' {
			rest = skipSpace(rest[1:])
		}
	}
	return user, ""
}

// fields are those that were met in a row.
type fields struct {
	username, fullName bool
}

// field returns the field of a user that has a name.
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
		return nil, "a field is there twice; delete one of them"
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

// cutString returns what is in the quotes at the start of a text, and the text behind them.
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

// unescape resolves the escapes in the content of a string. One half of a surrogate pair becomes a byte that is no UTF-8,
// so that the user is judged to be wrong; encoding/json would create a user with another name.
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

// escapedUnit returns the UTF-16 code unit of the escape with which a text begins, and 0 if there is none.
func escapedUnit(text []byte) rune {
	if !bytes.HasPrefix(text, []byte(`\u`)) {
		return 0
	}
	return codeUnit(text[2:])
}

// codeUnit returns the UTF-16 code unit that the four hexadecimal digits at the start of a text stand for.
func codeUnit(text []byte) rune {
	unit, err := strconv.ParseUint(string(text[:4]), 16, 16)
	if err != nil { // the syntax is known to be good
		return utf8.RuneError
	}
	return rune(unit)
}
