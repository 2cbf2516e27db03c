// SPDX-License-Identifier: Apache-2.0

package alloy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestDecodeList_Users(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		row  string
		want ListedUser
	}{
		"all fields":                 {`{"userId":"1","username":"a","fullName":"A B"}`, ListedUser{"1", "a", "A B"}},
		"spaces":                     {" { \"username\" : \"a\" ,\n\t\"fullName\":\"A\" } ", ListedUser{Username: "a", FullName: "A"}},
		"a null name":                {`{"userId":"1","username":"a","fullName":null}`, ListedUser{UserID: "1", Username: "a"}},
		"odd types":                  {`{"userId":17,"username":"a","fullName":{"first":"}"}}`, ListedUser{Username: "a"}},
		"escapes":                    {`{"username":"a\"}\u00e4","fullName":"\\"}`, ListedUser{Username: `a"}ä`, FullName: `\`}},
		"other letters":              {`{"username":"ä","fullName":"日本"}`, ListedUser{Username: "ä", FullName: "日本"}},
		"no UTF-8":                   {"{\"username\":\"\xff\"}", ListedUser{Username: "\ufffd"}},
		"a field twice":              {`{"username":"a","username":"b"}`, ListedUser{Username: "b"}},
		"another case of a name":     {`{"userName":"a"}`, ListedUser{Username: "a"}},
		"an object in another field": {`{"x":{"username":"no","y":[{}]},"username":"a"}`, ListedUser{Username: "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []ListedUser
			err := decodeList(strings.NewReader(`{"data":[`+tc.row+`],"next":[1]}`), func(u ListedUser) { got = append(got, u) })
			if err != nil || len(got) != 1 || got[0] != tc.want {
				t.Errorf("%+v, %v, want %+v", got, err, tc.want)
			}
		})
	}
}

func TestDecodeList_TooManyUsersAreTooLong(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]error{3: nil, 4: errListTooLarge} {
		list := `{"data":[{}` + strings.Repeat(`,{}`, n-1) + `]}`
		limited := &rowReader{reader: strings.NewReader(list), rows: 3, total: maxListBody, row: maxListRow}
		if err := decodeLimited(limited, func(ListedUser) {}); !errors.Is(err, want) {
			t.Errorf("%d users: %v, want %v", n, err, want)
		}
	}
}

// FuzzDecodeRow checks that rows are decoded as encoding/json does it.
func FuzzDecodeRow(f *testing.F) {
	for _, seed := range []string{
		`{"userId":"1","username":"a","fullName":"A"}`, `{"username":"a",}`, `{"username" "a"}`, `{"username":"a"}}`, `{}`, `{"a":"b"`,
		`{"USERNAME":"a"}`, "{\"username\":\"\xff\"}", "{\"username\":\"a\nb\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		rest, isObject := bytes.CutPrefix(text, []byte("{"))
		user, ok, isPlain := decodePlainRow(rest)
		if !isObject || !isPlain {
			return
		}
		var want struct{ UserID, Username, FullName *string }
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatalf("%q is no row: %v", text, err)
		}
		value := func(s *string) string {
			if s == nil {
				return ""
			}
			return *s
		}
		if ok != (want.Username != nil) || user != (ListedUser{value(want.UserID), value(want.Username), value(want.FullName)}) {
			t.Errorf("%q: %+v, %v", text, user, ok)
		}
	})
}

// BenchmarkDecodeList reads a list of rows of 150 bytes.
func BenchmarkDecodeList(b *testing.B) {
	const n = 100_000
	rows := make([]string, n)
	for k := range rows {
		rows[k] = fmt.Sprintf(`{"userId":"%024x","username":"somebody-%07d@customer.example.com","fullName":"Somebody With The Number %010d"}`,
			k, k, k)
	}
	list := `{"data":[` + strings.Join(rows, ",") + `]}`
	b.ReportAllocs()
	for b.Loop() {
		if err := decodeList(strings.NewReader(list), func(ListedUser) {}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
}
