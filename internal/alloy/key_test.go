// SPDX-License-Identifier: Apache-2.0

package alloy

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseKey(t *testing.T) {
	t.Parallel()
	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	for name, tc := range map[string]struct {
		value, key string
		want       error
	}{
		"a key":                                   {value: "abc", key: "abc"},
		"a line break around it":                  {value: "\nabc\r\n", key: "abc"},
		"a byte order mark before it":             {value: "\ufeffabc\n", key: "abc"},
		"byte order marks and spaces around it":   {value: " \ufeff\u00a0abc \ufeff\n", key: "abc"},
		"the scheme before it":                    {value: "Bearer abc", key: "abc"},
		"the scheme in another case":              {value: "\ufeffbEARER  abc\n", key: "abc"},
		"the scheme twice":                        {value: "Bearer bearer abc", key: "bearer abc"},
		"a key that begins like the scheme":       {value: "Bearerabc", key: "Bearerabc"},
		"a quotation mark at one end":             {value: `"abc`, key: `"abc`},
		"different quotation marks":               {value: `"abc'`, key: `"abc'`},
		"base64 of words":                         {value: encode("secret key"), key: "c2VjcmV0IGtleQ=="},
		"base64 of bytes":                         {value: encode("\x00\x01\xfe\n"), key: "AAH+Cg=="},
		"base64 of a line that is not ASCII":      {value: encode("schlüssel\n"), key: encode("schlüssel\n")},
		"base64 of two lines":                     {value: encode("a\nb\n"), key: encode("a\nb\n")},
		"base64 for URLs of a line":               {value: strings.TrimRight(encode("ab?>\n"), "="), key: "YWI/Pgo"},
		"words that could be base64":              {value: "abcdefgh", key: "abcdefgh"},
		"nothing":                                 {want: ErrKeyEmpty},
		"white space":                             {value: " \t\n", want: ErrKeyEmpty},
		"a byte order mark":                       {value: "\ufeff", want: ErrKeyEmpty},
		"the scheme alone":                        {value: "Bearer ", want: ErrKeyEmpty},
		"two lines":                               {value: "a\nb", want: ErrKeyControl},
		"a null byte":                             {value: "a\x00b", want: ErrKeyControl},
		"two lines in quotation marks":            {value: "\"a\nb\"", want: ErrKeyControl},
		"quotation marks":                         {value: `"abc"`, want: ErrKeyQuoted},
		"single quotation marks":                  {value: "'abc'\n", want: ErrKeyQuoted},
		"quotation marks behind the scheme":       {value: `Bearer "abc"`, want: ErrKeyQuoted},
		"quotation marks around the scheme":       {value: `"Bearer abc"`, want: ErrKeyQuoted},
		"nothing in quotation marks":              {value: `""`, want: ErrKeyQuoted},
		"base64 of a line":                        {value: encode("secret-key\n"), want: ErrKeyEncoded},
		"base64 of a line with a carriage return": {value: encode("secret-key\r\n") + "\n", want: ErrKeyEncoded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := ParseKey([]byte(tc.value))
			if !errors.Is(err, tc.want) || key.reveal() != tc.key {
				t.Errorf("key %q, error %v; want %q, %v", key.reveal(), err, tc.key, tc.want)
			}
			if err != nil && (strings.Contains(err.Error(), "secret") || strings.HasSuffix(err.Error(), ".") ||
				!strings.Contains(err.Error(), "; put ")) {
				t.Errorf("the text does not say the cure, or says the value: %v", err)
			}
		})
	}
}

func TestKey_DoesNotShow(t *testing.T) {
	t.Parallel()
	const value = "very-secret_Key+42/%"
	k := mustParse(t, value)
	type hidden struct{ k Key }
	type open struct{ K Key }
	type nested struct {
		list    []Key
		hiddens []hidden
		byName  map[string]Key
		byKey   map[Key]hidden
		pointer *Key
		inner   *hidden
		any     any
	}
	full := nested{[]Key{k}, []hidden{{k}}, map[string]Key{"k": k}, map[Key]hidden{k: {k}}, &k, &hidden{k}, k}
	for name, held := range map[string]any{
		"a key": k, "a pointer": &k, "an unexported field": hidden{k}, "a pointer to one": &hidden{k}, "an exported field": open{k},
		"a list": []Key{k}, "a list of unexported fields": []hidden{{k}}, "a map": map[string]Key{"k": k}, "a map by key": map[Key]int{k: 1},
		"a map of unexported fields": map[string]hidden{"k": {k}}, "everything": full, "a pointer to everything": &full,
		"an array": [1]hidden{{k}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logs bytes.Buffer
			slog.New(slog.NewTextHandler(&logs, nil)).Info("text", "held", held)
			slog.New(slog.NewJSONHandler(&logs, nil)).Info("json", "held", held)
			encoded, _ := json.Marshal(held) // what cannot be encoded does not show either
			text := fmt.Sprintf("%v %+v %#v %s %q %x %X %d %t", held, held, held, held, held, held, held, held, held) +
				logs.String() + string(encoded)
			for _, form := range []string{
				"secret", fmt.Sprintf("%x", value), fmt.Sprintf("%X", value), base64.StdEncoding.EncodeToString([]byte(value)),
			} {
				if strings.Contains(text, form) {
					t.Error("the key shows in", text)
				}
			}
		})
	}
}

func TestKey_Equal(t *testing.T) {
	t.Parallel()
	one, same, other := mustParse(t, "one"), mustParse(t, "Bearer one\n"), mustParse(t, "other")
	if !one.Equal(same) || one != same || one.Equal(other) || one == other || one.Equal(Key{}) || !(Key{}).Equal(Key{}) {
		t.Error("keys are not equal when their values are")
	}
	if diff := cmp.Diff([]Key{one}, []Key{same}); diff != "" {
		t.Errorf("cmp tells equal keys apart: %s", diff)
	}
	if one.Fingerprint("https://a") == one.Fingerprint("https://b") || one.Fingerprint("https://a") == other.Fingerprint("https://a") {
		t.Error("fingerprints do not tell keys and addresses apart")
	}
	if zero := (Key{}); zero.Scrub("text") != "text" || zero.String() != redacted || len(zero.Fingerprint("https://a")) != 16 {
		t.Error("the zero key is of no use")
	}
}

func TestKey_Scrub(t *testing.T) {
	t.Parallel()
	const value = "very-secret_Key+42/%"
	k := mustParse(t, value)
	for shift := range 3 {
		encoded := base64.StdEncoding.EncodeToString([]byte("Bearer:"[:4+shift] + value + " and more"))
		scrubbed := k.Scrub("You sent " + value + ", " + url.QueryEscape(value) + " and " + encoded)
		if !strings.HasPrefix(scrubbed, "You sent [redacted], [redacted] and ") || strings.Count(scrubbed, redacted) != 3 {
			t.Errorf("scrubbed: %s", scrubbed)
		}
	}
}

func mustParse(t *testing.T, value string) Key {
	t.Helper()
	k, err := ParseKey([]byte(value))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// FuzzParseKey checks that what is taken for a key can be an HTTP header, and is never shown.
func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{
		"abc", " abc\n", "", "a\nb", "a\x00", "ä", "\xff", "\ufeffabc", "Bearer abc", `"abc"`, "c2VjcmV0Cg==", "Bearer \ufeff'",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := ParseKey(data)
		if err != nil {
			if known := []error{ErrKeyEmpty, ErrKeyControl, ErrKeyQuoted, ErrKeyEncoded}; !slices.Contains(known, err) || !k.Equal(Key{}) {
				t.Errorf("error %v, key %v", err, k)
			}
			return
		}
		value := k.reveal()
		if value == "" || trimKey(value) != value || !bytes.Contains(data, []byte(value)) || isBetween(value, `"`) {
			t.Errorf("%q became the key %q", data, value)
		}
		if again, err := ParseKey([]byte("\ufeffbearer " + value + "\r\n")); err != nil || !again.Equal(k) {
			t.Errorf("with the scheme before it %q became %q, %v", value, again.reveal(), err)
		}
		if fmt.Sprint(k) != redacted || len(k.Fingerprint("https://a")) != 16 {
			t.Errorf("the key prints as %v, its fingerprint is %q", k, k.Fingerprint("https://a"))
		}
		var field any = struct{ k Key }{k}
		if len(value) > 16 && strings.Contains(fmt.Sprintf("%v %+v %s", field, field, field), value) {
			t.Errorf("%q shows as a field", value)
		}
		if len(value) > 3 && !strings.Contains(redacted, value) && strings.Contains(k.Scrub("<"+value+">"), value) {
			t.Errorf("%q is not scrubbed", value)
		}
	})
}
