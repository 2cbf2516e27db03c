// SPDX-License-Identifier: Apache-2.0

package decode_test

import (
	"strings"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

// objects returns single rows for both JSON and NDJSON, each with its user or the prefix of its problem.
func objects() map[string]struct {
	text    string
	want    decode.Row
	problem string
} {
	long := strings.Repeat("x", 257)
	return map[string]struct {
		text    string
		want    decode.Row
		problem string
	}{
		"both fields":                  {text: `{"username":"ann","fullName":"Ann Lee"}`, want: good(0, "ann", "Ann Lee")},
		"the other order, with spaces": {text: " { \"fullName\" : \"Ann\" ,\t\"username\" : \"ann\" } ", want: good(0, "ann", "Ann")},
		"a username only":              {text: `{"username":"ann"}`, want: good(0, "ann", "")},
		"a full name that is null":     {text: `{"fullName":null,"username":"ann"}`, want: good(0, "ann", "")},
		"a null between":               {text: `{"username":"ann","fullName": null }`, want: good(0, "ann", "")},
		"escapes": {
			text: `{"username":"\"\\\/\u00e9\ud83d\ude00","fullName":"\b\f\n\r\té\u0041B"}`,
			want: good(0, "\"\\/é😀", "\b\f\n\r\téAB"),
		},
		"escapes in a name":               {text: `{"user\u006eame":"ann"}`, want: good(0, "ann", "")},
		"the highest character":           {text: `{"username":"\udbff\udfff\uffff"}`, want: good(0, "\U0010ffff\uffff", "")},
		"a replacement character":         {text: `{"username":"a\ufffd"}`, want: good(0, "a\ufffd", "")},
		"half a surrogate pair":           {text: `{"username":"hunter2\ud800"}`, problem: "username is not valid UTF-8"},
		"the other half":                  {text: `{"username":"\udc00hunter2"}`, problem: "username is not valid UTF-8"},
		"half a pair before another char": {text: `{"username":"\ud800\u0041"}`, problem: "username is not valid UTF-8"},
		"bytes that are not UTF-8":        {text: "{\"username\":\"hunter2\xff\"}", problem: "username is not valid UTF-8"},
		"an empty object":                 {text: `{}`, problem: "username is empty"},
		"a username that is null":         {text: `{"username":null}`, problem: "username is empty"},
		"a control character":             {text: `{"username":"hunter2\u0000"}`, problem: "username contains a control character"},
		"a full name that is too long": {
			text: `{"username":"ann","fullName":"` + long + `"}`, want: named("ann", decode.Row{}), problem: "fullName has more",
		},
		"an unknown field":         {text: `{"username":"ann","hunter2":1}`, problem: "an unknown field; only username and fullName"},
		"a field in another case":  {text: `{"Username":"hunter2"}`, problem: "an unknown field"},
		"an empty name":            {text: `{"":"hunter2"}`, problem: "an unknown field"},
		"a field twice":            {text: `{"username":"ann","username":"hunter2"}`, problem: "a field is repeated"},
		"a field twice, once null": {text: `{"fullName":null,"username":"ann","fullName":"hunter2"}`, problem: "a field is repeated"},
		"a number":                 {text: `{"username":17}`, problem: "a field is not a string"},
		"true":                     {text: `{"username":true}`, problem: "a field is not a string"},
		"an object in a field":     {text: `{"username":{"hunter2":1}}`, problem: "a field is not a string"},
		"an array in a field":      {text: `{"username":"ann","fullName":["hunter2"]}`, problem: "a field is not a string"},
		"a string":                 {text: `"hunter2"`, problem: "not an object"},
		"null":                     {text: `null`, problem: "not an object"},
		"an array":                 {text: `[{"username":"hunter2"}]`, problem: "not an object"},
		"a number alone":           {text: `17`, problem: "not an object"},
	}
}

func TestRows_JSONObjects(t *testing.T) {
	t.Parallel()
	for name, tc := range objects() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row := func(index int, line string) decode.Row {
				row := tc.want
				row.Index = index
				if tc.problem != "" {
					row.Problem = line + tc.problem
				}
				return row
			}
			// The last row has the shape of a user, so that the text is a list.
			list{
				text: "[" + tc.text + ",\n" + tc.text + `,{"username":"last"}]`,
				want: []decode.Row{row(0, ""), row(1, ""), good(2, "last", "")},
			}.check(t, decode.JSON)
			list{
				text: tc.text + "\r\n\n" + tc.text + "\n{\"username\":\"last\"}",
				want: []decode.Row{row(0, "line 1: "), row(1, "line 3: "), good(2, "last", "")},
			}.check(t, decode.NDJSON)
		})
	}
}

