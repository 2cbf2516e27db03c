// SPDX-License-Identifier: Apache-2.0

package alloy

import (
	"strings"
	"testing"
)

func TestErrorText(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ body, want string }{
		"a message": {`{"message":"no such plan"}`, "no such plan"},
		"a list of messages": {
			`{"statusCode":400,"message":["a is empty","b is too long"],"error":"Bad Request"}`, "a is empty; b is too long",
		},
		"an error":                {`{"error":"invalid"}`, "invalid"},
		"an error with a message": {`{"error":{"code":7,"message":"invalid"}}`, "invalid"},
		"errors":                  {`{"errors":["a","b"]}`, "a; b"},
		"errors with messages":    {`{"errors":[{"message":"a"},{"message":"b"}]}`, "a; b"},
		"errors with details":     {`{"errors":[{"title":"Invalid","detail":"a is empty"},{"title":"Wrong"}]}`, "Invalid: a is empty; Wrong"},
		"the errors of each field": {
			`{"message":"invalid","errors":{"username":["is empty"],"fullName":["is long"]}}`, "invalid; is empty; is long",
		},
		"a message and errors":          {`{"message":"invalid","errors":[{"message":"a"}]}`, "invalid; a"},
		"the same error often":          {`{"errors":["a","a","a"]}`, "a"},
		"a problem":                     {`{"type":"about:blank","title":"Forbidden","detail":"by policy","status":403}`, "Forbidden: by policy"},
		"an empty message and an error": {`{"message":" ","error":"x"}`, "x"},
		"a null message and an error":   {`{"message":null,"error":"x"}`, "x"},
		"a string":                      {`"not today"`, "not today"},
		"a list":                        {`[{"message":"a"}]`, "a"},
		"plain text":                    {"  upstream connect error\n", "upstream connect error"},
		"plain text with a bracket":     {"a < b", "a < b"},
		"HTML":                          {"\n<!DOCTYPE html><h1>Bad Gateway</h1>", ""},
		"HTML behind a byte order mark": {"\ufeff<html>", ""},
		"HTML behind words":             {"Error: <b>no</b>", ""},
		"XML":                           {`<?xml version="1.0"?><Error/>`, ""},
		"bytes that are no text":        {"\x1f\x8b\x08\x00", ""},
		"an empty object":               {`{}`, ""},
		"other fields":                  {`{"code":1}`, ""},
		"a number":                      {`404`, ""},
		"null":                          {`null`, ""},
		"nothing":                       {``, ""},
		"a message far inside":          {strings.Repeat(`{"message":`, 5) + `"x"` + strings.Repeat(`}`, 5), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := received(tc.body).message(400); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestErrorText_OfASuccessThatIsNone(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ body, want string }{
		"another message":            {`{"message":"partly"}`, "partly"},
		"no message":                 {`{}`, unreadable},
		"a page":                     {`Welcome`, unreadable},
		"success with odd users":     {`{"message":"success","invalidUsers":1}`, unreadable},
		"half of it":                 {`{"message":"partly`, unreadable + ", because it was cut off"},
		"a list that ends too early": {`[{"message":"partly"},`, unreadable + ", because it was cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := received(tc.body).message(200); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestErrorText_LongListsAreNotReadToTheirEnd(t *testing.T) {
	t.Parallel()
	words := strings.Repeat("x", 100)
	text := errorText([]byte(`{"errors":["` + words + `a"` + strings.Repeat(`,"`+words+`b","`+words+`c"`, 20_000) + `]}`))
	if !strings.HasPrefix(text, words) || len(text) > 2*enoughText {
		t.Errorf("%d bytes were collected", len(text))
	}
	var many strings.Builder
	for i := range 1000 {
		many.WriteString(`,"` + words + strings.Repeat("y", i) + `"`)
	}
	if text := errorText([]byte(`{"errors":[""` + many.String() + `]}`)); len(text) > 2*enoughText || len(clean(text)) < maxMessage {
		t.Errorf("%d bytes were collected", len(text))
	}
}
