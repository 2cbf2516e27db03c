// SPDX-License-Identifier: Apache-2.0

// Package tally checks the rows of a list as the operator does: the same decoder reads them, and of rows with the same username the first
// one counts.
package tally

import (
	"context"
	"fmt"
	"hash/maphash"
	"regexp"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/parts"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

// MaxFindings is the maximum number of invalid rows that a tally names.
const MaxFindings = 10

// Limits are those of an operator with its defaults.
var Limits = decode.Limits{Text: decode.MaxBytes, Memory: 256 << 20}

// Finding is an invalid row.
type Finding struct {
	Where   string // such as: customers.csv line 7
	Problem string // and the cure
}

// Tally counts the rows of lists. It keeps hashes of usernames and full names, which take 40 MiB for a million users: two different names
// with the same hash of 64 bits would be taken for one, which happens in one of many millions of such lists.
type Tally struct {
	Users    int // valid rows with distinct usernames
	Repeats  int // rows that repeat an earlier one exactly
	Invalid  int
	Memory   int64     // bytes that the list takes in the operator
	Findings []Finding // the first invalid rows

	visit func(users.User) error
	seed  maphash.Seed
	names map[uint64]uint64 // hash of the full name by hash of the username
}

// New returns an empty tally. It visits every user that counts; visit may be nil.
func New(visit func(users.User) error) *Tally {
	return &Tally{visit: visit, seed: maphash.MakeSeed(), names: map[uint64]uint64{}}
}

// Add adds a row that is somewhere, with a problem unless that is empty, as [users.List] does.
func (t *Tally) Add(user users.User, problem string, where func() string) error {
	username, fullName := maphash.String(t.seed, user.Username), maphash.String(t.seed, user.FullName)
	before, isSeen := t.names[username]
	switch {
	case problem == "" && isSeen && before == fullName:
		t.Repeats++
		return nil
	case problem == "" && isSeen:
		problem = users.DuplicateProblem
	case problem == "":
		t.names[username] = fullName
		t.Users++
		t.Memory += users.Memory(user)
		if t.visit != nil {
			return t.visit(user)
		}
		return nil
	}
	if t.Invalid++; t.Invalid <= MaxFindings {
		t.Findings = append(t.Findings, Finding{Where: where(), Problem: problem})
	}
	return nil
}

// Excess says that the lists take more memory than an operator with its defaults allows, in a line; empty if they do not.
func (t *Tally) Excess() string {
	if t.Memory <= Limits.Memory {
		return ""
	}
	return fmt.Sprintf("The list takes %s MiB of memory in the operator, which allows %s MiB by default: raise --max-list-memory, "+
		"or import it as several batches\n", terminal.Number(t.Memory>>20), terminal.Number(Limits.Memory>>20))
}

// inLine matches what the decoder puts before a problem.
var inLine = regexp.MustCompile(`^line (\d+): `)

// Part adds the rows of a part, read as the operator reads them. The lists are what the parts were made of.
func (t *Tally) Part(ctx context.Context, part parts.Part, lists []string) error {
	next := 0 // row
	_, err := decode.Rows(ctx, part.Data, part.Form.Format, Limits, func(row decode.Row) error {
		next = row.Index + 1
		problem := row.Problem
		if part.Origins != nil {
			problem = inLine.ReplaceAllString(problem, "") // which is that of the part
		}
		return t.Add(row.User, problem, func() string {
			if part.Origins == nil {
				return fmt.Sprintf("%s row %d", lists[part.List], row.Index)
			}
			origin := part.Origins[row.Index]
			return lists[origin.List] + " " + origin.Place.String()
		})
	})
	switch {
	case err == nil:
		return nil
	case next < len(part.Origins) && inLine.MatchString(err.Error()): // another header
		origin := part.Origins[next]
		return fmt.Errorf("%s: %s: %s", lists[origin.List], origin.Place, inLine.ReplaceAllString(err.Error(), ""))
	default:
		return fmt.Errorf("%s: %w", lists[part.List], err)
	}
}
