// SPDX-License-Identifier: Apache-2.0

package status

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

// SliceRow is what a table of slices has of one. The API server makes the table, so that no username leaves it, and a batch of a million
// users takes as little as any other.
type SliceRow struct {
	Name    string       `json:"name"`
	Ready   string       `json:"ready,omitempty"`
	Pending int32        `json:"pending"`
	Invalid int32        `json:"invalid,omitempty"`
	Next    *metav1.Time `json:"nextAttemptTime,omitempty"`
	Message string       `json:"message,omitempty"`
}

// Slices says how far the slices of a batch are.
type Slices struct {
	v1alpha1.SliceCounts

	// HeldUp are the slices with pending users whose requests failed or cannot be made, the one with the most users first: at most
	// 5. Omitted counts the others.
	HeldUp  []SliceRow `json:"heldUp,omitempty"`
	Omitted int        `json:"heldUpOmitted,omitempty"`
}

// maxHeldUp is the maximum number of slices that a report names.
const maxHeldUp = 5

func slicesOf(batch *v1alpha1.EmbeddedUserBatch, rows []SliceRow) Slices {
	s := Slices{SliceCounts: batch.Status.Slices}
	for _, row := range rows {
		if row.Pending > 0 && row.Ready == string(metav1.ConditionFalse) {
			s.HeldUp = append(s.HeldUp, row)
		}
	}
	slices.SortFunc(s.HeldUp, func(a, b SliceRow) int {
		return cmp.Or(cmp.Compare(b.Pending, a.Pending), cmp.Compare(a.Name, b.Name))
	})
	if more := len(s.HeldUp) - maxHeldUp; more > 0 {
		s.HeldUp, s.Omitted = s.HeldUp[:maxHeldUp], more
	}
	return s
}

// Columns of a table of slices, as the CRD names them.
const (
	columnName    = "Name"
	columnReady   = "Ready"
	columnPending = "Pending"
	columnInvalid = "Invalid"
	columnNext    = "Next"
	columnMessage = "Message"
)

// sliceRows returns the rows of a table of slices.
func sliceRows(table *metav1.Table) ([]SliceRow, error) {
	at := map[string]int{}
	for i, column := range table.ColumnDefinitions {
		at[column.Name] = i
	}
	for _, column := range []string{columnName, columnReady, columnPending, columnInvalid, columnNext, columnMessage} {
		if _, has := at[column]; !has {
			return nil, fmt.Errorf("the API server's table of slices has no column %s: the CRDs are of another version; see kubectl eub check",
				column)
		}
	}
	rows := make([]SliceRow, 0, len(table.Rows))
	for _, cells := range table.Rows {
		text := func(column string) string { s, _ := cells.Cells[at[column]].(string); return s }
		row := SliceRow{
			Name: text(columnName), Ready: text(columnReady), Message: text(columnMessage),
			Pending: count(cells.Cells[at[columnPending]]), Invalid: count(cells.Cells[at[columnInvalid]]),
		}
		if next, err := time.Parse(time.RFC3339, text(columnNext)); err == nil {
			row.Next = &metav1.Time{Time: next}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// count returns a number of a table's cell; 0 for an empty one. JSON has only floating-point numbers, client-go makes some of them
// integers.
func count(cell any) int32 {
	switch n := cell.(type) {
	case int64:
		return int32(n) //nolint:gosec // a slice has at most 1000 users
	case float64:
		return int32(n)
	default:
		return 0
	}
}
