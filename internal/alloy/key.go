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
)

// Why a value cannot be an API key. Neither text holds any part of the value.
var (
	ErrKeyEmpty   = errors.New("is empty")
	ErrKeyControl = errors.New("contains a control character, such as a line break, inside the key")
)

const redacted = "[redacted]"

// Key is an API key. It prints as a placeholder, so that no log line or error text can hold it by accident.
type Key struct{ value string }

// ParseKey reads a key as people store it: white space around it, such as the line break that `echo` adds, is dropped. It
// returns ErrKeyEmpty or ErrKeyControl for a value that must not become an HTTP header. The vendor publishes no form for
// keys of this API, so nothing else is checked.
func ParseKey(data []byte) (Key, error) {
	value := string(bytes.TrimSpace(data))
	if value == "" {
		return Key{}, ErrKeyEmpty
	}
	if strings.ContainsFunc(value, unicode.IsControl) {
		return Key{}, ErrKeyControl
	}
	return Key{value: value}, nil
}

// Fingerprint identifies the key at one API without revealing it: the first 8 bytes, in hex, of an HMAC-SHA-256 with the
// key as key and the base URL as message.
func (k Key) Fingerprint(baseURL string) string {
	mac := hmac.New(sha256.New, []byte(k.value))
	mac.Write([]byte(baseURL))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// Scrub replaces the key in a text of the server, which may repeat what it was sent: as it is, URL-encoded, and inside
// base64, whatever stands before it.
func (k Key) Scrub(text string) string {
	if k.value == "" {
		return text
	}
	var replacements []string
	forms := []string{k.value, url.QueryEscape(k.value), url.PathEscape(k.value)}
	for shift := range 3 {
		forms = append(forms, base64Core(k.value, shift))
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
