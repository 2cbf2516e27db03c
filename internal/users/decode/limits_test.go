// SPDX-License-Identifier: Apache-2.0

package decode_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

// generous limits bind no list of a test.
var generous = decode.Limits{Text: 1 << 30, Memory: 1 << 30}

func ignore(decode.Row) error { return nil }

func TestRows_LimitsBindEveryFormat(t *testing.T) {
	t.Parallel()
	for format, text := range map[decode.Format]string{
		decode.CSV:    "username\n" + strings.Repeat("ann\n", 1000),
		decode.JSON:   "[" + strings.TrimSuffix(strings.Repeat(`{"username":"ann"},`, 1000), ",") + "]",
		decode.NDJSON: strings.Repeat("{\"username\":\"ann\"}\n", 1000),
		decode.YAML:   strings.Repeat("- username: ann\n", 1000),
	} {
		size := int64(len(text))
		read, err := decode.Rows(t.Context(), []byte(text), format, decode.Limits{Text: size, Memory: 1 << 20}, ignore)
		if err != nil || read != size {
			t.Errorf("%s: read %d of %d bytes: %v", format, read, size, err)
		}
		_, err = decode.Rows(t.Context(), []byte(text), format, decode.Limits{Text: size - 1, Memory: 1 << 20}, ignore)
		if !errors.Is(err, decode.ErrLimit) {
			t.Errorf("%s: one byte more than the limit: %v", format, err)
		}
		_, err = decode.Rows(t.Context(), []byte(text), format, decode.Limits{Text: size, Memory: 100_000}, ignore)
		if errors.Is(err, decode.ErrLimit) != (format == decode.YAML) {
			t.Errorf("%s with 100 KB of memory: %v", format, err)
		}
	}
}

func TestRows_StopsWhenTheContextEnds(t *testing.T) {
	t.Parallel()
	for format, text := range map[decode.Format]string{
		decode.CSV:    "username\n" + strings.Repeat("ann\n", 1<<20),
		decode.JSON:   "[" + strings.TrimSuffix(strings.Repeat("{},", 1<<20), ",") + "]",
		decode.NDJSON: strings.Repeat("{}\n", 1<<20),
	} {
		ctx, cancel := context.WithCancel(t.Context())
		rows := 0
		_, err := decode.Rows(ctx, []byte(text), format, generous, func(decode.Row) error {
			cancel()
			rows++
			return nil
		})
		if !errors.Is(err, context.Canceled) || rows == 1<<20 {
			t.Errorf("%s: %v after %d rows", format, err, rows)
		}
	}
}

// TestLong_YAMLTakesLessThanIsEstimated compares the memory that a tree takes with the estimate for which a list is refused. It is
// not parallel, because it measures the heap.
func TestLong_YAMLTakesLessThanIsEstimated(t *testing.T) {
	const size = 1 << 16
	for name, row := range map[string]string{
		"ordinary rows":               "- username: customer-0000001@example.com\n  fullName: Customer number 1\n",
		"addresses":                   "- username: customer-0000001@example.com\n",
		"long usernames":              "- username: " + strings.Repeat("x", 200) + "\n",
		"short rows":                  "- username: u1\n",
		"quoted rows":                 "- username: \"ann1\"\n  fullName: \"Ann Lee\"\n",
		"rows in braces":              "- {username: ann1, fullName: Ann}\n",
		"pairs":                       "- a: b\n",
		"pairs that end with CR":      "- a: b\r",
		"pairs that end with U+0085":  "- a: b\u0085",
		"pairs that end with U+2028":  "- a: b\u2028",
		"pairs that end with U+2029":  "- a: b\u2029",
		"items":                       "-\n",
		"items that end with U+2028":  "-\u2028",
		"items with comments":         "- a #c\n",
		"items between comments":      "#c\n- a\n",
		"items with anchors":          "- &a\n",
		"dashes in text":              "- a-a: -a\n",
		"nested items":                "- - - - - a\n",
		"explicit keys":               "- ? a\n",
		"a mapping of keys and nulls": "- {a,b,c,d,e,f}\n",
		"a sequence of pairs":         "- [a: b,c: d,e: f]\n",
		"empty sequences":             "- [[],[],[],[]]\n",
	} {
		text := []byte("- username: ann\n" + strings.Repeat(row, size/len(row)))
		before, first, last, rows := heap(), int64(0), int64(0), 0
		_, err := decode.Rows(t.Context(), text, decode.YAML, generous, func(decode.Row) error {
			switch rows++; rows {
			case 1: // the tree is complete
				first = heap() - before
			case size/len(row) + 1:
				last = heap() - before
			}
			return nil
		})
		if err != nil || rows != size/len(row)+1 {
			t.Errorf("%s: %d rows, %v", name, rows, err)
			continue
		}
		_, err = decode.Rows(t.Context(), text, decode.YAML, decode.Limits{Text: 2 * size, Memory: first}, ignore)
		if !errors.Is(err, decode.ErrLimit) {
			t.Errorf("%s: the tree takes %d bytes for each byte of text, which is more than the estimate", name, first/size)
		}
		if last > first/2 { // a list of the users takes its place
			t.Errorf("%s: the tree takes %d bytes at the first row, and %d at the last", name, first, last)
		}
	}
}

// heap returns the size of what is live on the heap.
func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
