// SPDX-License-Identifier: Apache-2.0

package decode_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

// secret marks the invalid parts of the lists in the tests. No message may quote it.
const secret = "hunter2"

// list is a list and what Rows must return for it.
type list struct {
	text string
	want []decode.Row
	fail string // prefix of the error; empty for a readable list
}

func good(index int, username, fullName string) decode.Row {
	return decode.Row{User: users.User{Username: username, FullName: fullName}, Index: index}
}

// bad returns a row whose problem has the given prefix.
func bad(index int, problem string) decode.Row {
	return decode.Row{Index: index, Problem: problem}
}

func named(username string, row decode.Row) decode.Row {
	row.Username = username
	return row
}

func read(data []byte, format decode.Format) (rows []decode.Row, err error) {
	_, err = decode.Rows(context.Background(), data, format, generous, func(row decode.Row) error {
		rows = append(rows, row)
		return nil
	})
	return rows, err
}

func (l list) check(t *testing.T, format decode.Format) {
	t.Helper()
	for how, data := range map[string][]byte{"plain": []byte(l.text), "gzipped": zip(l.text), "with a BOM": []byte("\ufeff" + l.text)} {
		got, err := read(data, format)
		if l.fail == "" && err != nil {
			t.Errorf("%s: %v", how, err)
		}
		if l.fail != "" && (err == nil || !strings.HasPrefix(err.Error(), l.fail)) {
			t.Errorf("%s: error %v, want %q", how, err, l.fail)
		}
		if err != nil {
			checkText(t, err.Error())
			continue // earlier rows do not count
		}
		for i := range min(len(got), len(l.want)) {
			checkText(t, got[i].Problem)
			if want := l.want[i].Problem; want != "" && strings.HasPrefix(got[i].Problem, want) {
				got[i].Problem = want
			}
		}
		if diff := cmp.Diff(l.want, got); diff != "" {
			t.Errorf("%s: rows (-want +got):\n%s", how, diff)
		}
	}
}

// checkText checks the text of a problem or an error.
func checkText(t *testing.T, text string) {
	t.Helper()
	checkBounds(t, text)
	if strings.Contains(text, secret) {
		t.Errorf("%q repeats text of the list", text)
	}
}

func checkBounds(t *testing.T, text string) {
	t.Helper()
	if len(text) > 200 || !utf8.ValidString(text) || strings.ContainsAny(text, "\n\x00") || strings.HasSuffix(text, ".") {
		t.Errorf("%q is %d bytes of text, or no sentence", text, len(text))
	}
}

func zip(texts ...string) []byte {
	var buffer bytes.Buffer
	for _, text := range texts { // each becomes a separate gzip member
		writer := gzip.NewWriter(&buffer)
		_, err := writer.Write([]byte(text))
		if err := errors.Join(err, writer.Close()); err != nil {
			panic(err)
		}
	}
	return buffer.Bytes()
}

func TestFormatOf(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]decode.Format{
		"users.csv":       decode.CSV,
		"Users.CSV":       decode.CSV,
		"users.csv.gz":    decode.CSV,
		"users.csv.GZ":    decode.CSV,
		"users.json":      decode.JSON,
		"users.ndjson":    decode.NDJSON,
		"users.jsonl.gz":  decode.NDJSON,
		"users.yaml":      decode.YAML,
		"users.of.yml":    decode.YAML,
		".yml":            decode.YAML,
		"users.txt":       "",
		"users.gz":        "",
		"users.gz.csv.gz": decode.CSV,
		"users.csv.gz.gz": "",
		"users.csv.zip":   "",
		"csv":             "",
		"users":           "",
		"":                "",
	} {
		if got, ok := decode.FormatOf(key); got != want || ok != (want != "") {
			t.Errorf("FormatOf(%q) = %q, %t, want %q", key, got, ok, want)
		}
	}
}

