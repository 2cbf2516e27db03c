// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"strconv"
	"strings"
	"testing"
)

// columns of the table of docs/benchmarks.md.
const (
	columnWall = 3
	columnPOST = 6
	columnRSS  = 8
	columnCPU  = 9
)

// TestSizing_IsThatOfTheBenchmarks compares the bounds that docs/operations.md states with what was measured.
func TestSizing_IsThatOfTheBenchmarks(t *testing.T) {
	measured := map[string][]string{}
	for line := range strings.Lines(pageAt(t, "docs/benchmarks.md").prose) {
		if cells := strings.Split(line, "|"); len(cells) > columnCPU {
			measured[strings.TrimSpace(cells[1])] = cells
		}
	}
	prose := strings.Join(strings.Fields(pageAt(t, "docs/operations.md").prose), " ")
	for _, bound := range []struct {
		says   string
		row    string
		column int
		most   float64
	}{
		{"a million users in less than three minutes", "b2", columnWall, 180},
		{"less than 350 MiB while a million users", "b2", columnRSS, 350},
		{"less than a minute of one core for a million users", "b2", columnCPU, 60},
		{"10,000 batches of one user in less than two minutes", "c2", columnWall, 120},
		{"with some 20 requests", "c2", columnPOST, 29},
	} {
		if !strings.Contains(prose, bound.says) {
			t.Errorf("docs/operations.md does not say %q", bound.says)
		}
		if len(measured[bound.row]) == 0 {
			t.Fatalf("docs/benchmarks.md has no row %s", bound.row)
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(measured[bound.row][bound.column]), 64)
		if err != nil || value > bound.most {
			t.Errorf("docs/operations.md says %q, and row %s has %g (%v)", bound.says, bound.row, value, err)
		}
	}
}
