// SPDX-License-Identifier: Apache-2.0

// Package users defines lists of users, independent of their source and of the API: which rows are valid and when a row has
// changed.
package users

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// User is one user of an Alloy Embedded account. Usernames are compared byte for byte.
type User struct {
	Username string
	FullName string
}

// Row is a row of a list, with the number of its source and its zero-based index there. The caller assigns the numbers of the
// sources.
type Row struct {
	User
	Source, Index int32
}

// Flaw is an invalid row. If Problem is empty, the row is a duplicate: an earlier row has the same username and a different full
// name.
type Flaw struct {
	Row
	Problem string
}

// DuplicateProblem says of a duplicate what is wrong with it and how to fix that.
const DuplicateProblem = "An earlier row with the same username and a different fullName is used; remove one of the two"

// MaxFlaws is the maximum number of flawed rows that a list keeps; it only counts the rest.
const MaxFlaws = 100

// List is a list of users that checks rows as they are added. The zero value is an empty list.
type List struct {
	// Valid holds the valid rows, with distinct usernames, in the order in which they were added.
	Valid []Row
	// Flawed holds the first MaxFlaws invalid rows. FlawedCount counts all of them.
	Flawed      []Flaw
	FlawedCount int
	// Repeated counts the rows that were dropped because they repeat an earlier one exactly.
	Repeated int

	places map[string]int32 // username to index in Valid
}

// Add adds a row; a non-empty problem makes it invalid. Add drops a row that repeats an earlier one exactly, and counts it. A row
// that repeats a username with a different full name is an invalid duplicate.
func (l *List) Add(row Row, problem string) {
	if l.places == nil {
		l.places = map[string]int32{}
	}
	place, seen := l.places[row.Username]
	switch {
	case problem != "" || seen && l.Valid[place].FullName != row.FullName:
		if l.FlawedCount++; l.FlawedCount <= MaxFlaws {
			l.Flawed = append(l.Flawed, Flaw{Row: row, Problem: problem})
		}
	case seen:
		l.Repeated++
	default:
		l.places[row.Username] = int32(len(l.Valid)) //nolint:gosec // a list is far shorter
		l.Valid = append(l.Valid, row)
	}
}

// Find returns the index of a username in Valid.
func (l *List) Find(username string) (place int, ok bool) {
	found, ok := l.places[username]
	return int(found), ok
}

// Hash returns 8 bytes in hex that identify a user as it was sent. An invalid user is retried when its hash changes.
func Hash(user User) string {
	// The separator is unambiguous, because a username has no control characters.
	sum := sha256.Sum256([]byte(user.Username + "\x00" + user.FullName))
	return hex.EncodeToString(sum[:8])
}

// rowBytes is more than the memory that a row takes besides its text, from reading to writing: 139 bytes in a plan of a million
// rows (measured), and what the list leaves behind as it grows.
const rowBytes = 176

// Memory returns more than the bytes of memory that a valid row of a list takes in the operator.
func Memory(user User) int64 { return rowBytes + int64(len(user.Username)+len(user.FullName)) }

// Size returns the maximum size of a user as JSON, in a stored object or in a request.
func Size(user User) int {
	return len(`{"username":,"fullName":},`) + jsonSize(user.Username) + jsonSize(user.FullName)
}

// jsonSize returns the size of s as encoding/json writes it with HTML escapes, the longest form that any encoder involved uses.
func jsonSize(s string) int {
	plain := true
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			plain = false
			break
		}
	}
	if plain {
		return len(s) + 2
	}
	encoded, err := json.Marshal(s)
	if err != nil { // impossible for a string
		return 6*len(s) + 2
	}
	return len(encoded)
}
