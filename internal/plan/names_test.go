// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestIsName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"b-01234567-0":            true,
		"b-89abcdef-1234567":      true,
		"b-01234567":              false,
		"b-01234567-":             false,
		"b-01234567-x":            false,
		"b-01234567-0-copy":       false,
		"b-0123456-0":             false,
		"b-012345678-0":           false,
		"b-0123456g-0":            false,
		"b-01234567--1":           false,
		"01234567-0":              false,
		"bb-01234567-0":           false,
		"x-b-01234567-0":          false,
		"b-01234567-0-89abcdef-0": false, // of the batch b-01234567-0
	} {
		if got := IsName(name, "b"); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if !IsName("b-01234567-0-89abcdef-0", "b-01234567-0") {
		t.Error("a batch may be called like a slice")
	}
}

func TestCompareNames_OrdersTheNamesOfSeveralBatches(t *testing.T) {
	t.Parallel()
	names := []string{"b-89abcdef-10", "b-01234567-2", "b-01234567-10", "b-89abcdef-0", "b-01234567-0"}
	slices.SortFunc(names, CompareNames)
	want := []string{"b-01234567-0", "b-01234567-2", "b-89abcdef-0", "b-01234567-10", "b-89abcdef-10"}
	if !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := anyName.Draw(t, "a"), anyName.Draw(t, "b"), anyName.Draw(t, "c")
		if CompareNames(a, b) != -CompareNames(b, a) && CompareNames(a, b)*CompareNames(b, a) >= 0 {
			t.Fatal("the order is not antisymmetric")
		}
		if CompareNames(a, b) <= 0 && CompareNames(b, c) <= 0 && CompareNames(a, c) > 0 {
			t.Fatal("the order is not transitive")
		}
	})
}
