// SPDX-License-Identifier: Apache-2.0

package parts

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/lists"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

// row returns a row that hardly compresses.
func row(number uint64) lists.Row {
	random := rand.New(rand.NewPCG(number, 7))
	return lists.Row{Form: lists.CSVOfOne, Text: fmt.Appendf(nil, "%016x%016x%016x\n", random.Uint64(), random.Uint64(), random.Uint64())}
}

func pack(tb testing.TB, rows []lists.Row) []Part {
	tb.Helper()
	var p Packer
	for i, row := range rows {
		row.Place = lists.Place(i + 1)
		if err := p.Add(row, 0); err != nil {
			tb.Fatal(err)
		}
	}
	list, err := p.Parts()
	if err != nil {
		tb.Fatal(err)
	}
	return list
}

func numbered(from, to int) (rows []lists.Row) {
	for i := from; i < to; i++ {
		rows = append(rows, row(uint64(i)))
	}
	return rows
}

// readBack returns the rows of parts as the operator reads them.
func readBack(tb testing.TB, list []Part) string {
	tb.Helper()
	var text strings.Builder
	for _, part := range list {
		limits := decode.Limits{Text: decode.MaxBytes, Memory: decode.MaxBytes}
		_, err := decode.Rows(tb.Context(), part.Data, part.Form.Format, limits, func(row decode.Row) error {
			text.WriteString(row.Username + "\n")
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	return text.String()
}

func digests(list []Part) (names []string) {
	for _, part := range list {
		names = append(names, part.Digest)
	}
	return names
}

func TestPacker_KeepsTheLimitsAndFillsParts(t *testing.T) {
	list := pack(t, numbered(0, 100_000))
	for i, part := range list {
		if len(part.Data) > MaxBytes {
			t.Errorf("part %d has %d bytes", i, len(part.Data))
		}
		if i < len(list)-1 && len(part.Data) < fewBytes {
			t.Errorf("part %d has only %d bytes, and others follow", i, len(part.Data))
		}
		if len(part.Origins) == 0 {
			t.Errorf("part %d says nothing of its rows", i)
		}
	}
	if len(list) < 3 {
		t.Errorf("%d parts show too little", len(list))
	}
	if one := pack(t, numbered(0, 20_000)); len(one) != 1 {
		t.Errorf("%d parts for a list that fits into one", len(one))
	}
}

// A text that compresses without end is cut before the operator would refuse it.
func TestPacker_KeepsTheLimitOfTheText(t *testing.T) {
	long := lists.Row{Form: lists.CSVOfOne, Text: []byte(strings.Repeat("x", 60_000) + "\n")}
	rows := make([]lists.Row, 2*maxText/len(long.Text))
	for i := range rows {
		rows[i] = long
	}
	list := pack(t, rows)
	if len(list) < 2 || len(list) > 3 {
		t.Errorf("%d parts", len(list))
	}
	readBack(t, list)
}

// When some rows change, the parts far from them stay.
func TestPacker_IsStable(t *testing.T) {
	rows := numbered(0, 300_000)
	before := digests(pack(t, rows))
	if diff := cmp.Diff(before, digests(pack(t, rows))); diff != "" {
		t.Errorf("the same rows have other parts: %s", diff)
	}
	for name, change := range map[string][]lists.Row{
		"a row is added":           append(rows[:len(rows):len(rows)], row(1<<40)),
		"a row is added first":     append([]lists.Row{row(1 << 40)}, rows...),
		"a row is removed":         append(rows[:50_000:50_000], rows[50_001:]...),
		"a row in the middle":      append(append(rows[:70_000:70_000], row(1<<40)), rows[70_001:]...),
		"a thousand rows in front": append(numbered(1<<40, 1<<40+1000), rows...),
	} {
		t.Run(name, func(t *testing.T) {
			kept := map[string]bool{}
			for _, digest := range before {
				kept[digest] = true
			}
			changed := 0
			after := digests(pack(t, change))
			for _, digest := range after {
				if !kept[digest] {
					changed++
				}
			}
			if changed == 0 || changed > 4 {
				t.Errorf("%d of %d parts changed", changed, len(after))
			}
		})
	}
}

func TestPacker_KeepsEveryRowInOrder(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		from, n := rapid.IntRange(0, 1000).Draw(r, "from"), rapid.IntRange(0, 8000).Draw(r, "rows")
		rows := numbered(from, from+n)
		var want strings.Builder
		for _, row := range rows {
			want.Write(row.Text)
		}
		list := pack(t, rows)
		if got := readBack(t, list); got != want.String() {
			r.Fatalf("%d rows became %d lines", n, strings.Count(got, "\n"))
		}
		next := lists.Place(1)
		for _, part := range list {
			for _, origin := range part.Origins {
				if origin.Place != next {
					r.Fatalf("%s comes after %s", origin.Place, next-1)
				}
				next++
			}
		}
	})
}

func TestPacker_DoesNotMixForms(t *testing.T) {
	json := lists.Row{Form: lists.NDJSON, Text: []byte(`{"username":"a"}` + "\n")}
	yaml := lists.Row{Form: lists.WholeYAML, Text: []byte("- username: 1\n")}
	list := pack(t, []lists.Row{row(1), row(2), json, yaml, yaml, row(3)})
	var forms []lists.Form
	for _, part := range list {
		forms = append(forms, part.Form)
	}
	want := []lists.Form{lists.CSVOfOne, lists.NDJSON, lists.WholeYAML, lists.WholeYAML, lists.CSVOfOne}
	if diff := cmp.Diff(want, forms); diff != "" {
		t.Error(diff)
	}
	if list[2].Digest != list[3].Digest || list[0].Digest == list[4].Digest {
		t.Errorf("digests: %v", digests(list))
	}
}
