// SPDX-License-Identifier: Apache-2.0

package parts

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/lists"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

// pack returns the parts of rows of one form.
func pack(tb rapid.TB, form lists.Form, rows []string) []Part {
	tb.Helper()
	var packer Packer
	for i, row := range rows {
		if err := packer.Add(lists.Row{Form: form, Text: []byte(row), Place: lists.Place(i + 1)}, 0); err != nil {
			tb.Fatal(err)
		}
	}
	made, err := packer.Parts()
	if err != nil {
		tb.Fatal(err)
	}
	return made
}

// decoded returns the usernames in parts, as the operator reads them.
func decoded(t testing.TB, made []Part) (usernames []string) {
	t.Helper()
	for _, part := range made {
		limits := decode.Limits{Text: decode.MaxBytes, Memory: decode.MaxBytes}
		_, err := decode.Rows(t.Context(), part.Data, part.Form.Format, limits, func(row decode.Row) error {
			usernames = append(usernames, row.Username+row.Problem)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return usernames
}

// random returns rows that hardly shrink when they are compressed.
func random(rows int) []string {
	chance := rand.New(rand.NewPCG(1, 2))
	list := make([]string, rows)
	for i := range list {
		list[i] = fmt.Sprintf("%016x%016x,%016x\n", chance.Uint64(), chance.Uint64(), chance.Uint64())
	}
	return list
}

func digests(made []Part) (all []string) {
	for _, part := range made {
		all = append(all, part.Digest)
	}
	return all
}

// changed returns how many parts two lists do not have in common, at most on one side.
func changed(before, after []Part) int {
	count := func(of, among []Part) (n int) {
		others := digests(among)
		for _, digest := range digests(of) {
			if !slices.Contains(others, digest) {
				n++
			}
		}
		return n
	}
	return max(count(before, after), count(after, before))
}

// Whatever the rows are, the operator reads them in their order, and each has its line.
func TestParts_HaveAllRowsInOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		names := rapid.SliceOfN(rapid.StringMatching(`[a-z0-9]{1,40}`), 1, 2000).Draw(rt, "names")
		form := rapid.SampledFrom([]lists.Form{lists.CSV, lists.CSVOfOne, lists.NDJSON}).Draw(rt, "form")
		rows := make([]string, len(names))
		for i, name := range names {
			rows[i] = map[lists.Form]string{
				lists.CSV: name + ",\n", lists.CSVOfOne: name + "\n", lists.NDJSON: `{"username":"` + name + "\"}\n",
			}[form]
		}
		made := pack(rt, form, rows)
		if diff := cmp.Diff(names, decoded(t, made)); diff != "" {
			rt.Fatalf("rows (-want +got):\n%s", diff)
		}
		line := lists.Place(0)
		for _, part := range made {
			for _, origin := range part.Origins {
				if line++; origin.Place != line {
					rt.Fatalf("row %d is in %s", line, origin.Place)
				}
			}
		}
		if again := pack(rt, form, rows); changed(made, again) != 0 {
			rt.Fatal("the same rows have other parts")
		}
	})
}

// Every part of a long list fits into a ConfigMap, and there are few of them.
func TestParts_AreFullAndFit(t *testing.T) {
	made, size := pack(t, lists.CSV, random(250_000)), 0
	for i, part := range made {
		if size += len(part.Data); len(part.Data) > MaxBytes {
			t.Errorf("part %d has %d bytes", i, len(part.Data))
		}
		if len(part.Data) < fewBytes && i < len(made)-1 {
			t.Errorf("part %d has %d bytes only", i, len(part.Data))
		}
	}
	t.Logf("%d bytes in %d parts", size, len(made))
	if most := size/fewBytes + 1; len(made) > most || len(made) < 5 {
		t.Errorf("%d bytes are in %d parts, of at most %d", size, len(made), most)
	}
}

// When somebody changes a row, adds one or removes one, the parts without that row stay, wherever it is.
func TestParts_StayWhenARowElsewhereChanges(t *testing.T) {
	rows := random(250_000)
	before := pack(t, lists.CSV, rows)
	for name, edit := range map[string]func(at int) []string{
		"changed": func(at int) []string { return slices.Concat(rows[:at], []string{"changed,Row\n"}, rows[at+1:]) },
		"added":   func(at int) []string { return slices.Insert(slices.Clone(rows), at, "added,Row\n") },
		"removed": func(at int) []string { return slices.Delete(slices.Clone(rows), at, at+1) },
	} {
		for _, at := range []int{0, 77_777, 249_999} {
			after := pack(t, lists.CSV, edit(at))
			n := changed(before, after)
			t.Logf("row %d %s: %d of %d parts are new", at, name, n, len(after))
			if n == 0 || n > mostChanged {
				t.Errorf("row %d %s: %d of %d parts are new", at, name, n, len(after))
			}
		}
	}
}

// mostChanged is how many parts an edited row changes at most: its own, and one that is cut elsewhere because of that.
const mostChanged = 2