func TestRows_JSON(t *testing.T) {
	t.Parallel()
	padding := strings.Repeat(" ", decode.MaxRowBytes)
	for name, tc := range map[string]list{
		"nobody":   {text: " [ ] \n"},
		"indented": {text: "[\n  {\n    \"username\": \"ann\"\n  }\n]\n", want: []decode.Row{good(0, "ann", "")}},
		"much white space": {
			text: "[" + padding + `{"username":"ann"}` + "]" + padding[:60_000],
			fail: "the row after byte 65537 of the JSON has more than 64 KiB",
		},
		"white space after it":      {text: `[{"username":"ann"}` + padding[:60_000] + "]", want: []decode.Row{good(0, "ann", "")}},
		"nothing":                   {text: "", fail: "the JSON ends before its array does"},
		"an object":                 {text: `{"username":"hunter2"}`, fail: "the JSON is not an array"},
		"a string":                  {text: `"hunter2"`, fail: "the JSON is not an array"},
		"null":                      {text: `null`, fail: "the JSON is not an array"},
		"not JSON":                  {text: `hunter2`, fail: "the JSON has a syntax error after byte 0"},
		"another array after it":    {text: `[{"username":"ann"}] ["hunter2"]`, fail: "the JSON continues after its array"},
		"something else after it":   {text: `[{"username":"ann"}] hunter2`, fail: "the JSON has a syntax error after byte 21"},
		"cut off in a row":          {text: `[{"username":"ann"},{"username":"hunter2`, fail: "the JSON ends before its array does"},
		"cut off after a row":       {text: `[{"username":"ann"}`, fail: "the JSON ends before its array does"},
		"cut off after a comma":     {text: `[{"username":"ann"},`, fail: "the JSON ends before its array does"},
		"a comma at the end":        {text: `[{"username":"ann"},]`, fail: "the JSON has a syntax error after byte 2"},
		"no comma":                  {text: `[{"username":"ann"} {"username":"hunter2"}]`, fail: "the JSON has a syntax error after byte"},
		"the wrong bracket":         {text: `[{"username":"ann"}}`, fail: "the JSON has a syntax error after byte"},
		"single quotes":             {text: `[{'username':'hunter2'}]`, fail: "the JSON has a syntax error after byte 1"},
		"a control character":       {text: "[{\"username\":\"hunter2\x01\"}]", fail: "the JSON has a syntax error after byte 1"},
		"brackets 64 thousand deep": {text: strings.Repeat("[", 1<<16), fail: "the JSON has a syntax error after byte 1"},
		"a row that is too long": {
			text: `[{"username":"ann"},{"username":"` + strings.Repeat("hunter2", 10_000) + `"}]`, fail: "the row after byte 2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.check(t, decode.JSON)
		})
	}
}

func TestRows_NDJSON(t *testing.T) {
	t.Parallel()
	const noObject, last = "not one JSON object", "\n{\"username\":\"last\"}"
	row := func(length int) string {
		return `{"username":"ann"` + strings.Repeat(" ", length-len(`{"username":"ann"}`)) + "}"
	}
	tooLong := row(decode.MaxRowBytes + 1)
	for name, tc := range map[string]list{
		"CR": {text: "{\"username\":\"ann\"}\r\r{\"username\":\"bob\"}", want: []decode.Row{good(0, "ann", ""), good(1, "bob", "")}},
		"byte order marks": {
			text: "{\"username\":\"ann\"}\n\ufeff{\"username\":\"bob\"}\r\n\ufeff\r\n{\"username\":\"cy\"}\n\ufeff\t\n{\"username\":\"dan\"}",
			want: []decode.Row{good(0, "ann", ""), good(1, "bob", ""), good(2, "cy", ""), good(3, "dan", "")},
		},
		"no line break at the end": {
			text: "{\"username\":\"ann\"}\r\n\r\n{\"username\":\"bob\"}", want: []decode.Row{good(0, "ann", ""), good(1, "bob", "")},
		},
		"lines that are not JSON": {
			text: "{\"username\":\n\"hunter2\"}\nhunter2\n{\"username\":\"bob\"}\n",
			want: []decode.Row{bad(0, "line 1: "+noObject), bad(1, "line 2: "+noObject), bad(2, "line 3: "+noObject), good(3, "bob", "")},
		},
		"two objects on a line": {
			text: `{"username":"ann"}{"username":"hunter2"}` + last,
			want: []decode.Row{bad(0, "line 1: "+noObject), good(1, "last", "")},
		},
		"a comma after an object": {text: `{"username":"hunter2"},` + last, want: []decode.Row{bad(0, "line 1: "+noObject), good(1, "last", "")}},
		"a no-break space":        {text: "\u00a0" + last, want: []decode.Row{bad(0, "line 1: "+noObject), good(1, "last", "")}},
		"the longest line": {
			text: row(decode.MaxRowBytes) + "\r\n" + row(decode.MaxRowBytes) + "\n" + row(decode.MaxRowBytes),
			want: []decode.Row{good(0, "ann", ""), good(1, "ann", ""), good(2, "ann", "")},
		},
		"a line that is too long": {
			text: tooLong + "\n{\"username\":\"bob\"}\n", want: []decode.Row{bad(0, "line 1: more than 64 KiB"), good(1, "bob", "")},
		},
		"a last line that is too long": {
			text: last + "\n" + tooLong, want: []decode.Row{good(0, "last", ""), bad(1, "line 3: more than 64 KiB")},
		},
		"a line of a megabyte": {
			text: strings.Repeat("hunter2", 150_000) + "\n" + strings.Repeat("hunter2", 150_000) + "\n{\"username\":\"bob\"}",
			want: []decode.Row{bad(0, "line 1: more than"), bad(1, "line 2: more than"), good(2, "bob", "")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.check(t, decode.NDJSON)
		})
	}
}
