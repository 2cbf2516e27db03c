// SPDX-License-Identifier: Apache-2.0

package results

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/golden"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/sheet"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// example returns the rows of a batch whose users have everything that a result can have.
func example() []Row {
	hash := func(user v1alpha1.User) string { return users.Hash(users.User(user)) }
	rejected := v1alpha1.User{Username: "rejected@example.com", FullName: "Jo"}
	known := placesOf(&v1alpha1.EmbeddedUserBatch{Status: v1alpha1.EmbeddedUserBatchStatus{InvalidUsers: []v1alpha1.InvalidUser{
		{Username: "twice@example.com", Row: 2, Reason: v1alpha1.InvalidReasonDuplicateUsername,
			Message: "An earlier row with the same username and a different fullName is used; remove one of the two"},
		{Source: &v1alpha1.SourceKey{Kind: "ConfigMap", Name: "customers", Key: "users.csv"}, Row: 7, Reason: v1alpha1.InvalidReasonInvalidRow,
			Message: "line 9: username is empty; give one of 1 to 256 characters"},
		{Username: rejected.Username, Source: &v1alpha1.SourceKey{Kind: "Secret", Name: "more", Key: "l.json"}, Row: 1,
			Reason: v1alpha1.InvalidReasonRejectedByAPI, Message: "The API refused this user: no seats; correct the row or remove it"},
	}}})
	rows := []Row{invalidRow(known.rows[0]), invalidRow(known.rows[1])}
	for _, user := range []struct {
		v1alpha1.User
		result v1alpha1.UserResult
	}{
		{v1alpha1.User{Username: "demo@runalloy.com", FullName: "Gregg \"G\" Mojica, Jr."}, v1alpha1.UserResult{Result: v1alpha1.ResultCreated}},
		{v1alpha1.User{Username: "=1+1", FullName: "'quoted'"},
			v1alpha1.UserResult{Result: v1alpha1.ResultExisting, Reason: v1alpha1.ReasonUnconfirmedAttempt}},
		{v1alpha1.User{Username: "00123", FullName: "\x1b[31mred\u009b\u202e\nlines"}, v1alpha1.UserResult{}},
		{rejected, v1alpha1.UserResult{Result: v1alpha1.ResultInvalid, Reason: "RejectedByAPI", Message: "-no seats", Hash: hash(rejected)}},
		{v1alpha1.User{Username: "corrected"}, v1alpha1.UserResult{Result: v1alpha1.ResultInvalid, Hash: "of another row"}},
		{v1alpha1.User{Username: "gone"}, v1alpha1.UserResult{Result: v1alpha1.ResultCreated, Pending: v1alpha1.PendingMissing}},
	} {
		row := rowOf("", user.User, user.result, user.result.Result != "")
		known.locate(&row)
		rows = append(rows, row)
	}
	return rows
}

func written(t *testing.T, format string, delimiter rune, isTerminal bool, rows []Row) string {
	t.Helper()
	var text bytes.Buffer
	out := bufio.NewWriter(&text)
	w := newWriter(out, format, delimiter, isTerminal)
	for _, row := range rows {
		if err := w.write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestWriter(t *testing.T) {
	for _, format := range []string{formatTable, formatCSV, formatJSON, formatNDJSON} {
		golden.Equal(t, format, written(t, format, ',', false, example()))
		golden.Equal(t, format+"-empty", written(t, format, ',', false, nil))
	}
}

func TestWriter_SendsNoEscapeSequenceToATerminal(t *testing.T) {
	for _, format := range []string{formatTable, formatCSV, formatJSON, formatNDJSON} {
		if text := written(t, format, ',', true, example()); strings.ContainsAny(text, "\x1b\ufeff\u009b\u202e") {
			t.Errorf("%s: %q", format, text)
		}
	}
}

// What import reads from the CSV are the users as they were.
func TestCSV_ReadsBackAsItWas(t *testing.T) {
	rows := example()
	for name, delimiter := range delimiters {
		text := strings.TrimPrefix(written(t, formatCSV, delimiter, false, rows), "\ufeff")
		from := csv.NewReader(strings.NewReader(text))
		from.Comma = delimiter
		records, err := from.ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if len(records) != len(rows)+1 || !sheet.IsResults(records[0]) {
			t.Fatal(name, len(records), records[0])
		}
		for i, record := range records[1:] {
			got := [2]string{sheet.Unescape(record[0]), sheet.Unescape(record[1])}
			if diff := cmp.Diff([2]string{rows[i].Username, rows[i].FullName}, got); diff != "" {
				t.Error(name, diff)
			}
		}
	}
}

// A table of many rows is not held in memory, and its columns stay where they are.
func TestTable_OfManyRows(t *testing.T) {
	var rows []Row
	for i := range 3 * rowsAhead {
		rows = append(rows, Row{Username: fmt.Sprintf("user-%05d", i), Result: Created})
	}
	rows[2*rowsAhead].Username = strings.Repeat("long", 40)
	lines := strings.Split(strings.TrimSpace(written(t, formatTable, ',', false, rows)), "\n")
	if len(lines) != len(rows)+1 || strings.Index(lines[0], "RESULT") != strings.Index(lines[len(rows)], "Created") {
		t.Errorf("%d lines: %q, %q", len(lines), lines[0], lines[len(lines)-1])
	}
	if !strings.HasPrefix(lines[2*rowsAhead+1], rows[2*rowsAhead].Username+" ") {
		t.Error("a username is cut: " + lines[2*rowsAhead+1])
	}
}
