// SPDX-License-Identifier: Apache-2.0

package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
)

// urgency orders states: those that need a person come first.
var urgency = []State{Stalled, Unseen, Working, Observed, Suspended, Ready}

// Fleet returns a table of many batches, those that need a person first, and a line that sums them up.
func Fleet(reports []Report, columns int, palette terminal.Palette) string {
	if len(reports) == 0 {
		return "No batches.\n"
	}
	reports = slices.Clone(reports)
	slices.SortFunc(reports, func(a, b Report) int {
		return cmp.Or(cmp.Compare(slices.Index(urgency, a.State), slices.Index(urgency, b.State)),
			cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	table := [][]string{{"NAMESPACE", "NAME", "STATE", "REASON", "DONE", "INVALID", "PENDING", "TO DO"}}
	for i := range reports {
		r := &reports[i]
		table = append(table, []string{
			terminal.Clean(r.Namespace), terminal.Clean(r.Name), string(r.State), terminal.Clean(r.Reason),
			doneShare(r), terminal.Number(r.Counts.Invalid), terminal.Number(r.Counts.Pending), toDo(r),
		})
	}
	return aligned(table, columns, func(row, column int, text string) string {
		if row == 0 || column != 2 {
			return text
		}
		return palette.Paint(toneOf(reports[row-1].State), text)
	}) + "\n" + summary(reports) + "\n"
}

// doneShare returns how many of the users have a result; a dash if there are no users.
func doneShare(r *Report) string {
	if r.Counts.Total == 0 {
		return "-"
	}
	return fmt.Sprintf("%d %%", percent(r.Counts.Total-r.Counts.Pending, r.Counts.Total))
}

// toDo returns what to do about a batch that does not go on by itself.
func toDo(r *Report) string {
	if r.State != Unseen && !r.State.NeedsPerson() {
		return ""
	}
	return terminal.Clean(r.Do)
}

// aligned returns rows in columns. The last column is cut at the width of the terminal.
func aligned(rows [][]string, columns int, paint func(row, column int, text string) string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, text := range row {
			widths[i] = max(widths[i], terminal.Width(text))
		}
	}
	const gap = 3
	left := columns
	for _, width := range widths[:len(widths)-1] {
		left -= width + gap
	}
	var out strings.Builder
	for i, row := range rows {
		var line strings.Builder
		for j, text := range row {
			if j == len(row)-1 {
				line.WriteString(paint(i, j, terminal.Cut(text, max(left, terminal.Width(rows[0][j])))))
			} else {
				line.WriteString(paint(i, j, text) + strings.Repeat(" ", widths[j]-terminal.Width(text)+gap))
			}
		}
		out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return out.String()
}

func summary(reports []Report) string {
	of := map[State]int{}
	var users, pending, invalid int64
	for i := range reports {
		of[reports[i].State]++
		users += int64(reports[i].Counts.Total)
		pending += int64(reports[i].Counts.Pending)
		invalid += int64(reports[i].Counts.Invalid)
	}
	var states []string
	for _, state := range urgency {
		if n := of[state]; n > 0 {
			states = append(states, fmt.Sprintf("%d %s", n, state))
		}
	}
	return fmt.Sprintf("%s (%s); %s, of which %s are pending and %s invalid", terminal.Count(len(reports), "batch", "batches"),
		strings.Join(states, ", "), terminal.Count(users, "user", "users"), terminal.Number(pending), terminal.Number(invalid))
}
