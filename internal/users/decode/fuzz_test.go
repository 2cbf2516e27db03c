// SPDX-License-Identifier: Apache-2.0

package decode_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

var formats = []decode.Format{decode.CSV, decode.JSON, decode.NDJSON, decode.YAML}

// fields is a user for encoding/json and yaml.
type fields struct {
	Username string `json:"username" yaml:"username"`
	FullName string `json:"fullName" yaml:"fullName"`
}

func encode(list []users.User, format decode.Format) ([]byte, error) {
	objects := make([]fields, len(list))
	records := [][]string{{"username", "fullName"}}
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	for i, user := range list {
		objects[i] = fields(user)
		records = append(records, []string{user.Username, user.FullName})
		if err := encoder.Encode(objects[i]); err != nil {
			return nil, err
		}
	}
	switch format {
	case decode.CSV:
		var text bytes.Buffer
		err := csv.NewWriter(&text).WriteAll(records)
		return text.Bytes(), err
	case decode.JSON:
		return json.Marshal(objects)
	case decode.NDJSON:
		return lines.Bytes(), nil
	default:
		return yaml.Marshal(objects)
	}
}

func TestRows_AreTheUsersThatWereEncoded(t *testing.T) {
	t.Parallel()
	odd := rapid.SampledFrom([]rune("ab1,;:-#&*!|>%@`'\"\\/[]{}?=~<é😀 \u00a0\u2028\ufffd\ufeff\n"))
	text := rapid.OneOf(rapid.StringN(0, 20, -1), rapid.StringOfN(odd, 0, 8, -1),
		rapid.SampledFrom([]string{"null", "~", "yes", "0x1F", "1e3", "2024-01-01", "<<", "- a", "---", "a: b", "a #b"}))
	username := text.Filter(func(s string) bool { return users.Problem(users.User{Username: s}) == "" })
	user := rapid.Custom(func(t *rapid.T) users.User {
		return users.User{Username: username.Draw(t, "username"), FullName: text.Draw(t, "fullName")}
	})
	for _, format := range formats {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				list := rapid.SliceOfN(user, 0, 5).Draw(t, "users")
				var want []decode.Row
				for i := range list {
					switch format {
					case decode.CSV: // every line break is LF, and encoding/csv does not quote a field for a space at its end
						list[i].FullName = strings.TrimRight(strings.ReplaceAll(list[i].FullName, "\r", ""), " ")
					case decode.YAML: // yaml cannot read the blocks that it writes for leading white space
						list[i].FullName = strings.TrimLeftFunc(list[i].FullName, unicode.IsSpace)
					default: // lossless
					}
					want = append(want, decode.Row{User: list[i], Index: i})
				}
				if len(list) == 0 && format == decode.NDJSON {
					return // an empty NDJSON is no list
				}
				data, err := encode(list, format)
				if err != nil {
					t.Fatal(err)
				}
				got, err := read(data, format)
				if diff := cmp.Diff(want, got); diff != "" || err != nil {
					t.Fatalf("%q: %v, rows (-want +got):\n%s", data, err, diff)
				}
			})
		})
	}
}

// FuzzRows checks invariants for any list: rows are numbered from 0 and are either valid or have a problem, the header of a CSV is
// no user, a list of invalid rows names a field of a user, reading is deterministic and the same for a gzip, and messages keep their
// limits.
func FuzzRows(f *testing.F) {
	for _, seed := range []string{
		"username,fullName\nann,\"Ann\nLee\"\nbob\n\"", "fullName;username\n", "\ufeffusername\r\n\r\na\"\r\n", "\xff\xfe", "\x1f\x8b\x08",
		`[{"username":"ann","fullName":null},{"username":"\ud83d\ude00\/"},5]`, `[{"username":"a","username":"b"},]`, `[{"\u0000":[]}] x`,
		"username,fullName\rann , \"Ann\" \r\ufeffusername,fullName\r,,\rbob\"", "fullName,username\nusername,fullName\n",
		"username\nUSERNAME\n\"x\n",
		"{\"username\":\"ann\"}\n\n{}\n{\"x\":1}{}\n", "<html>\r\n", "[{\"x\":[\"username\"]}]", "- username: 1e7\n- x\n",
		"- username: ann\n  fullName: >-\n    Ann\n    Lee # x\n- &a [*a]\n", "[{username: 5}, {<<: *b}]\n---\n",
		"? a\n: - b\n  -\n",
	} {
		for i := range formats {
			f.Add(byte(i), []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, number byte, data []byte) {
		format := formats[int(number)%len(formats)]
		got, err := read(data, format)
		for i, row := range got {
			checkBounds(t, row.Problem)
			problem := users.Problem(row.User)
			switch {
			case row.Index != i:
				t.Errorf("row %d has the index %d", i, row.Index)
			case row.Problem == "" && problem != "":
				t.Errorf("%q is good, and %s", row.User, problem)
			case row.Problem != "" && (row.FullName != "" || row.Username != "" && problem != ""):
				t.Errorf("%q has a problem, and a user", row.User)
			case format == decode.CSV && row.Problem == "" &&
				strings.EqualFold(row.Username, "username") && strings.EqualFold(row.FullName, "fullName"):
				t.Errorf("%q is the header", row.User)
			}
		}
		if err == nil && len(got) > 0 && format != decode.CSV && !namesAField(data) {
			t.Errorf("%q is no list", data)
		}
		if err != nil {
			checkBounds(t, err.Error())
		}
		again, errAgain := read(data, format)
		if !reflect.DeepEqual(got, again) || !errors.Is(errAgain, err) {
			t.Errorf("%v and %v, %v and %v", got, again, err, errAgain)
		}
		if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
			return // nested gzips are not expanded
		}
		zipped, errZipped := read(zip(string(data)), format)
		if !reflect.DeepEqual(got, zipped) || !errors.Is(errZipped, err) {
			t.Errorf("%v and in a gzip %v, %v and %v", got, zipped, err, errZipped)
		}
	})
}

