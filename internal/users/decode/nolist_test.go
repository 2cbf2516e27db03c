// SPDX-License-Identifier: Apache-2.0

package decode_test

import (
	"strings"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

// page is what a proxy answers instead of a list.
const page = "<html>\n<head><title>502 Bad Gateway</title></head>\n<body>\nhunter2\n</body>\n</html>\n"

// TestRows_WhatIsNoList tests texts that would otherwise be lists of nobody, or of invalid rows only.
func TestRows_WhatIsNoList(t *testing.T) {
	t.Parallel()
	const none = "no row has a username or a fullName "
	for name, tc := range map[string]struct {
		format decode.Format
		list
	}{
		"NDJSON of 0 bytes":     {decode.NDJSON, list{text: "", fail: "the NDJSON is empty"}},
		"NDJSON of empty lines": {decode.NDJSON, list{text: "\n \n\t\r\n\n", fail: "the NDJSON is empty"}},
		"a page as NDJSON": {decode.NDJSON, list{
			text: page,
			fail: none + "(line 1: not one JSON object, line 2: not one JSON object, line 3: not one JSON object); check",
		}},
		"a page as JSON":     {decode.JSON, list{text: page, fail: "the JSON has a syntax error"}},
		"a page as YAML":     {decode.YAML, list{text: page, fail: "line 1: the YAML is not a sequence"}},
		"a page as CSV":      {decode.CSV, list{text: page, fail: "column 1 of the CSV's header is neither username nor fullName"}},
		"an error as NDJSON": {decode.NDJSON, list{text: "\n{\"message\":\"hunter2\"}\n", fail: none + "(line 2: an unknown field); check"}},
		"names in JSON": {decode.JSON, list{
			text: `["hunter2",["hunter2"],{},{"hunter2":1}]`,
			fail: none + "(row 0: not an object, row 1: not an object, row 2: username is empty); check",
		}},
		"other objects in JSON": {decode.JSON, list{
			text: `[{"Username":"hunter2"},{"x":{"username":"hunter2"}}]`,
			fail: none + "(row 0: an unknown field, row 1: an unknown field); check",
		}},
		"names in YAML": {decode.YAML, list{
			text: "- hunter2\n- [hunter2]\n\n- {}\n",
			fail: none + "(line 1: not a mapping, line 2: not a mapping, line 4: username is empty); check",
		}},
		"other mappings in YAML": {decode.YAML, list{
			text: "- Username: hunter2\n- x: {username: hunter2}\n- ? [username]\n",
			fail: none + "(line 1: an unknown field, line 2: an unknown field, line 3: an unknown field); check",
		}},
		"an array as NDJSON": {decode.NDJSON, list{text: `[{"username":"hunter2"}]`, fail: none + "(line 1: not an object); check"}},
		"lines that are all too long": {decode.NDJSON, list{
			text: strings.Repeat("hunter2", 10_000), fail: none + "(line 1: more than 64 KiB); check",
		}},
		"an empty list in JSON": {decode.JSON, list{text: "[]"}},
		"an empty list in YAML": {decode.YAML, list{text: "[]"}},
		"an empty list in CSV":  {decode.CSV, list{text: "username,fullName\n"}},
		"a field with another": {decode.JSON, list{
			text: `[{"id":{"a":["}",1]},"username":"hunter2"}]`, want: []decode.Row{bad(0, "an unknown field")},
		}},
		"a full name only": {decode.NDJSON, list{text: `{"fullName":"hunter2"}`, want: []decode.Row{bad(0, "line 1: username is empty")}}},
		"a field with an escape": {decode.NDJSON, list{
			text: `{"user\u006eame":"hunter2 "}`, want: []decode.Row{bad(0, "line 1: username begins")},
		}},
		"a field that is null":     {decode.NDJSON, list{text: `{"username":null}`, want: []decode.Row{bad(0, "line 1: username is empty")}}},
		"a field that is a number": {decode.YAML, list{text: "- {username: 17}\n", want: []decode.Row{bad(0, "line 1: a field is a number")}}},
		"a username in another column": {decode.YAML, list{
			text: "- {id: 17, fullName: hunter2}\n", want: []decode.Row{bad(0, "line 1: an unknown field")},
		}},
		"CSV of invalid rows only": {decode.CSV, list{
			text: "username,fullName\nhunter2\n", want: []decode.Row{bad(0, "line 2: 1 fields instead of 2")},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.check(t, tc.format)
		})
	}
}