func TestRows_Encodings(t *testing.T) {
	t.Parallel()
	ann, text := []decode.Row{good(0, "ann", "Ann Lee")}, "username,fullName\nann,Ann Lee\n"
	zipped := zip(text)
	damaged := slices.Clone(zipped)
	damaged[len(damaged)-6] ^= 0xff // in the checksum
	for name, tc := range map[string]struct {
		data []byte
		want []decode.Row
		fail string
	}{
		"a gzip of two members":              {data: zip("username,full", "Name\nann,Ann Lee\n"), want: ann},
		"a BOM in a gzip":                    {data: zip("\ufeff" + text), want: ann},
		"a gzip with a wrong checksum":       {data: damaged, fail: "the gzip is damaged"},
		"a gzip that is cut off":             {data: zipped[:len(zipped)-12], fail: "the gzip is damaged"},
		"a gzip of which the start is there": {data: zipped[:2], fail: "the gzip is damaged"},
		"a gzip with trailing data":          {data: append(slices.Clone(zipped), secret...), fail: "the gzip is damaged"},
		"UTF-16, little-endian":              {data: []byte("\xff\xfeu\x00s\x00"), fail: "the list is UTF-16; save it as UTF-8"},
		"UTF-16, big-endian":                 {data: []byte("\xfe\xff\x00u\x00s"), fail: "the list is UTF-16; save it as UTF-8"},
		"UTF-16 in a gzip":                   {data: zip("\xfe\xff\x00u\x00s"), fail: "the list is UTF-16; save it as UTF-8"},
		"UTF-16 and no text":                 {data: []byte("\xff\xfe"), fail: "the list is UTF-16; save it as UTF-8"},
		"UTF-32, little-endian":              {data: []byte("\xff\xfe\x00\x00u\x00\x00\x00"), fail: "the list is UTF-32; save it as UTF-8"},
		"UTF-32, big-endian":                 {data: []byte("\x00\x00\xfe\xff\x00\x00\x00u"), fail: "the list is UTF-32; save it as UTF-8"},
		"Latin-1 is a problem of its row only": {
			data: []byte("username\na\xefb\nann\n"),
			want: []decode.Row{bad(0, "line 2: username is not valid UTF-8"), good(1, "ann", "")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := read(tc.data, decode.CSV)
			if (err != nil) != (tc.fail != "") || err != nil && !strings.HasPrefix(err.Error(), tc.fail) {
				t.Errorf("error %v, want %q", err, tc.fail)
			}
			for i := range got {
				got[i].Problem, _, _ = strings.Cut(got[i].Problem, ";")
			}
			if diff := cmp.Diff(tc.want, got); err == nil && diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRows_AnUnknownFormatIsRefused(t *testing.T) {
	t.Parallel()
	for _, format := range []decode.Format{"", "csv", secret} {
		_, err := read([]byte("username\n"), format)
		if err == nil {
			t.Fatalf("%q was read", format)
		}
		checkText(t, err.Error())
	}
}

func TestRows_ReturnsTheErrorOfVisitUnchanged(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	for format, text := range map[decode.Format]string{
		decode.CSV:    "username\na\nb,c\nd\n",
		decode.JSON:   `[{"username":"a"},5,{"username":"d"}]`,
		decode.NDJSON: "{\"username\":\"a\"}\n5\n{\"username\":\"d\"}\n",
		decode.YAML:   "- username: a\n- 5\n- username: d\n",
	} {
		for last := range 3 { // the second row is a bad one
			seen := 0
			_, err := decode.Rows(t.Context(), []byte(text), format, generous, func(row decode.Row) error {
				seen++
				if row.Index == last {
					return enough
				}
				return nil
			})
			if err != enough || seen != last+1 { //nolint:errorlint // it must be returned unchanged
				t.Errorf("%s: %v after %d rows, want %d", format, err, seen, last+1)
			}
		}
	}
}

func TestRows_TheTextIsBounded(t *testing.T) {
	t.Parallel()
	const large = "the list has more than 64 MiB of text"
	padding := strings.Repeat("x", 1<<10-1) + "\n"
	for name, tc := range map[string]struct {
		format  decode.Format
		head    string
		padding string // 1 KiB
		spare   int    // bytes by which the list is shorter than 64 MiB
		fail    string
	}{
		"as much CSV as there may be": {format: decode.CSV, head: "username\n", padding: padding},
		"a byte of CSV more":          {format: decode.CSV, head: "username\n", padding: padding, spare: -1, fail: large},
		"a byte of JSON more": {
			format: decode.JSON, head: "[1", padding: "," + strings.Repeat(" ", 1<<10-2) + "1", spare: -1, fail: large,
		},
		"a byte of NDJSON more": {format: decode.NDJSON, padding: padding, spare: -1, fail: large},
		"as much YAML as there may be": {
			format: decode.YAML, head: "- username: a\n", padding: "#" + padding[1:], spare: decode.MaxBytes - decode.MaxYAMLBytes,
		},
		"a byte of YAML more": {
			format: decode.YAML, head: "- username: a\n", padding: "#" + padding[1:],
			spare: decode.MaxBytes - decode.MaxYAMLBytes - 1, fail: "the YAML has more than 8 MiB of text",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Compress the padding only once.
			size := decode.MaxBytes - tc.spare
			count := (size - len(tc.head)) / len(tc.padding)
			tail := strings.Repeat("\n", size-len(tc.head)-count*len(tc.padding))
			const members = 64
			bomb := slices.Concat(zip(tc.head), bytes.Repeat(zip(strings.Repeat(tc.padding, count/members)), members),
				zip(strings.Repeat(tc.padding, count%members)+tail))
			if len(bomb) > 1<<20 {
				t.Errorf("the bomb has %d bytes, more than a ConfigMap takes", len(bomb))
			}
			_, err := decode.Rows(t.Context(), bomb, tc.format, generous, func(decode.Row) error { return nil })
			if (err != nil) != (tc.fail != "") || err != nil && !strings.HasPrefix(err.Error(), tc.fail) {
				t.Errorf("error %v, want %q", err, tc.fail)
			}
		})
	}
	t.Run("without gzip", func(t *testing.T) {
		t.Parallel()
		text := []byte("username\n" + strings.Repeat(padding, 1<<16))
		_, err := decode.Rows(t.Context(), text, decode.CSV, generous, func(decode.Row) error { return nil })
		if err == nil || !strings.HasPrefix(err.Error(), large) {
			t.Errorf("error %v, want %q", err, large)
		}
	})
}
