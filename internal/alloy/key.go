// SPDX-License-Identifier: Apache-2.0

package alloy

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"unicode"
	"unique"
)

// Why a value cannot be an API key, and the cure. The texts continue a sentence that names the value, and hold no part of it.
var (
	ErrKeyEmpty   = errors.New("is empty; put the API key there as Alloy shows it under Settings, API Keys")
	ErrKeyControl = errors.New("has a control character, such as a line break, inside; put the API key there alone, on one line")
	ErrKeyQuoted  = errors.New("is in quotation marks; put the API key there without them")
	ErrKeyEncoded = errors.New("is encoded in base64 once too often, together with a line break; " +
		"put the API key itself under stringData, or encode it once")
)

const (
	redacted = "[redacted]"
	bearer   = "Bearer"
	// byteOrderMark is what some editors write at the beginning of a file.
	byteOrderMark = '\ufeff'
)

// Key is an API key. It prints as a placeholder, so that no log line or error text can hold it by accident; not even as an
// unexported field, where fmt calls no methods but shows what it finds: the handle holds a pointer. Equal keys are equal by ==,
// too. The zero Key is empty.
type Key struct{ value unique.Handle[string] }

// ParseKey reads a key as people store it. White space and a byte order mark around it are dropped, such as the line break that
// `echo` adds, and so is one "Bearer " before it. It returns ErrKeyEmpty, ErrKeyControl, ErrKeyQuoted or ErrKeyEncoded for a value
// that cannot be a key. The vendor publishes no form for keys of this API, so nothing else is checked.
func ParseKey(data []byte) (Key, error) {
	value := trimKey(string(data))
	if strings.EqualFold(value, bearer) {
		value = ""
	}
	if prefix := len(bearer) + 1; len(value) > prefix && strings.EqualFold(value[:prefix], bearer+" ") {
		value = trimKey(value[prefix:])
	}
	switch {
	case value == "":
		return Key{}, ErrKeyEmpty
	case strings.ContainsFunc(value, unicode.IsControl):
		return Key{}, ErrKeyControl
	case isBetween(value, `"`), isBetween(value, "'"):
		return Key{}, ErrKeyQuoted
	case isEncodedLine(value):
		return Key{}, ErrKeyEncoded
	}
	return Key{value: unique.Make(value)}, nil
}

func trimKey(value string) string {
	return strings.TrimFunc(value, func(r rune) bool { return unicode.IsSpace(r) || r == byteOrderMark })
}

func isBetween(value, mark string) bool {
	return strings.HasPrefix(value, mark) && strings.HasSuffix(value, mark)
}

// isEncodedLine reports whether a value is base64 of a line of printable ASCII with its line break, as `echo key | base64`
// makes it of a key that is then encoded again as a Secret's data. A key that merely looks like base64 is none.
func isEncodedLine(value string) bool {
	decoded, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return false
	}
	line := bytes.TrimRight(decoded, "\r\n")
	return len(line) < len(decoded) && !bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' })
}

// Equal reports whether two keys are the same.
func (k Key) Equal(other Key) bool { return k == other }

// reveal returns the key itself.
func (k Key) reveal() string {
	if k == (Key{}) {
		return ""
	}
	return k.value.Value()
}

// Fingerprint identifies the key at one API without revealing it: the first 8 bytes, in hex, of an HMAC-SHA-256 with the
// key as key and the base URL as message.
func (k Key) Fingerprint(baseURL string) string {
	mac := hmac.New(sha256.New, []byte(k.reveal()))
	mac.Write([]byte(baseURL))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// Scrub replaces the key in a text of the server, which may repeat what it was sent: as it is, URL-encoded, and inside
// base64, whatever stands before it.
func (k Key) Scrub(text string) string {
	value := k.reveal()
	if value == "" {
		return text
	}
	var replacements []string
	forms := []string{value, url.QueryEscape(value), url.PathEscape(value)}
	for shift := range 3 {
		forms = append(forms, base64Core(value, shift))
	}
	for _, form := range forms {
		if form != "" {
			replacements = append(replacements, form, redacted)
		}
	}
	return strings.NewReplacer(replacements...).Replace(text)
}

// base64Core gives the characters that only the value decides when it stands in base64 behind shift bytes (modulo 3).
func base64Core(value string, shift int) string {
	encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", shift) + value))
	first, last := (8*shift+5)/6, (8*(shift+len(value)))/6
	if last <= first {
		return ""
	}
	return encoded[first:last]
}

// String hides the key.
func (Key) String() string { return redacted }

// GoString hides the key.
func (Key) GoString() string { return redacted }

// MarshalText hides the key.
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }
