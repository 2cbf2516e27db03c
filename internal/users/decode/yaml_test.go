// SPDX-License-Identifier: Apache-2.0

package decode_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

func TestRows_YAML(t *testing.T) {
	t.Parallel()
	ann := []decode.Row{good(0, "ann", "Ann Lee")}
	for name, tc := range map[string]list{
		"a sequence": {
			text: "- username: ann\n  fullName: Ann Lee\n- username: bob\n",
			want: []decode.Row{good(0, "ann", "Ann Lee"), good(1, "bob", "")},
		},
		"the other order, in quotes": {text: "---\n- 'fullName': \"Ann\\u0020Lee\"\n  \"username\": 'ann'\n...\n", want: ann},
		"a flow sequence":            {text: "[{username: ann, fullName: Ann Lee}]", want: ann},
		"JSON":                       {text: `[{"username":"ann","fullName":"Ann Lee"}]`, want: ann},
		"comments and CRLF":          {text: "# users\r\n- username: ann # the first\r\n  fullName: Ann Lee\r\n", want: ann},
		"blocks":                     {text: "- username: >-\n    ann\n  fullName: |-\n    Ann Lee\n", want: ann},
		"nobody":                     {text: "[]\n"},
		"no full name": {
			text: "- username: ann\n  fullName:\n- username: bob\n  fullName: ~\n- {username: cy, fullName: null}\n",
			want: []decode.Row{good(0, "ann", ""), good(1, "bob", ""), good(2, "cy", "")},
		},
		"scalars that look like other types": {
			text: "- username: \"0012\"\n  fullName: '1e3'\n- username: yes\n  fullName: on\n" +
				"- {username: \"2024-01-01\", fullName: !!str 5}\n- username: 1.2.3\n  fullName: 12:30\n- username: >-\n    17\n",
			want: []decode.Row{
				good(0, "0012", "1e3"), good(1, "yes", "on"), good(2, "2024-01-01", "5"), good(3, "1.2.3", "12:30"), good(4, "17", ""),
			},
		},
		"scalars that are of other types": {
			text: "- username: 17\n- username: 0012\n- username: 1.2345678e+07\n- username: 0x1F\n- username: .inf\n" +
				"- username: true\n- username: False\n- {username: 2024-01-01}\n" +
				"- username: 2024-01-01T12:00:00Z\n- username: ann\n  fullName: 1e3\n- username: 123456789012345678901234567890\n- username: bob\n",
			want: append(others(11), good(11, "bob", "")),
		},
		"null in quotes is a text": {text: "- username: \"null\"\n  fullName: '~'\n", want: []decode.Row{good(0, "null", "~")}},
		"an anchor":                {text: "- &a\n  username: &b ann\n  fullName: Ann Lee\n", want: ann},
		"byte order marks": {
			text: "- username: ann\n\ufeff- username: bob\r\n\ufeff\r\n- username: cy\n",
			want: []decode.Row{good(0, "ann", ""), good(1, "bob", ""), good(2, "cy", "")},
		},
		"CR": {text: "- username: ann\r  fullName: Ann Lee\r", want: ann},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.check(t, decode.YAML)
		})
	}
}

// TestRows_YAMLBadRows tests what is the problem of one row only.
func TestRows_YAMLBadRows(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]list{
		"bad rows": {
			text: "- username:\n- hunter2\n-\n- [hunter2]\n- username: ann\n  hunter2: 1\n" +
				"- username: {a: hunter2}\n- fullName: hunter2\n- username: bob\n",
			want: []decode.Row{
				bad(0, "line 1: username is empty"), bad(1, "line 2: not a mapping"), bad(2, "line 3: not a mapping"), bad(3, "line 4: not a mapping"),
				bad(4, "line 5: an unknown field"), bad(5, "line 7: a field is not text"), bad(6, "line 8: username is empty"), good(7, "bob", ""),
			},
		},
		"a field in another case": {
			text: "- Username: hunter2\n- username: ann\n",
			want: []decode.Row{bad(0, "line 1: an unknown field"), good(1, "ann", "")},
		},
		"a field twice": {text: "- username: ann\n  username: hunter2\n", want: []decode.Row{bad(0, "line 1: a field is repeated")}},
		"a name that is not a scalar": {
			text: "- ? [hunter2]\n  : x\n- username: ann\n",
			want: []decode.Row{bad(0, "line 1: an unknown field"), good(1, "ann", "")},
		},
		"a tag": {
			text: "- username: !!binary aHVudGVyMg==\n- username: ann\n  fullName: !hunter2 x\n",
			want: []decode.Row{bad(0, "line 1: a field has a tag"), bad(1, "line 2: a field has a tag")},
		},
		"aliases": {
			text: "- &a {username: &b ann}\n- *a\n- username: *b\n- {<<: *a}\n- *a : x\n",
			want: []decode.Row{
				good(0, "ann", ""), bad(1, "line 2: not a mapping"), bad(2, "line 3: a field is not text"),
				bad(3, "line 4: an unknown field"), bad(4, "line 5: "),
			},
		},
		"an alias of what is around": {
			text: "- &a\n  username: *a\n- &b [*b]\n",
			want: []decode.Row{bad(0, "line 1: a field is not text"), bad(1, "line 3: not a mapping")},
		},
		"a control character": {text: "- username: \"hunter2\\0\"\n", want: []decode.Row{bad(0, "line 1: username contains a control")}},
		"a full name that is too long": {
			text: "- username: ann\n  fullName: " + strings.Repeat("x", 257),
			want: []decode.Row{named("ann", bad(0, "line 1: fullName has more"))},
		},
		"a row of 100 KB": {
			text: "- username: " + strings.Repeat("hunter2", 15_000) + "\n", want: []decode.Row{bad(0, "line 1: username has more")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.check(t, decode.YAML)
		})
	}
}

// TestRows_YAMLThatIsNoList tests what is a problem of the whole list.
func TestRows_YAMLThatIsNoList(t *testing.T) {
	t.Parallel()
	const syntax = "the YAML has a syntax error"
	for name, tc := range map[string]list{
		"nothing":                    {text: "", fail: "the YAML is empty"},
		"a comment":                  {text: "# hunter2\n", fail: "the YAML is empty"},
		"null":                       {text: "---\n", fail: "line 2: the YAML is not a sequence"},
		"a mapping":                  {text: "\nusers:\n- username: hunter2\n", fail: "line 2: the YAML is not a sequence"},
		"a scalar":                   {text: "hunter2", fail: "line 1: the YAML is not a sequence"},
		"two documents":              {text: "- username: ann\n---\n- username: hunter2\n", fail: "line 2: the YAML has a second document"},
		"a broken second document":   {text: "- username: ann\n---\n- \"hunter2\n", fail: "line 3: " + syntax},
		"a quote that is not closed": {text: "- username: ann\n- username: \"hunter2\n", fail: "line 2: " + syntax},
		"a tab as indentation":       {text: "- username: ann\n\thunter2: x\n", fail: "line 2: " + syntax},
		"an unknown alias":           {text: "- *hunter2\n", fail: syntax},
		"bytes that are not UTF-8":   {text: "- username: hunter2\xff\n", fail: syntax},
		"a tag that is not declared": {text: "- !hunter2!x y\n", fail: syntax},
		"brackets 64 thousand deep":  {text: strings.Repeat("[", 1<<16), fail: syntax},
		"too many rows":              {text: strings.Repeat("-\n", 3<<20), fail: "the list exceeds"},
		"too many commas":            {text: "[{" + strings.Repeat("a,", 3<<20) + "}]", fail: "the list exceeds"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.check(t, decode.YAML)
		})
	}
}

// others returns n rows with a value that is not a text, each in a line of its own except for the last but one.
func others(n int) (rows []decode.Row) {
	for i := range n {
		line := i + 1
		if i == n-1 {
			line++
		}
		rows = append(rows, bad(i, fmt.Sprintf("line %d: a field is a number, a date, true or false; put its value in quotes", line)))
	}
	return rows
}

func TestRows_YAMLAliasesAreNotExpanded(t *testing.T) {
	t.Parallel()
	var laughs strings.Builder // 10^60 strings
	item := "lol"
	for i := range 60 {
		fmt.Fprintf(&laughs, "- &a%d [%s]\n", i, strings.TrimSuffix(strings.Repeat(item+", ", 10), ", "))
		item = fmt.Sprintf("*a%d", i)
	}
	for name, text := range map[string]string{
		"a billion laughs":          laughs.String(),
		"a billion laughs in a row": "- username: ann\n  fullName:\n    " + strings.ReplaceAll(laughs.String(), "\n", "\n    "),
		"a billion merges":          strings.ReplaceAll(strings.ReplaceAll(laughs.String(), "[*", "{<<: [*"), "]\n", "]}\n"),
	} {
		start := time.Now()
		rows, err := read([]byte(text), decode.YAML)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s took %s", name, took)
		}
		for _, row := range rows {
			if row.Problem == "" {
				t.Errorf("%s has a good row: %v", name, row)
			}
		}
		if err == nil && len(rows) == 0 {
			t.Errorf("%s: no row and no error", name)
		}
	}
}