// namesAField reports whether a text can have a field of a user, possibly with escapes or in a gzip.
func namesAField(data []byte) bool {
	return bytes.Contains(data, []byte("username")) || bytes.Contains(data, []byte("fullName")) ||
		bytes.ContainsRune(data, '\\') || bytes.HasPrefix(data, []byte{0x1f, 0x8b})
}

// special matches what the decoder reads in another way than encoding/csv: a space, a lone CR, a byte order mark, and a line of
// nothing but commas.
var special = regexp.MustCompile(`(?m) |\r[^\n]|\r\z|\x{feff}|^,+\r?$`)

// FuzzCSV compares the decoder with encoding/csv.
func FuzzCSV(f *testing.F) {
	for _, seed := range []string{
		"ann,\"Ann\nLee\"\nbob\n", "\"a\"\"b\",\r\n\n,x\n", "a\"b,c\n\"d\"e,f\ng,h\n", "\"a\n\"b,c\nd,e\n",
		"\"a\nb,c", "\"a\n", "a,\"\",\"b\"\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, rows []byte) {
		data := append([]byte("username,fullName\n"), rows...)
		got, err := read(data, decode.CSV)
		if special.Match(rows) || len(rows) > decode.MaxRowBytes || strings.Contains(fmt.Sprint(got, err), "header") {
			return
		}
		want, isReadable := standard(data)
		if (err == nil) != isReadable {
			t.Fatalf("%q: %v, readable: %t", data, err, isReadable)
		}
		for i := range got {
			if got[i].Problem != "" {
				got[i] = bad(i, "some")
			}
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); isReadable && diff != "" {
			t.Errorf("%q (-want +got):\n%s", data, diff)
		}
	})
}

// standard returns what encoding/csv reads of a list with two columns.
func standard(data []byte) (rows []decode.Row, isReadable bool) {
	reader := csv.NewReader(bytes.NewReader(data))
	for {
		record, err := reader.Read()
		var wrong *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return rows[1:], true // without the header
		case errors.Is(err, csv.ErrQuote) && errors.As(err, &wrong) && wrong.Line > wrong.StartLine:
			return nil, false
		case err != nil || users.Problem(users.User{Username: record[0], FullName: record[1]}) != "":
			rows = append(rows, bad(len(rows)-1, "some"))
		default:
			rows = append(rows, good(len(rows)-1, record[0], record[1]))
		}
	}
}

// BenchmarkRows reads 10,000 rows and reports the cost of one.
func BenchmarkRows(b *testing.B) {
	const n = 10_000
	list := make([]users.User, n)
	for i := range list {
		list[i] = users.User{Username: fmt.Sprintf("somebody.%06d@example.com", i), FullName: fmt.Sprintf("Somebody Number %d", i)}
	}
	for _, format := range formats {
		b.Run(string(format), func(b *testing.B) {
			data, err := encode(list, format)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for b.Loop() {
				rows := 0
				_, err := decode.Rows(b.Context(), data, format, generous, func(row decode.Row) error {
					if row.Problem == "" {
						rows++
					}
					return nil
				})
				if err != nil || rows != n {
					b.Fatalf("%d good rows, %v", rows, err)
				}
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/n, "B/row")
			b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N)/n, "allocs/row")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
		})
	}
}
