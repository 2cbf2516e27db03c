// SPDX-License-Identifier: Apache-2.0

package alloy

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestDecodeList(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body string
		want []string
		fail error
	}{
		"users, one without a username": {
			body: `{"data":[{"userId":"1","username":"a"},{"userId":"2"},{"username":"b"}]}`, want: []string{"a", "b"},
		},
		"nobody": {body: `{"data":[]}`},
		"other fields around": {
			body: `{"count":{"n":[1]},"data":[{"username":"a","x":{"username":"no"}}],"next":null}`, want: []string{"a"},
		},
		"cut in the middle":         {body: `{"data":[{"username":"a"},{"user`, want: []string{"a"}, fail: errListCut},
		"cut after a row":           {body: `{"data":[{"username":"a"}`, want: []string{"a"}, fail: errListCut},
		"cut after a comma":         {body: `{"data":[{"username":"a"},`, want: []string{"a"}, fail: errListCut},
		"cut at the end":            {body: `{"data":[{"username":"a"}]`, want: []string{"a"}, fail: errListCut},
		"cut at the beginning":      {body: `{`, fail: errListCut},
		"no data":                   {body: `{"users":[]}`, fail: errListShape},
		"null":                      {body: `{"data":null}`, fail: errListShape},
		"an array":                  {body: `[{"username":"a"}]`, fail: errListShape},
		"rows that are no users":    {body: `{"data":["a"]}`, fail: errListShape},
		"broken JSON":               {body: `{"data":[}`, fail: errListShape},
		"HTML":                      {body: `<html>`, fail: errListShape},
		"nothing":                   {body: ``, fail: errListShape},
		"a row that is too large":   {body: `{"data":[{"username":"` + strings.Repeat("x", 2*maxListRow) + `"}]}`, fail: errListTooLarge},
		"a field that is too large": {body: `{"x":"` + strings.Repeat("x", 2*maxListRow) + `","data":[]}`, fail: errListTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			err := decodeList(strings.NewReader(tc.body), func(u ListedUser) { got = append(got, u.Username) })
			if !errors.Is(err, tc.fail) {
				t.Errorf("error %v, want %v", err, tc.fail)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("users %q, want %q", got, tc.want)
			}
			want := map[error]Outcome{nil: Listed, errListCut: Unavailable, errListShape: Inconclusive, errListTooLarge: Inconclusive}[tc.fail]
			answer := classifyList(http.StatusOK, err)
			if answer.Outcome != want || answer.StatusCode != http.StatusOK || (answer.Message == "") != (want == Listed) {
				t.Errorf("answer %+v, want %s", answer, want)
			}
		})
	}
}

func TestDecodeList_FailuresOfTheNetwork(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ err, want error }{
		"a reset":   {errors.New("connection reset"), errListCut},
		"a timeout": {context.DeadlineExceeded, errListSlow},
	} {
		for where, text := range map[string]string{
			"at the beginning": "", "after a row": `{"data":[{"username":"a"}`, "inside a row": `{"data":[{"user`,
		} {
			t.Run(name+" "+where, func(t *testing.T) {
				t.Parallel()
				err := decodeList(io.MultiReader(strings.NewReader(text), iotest.ErrReader(tc.err)), func(ListedUser) {})
				if !errors.Is(err, tc.want) {
					t.Errorf("error %v, want %v", err, tc.want)
				}
				if answer := classifyList(200, err); answer.Outcome != Unavailable || !answer.Incomplete || answer.Message == "" {
					t.Errorf("answer %+v", answer)
				}
			})
		}
	}
}

func TestDecodeList_LongListsAreReadToTheirEnd(t *testing.T) {
	t.Parallel()
	const n = 50_000 // 3 MB, well above what one row may have
	body := `{"data":[` + strings.Repeat(`{"userId":"0123456789","username":"somebody@example.com"},`, n-1) + `{"username":"last"}]}`
	seen := 0
	if err := decodeList(strings.NewReader(body), func(ListedUser) { seen++ }); err != nil || seen != n {
		t.Errorf("%d users, %v", seen, err)
	}
}

// FuzzDecodeList checks that a list is either read to its end or fails, and that a list which succeeds is a JSON object.
func FuzzDecodeList(f *testing.F) {
	for _, seed := range []string{
		`{"data":[{"username":"a"},{}]}`, `{"data":[]}`, `{"x":{},"data":[{"username":"a"}],"y":1}`,
		`{"data":[{"username":"a"}`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		seen := 0
		err := decodeList(strings.NewReader(string(text)), func(ListedUser) { seen++ })
		if answer := classifyList(200, err); answer.Served() != (err == nil) {
			t.Errorf("error %v became %+v", err, answer)
		}
		if known := []error{nil, errListTooLarge, errListShape, errListCut}; !slices.Contains(known, err) {
			t.Errorf("error %v has no class", err)
		}
		if err == nil && seen > len(text) {
			t.Errorf("%d users in %d bytes", seen, len(text))
		}
		var whole map[string]json.RawMessage
		if valid := json.Unmarshal(text, &whole) == nil; err == nil && !valid && json.Valid(text) {
			t.Errorf("%q is no object, and was taken for a list", text)
		}
	})
}
