// Package users holds what a list of users means, apart from where it is written down and whom it is sent to: which rows
// count, which are invalid by themselves, and when a row has changed.
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

// Row is a row of a list, and where it stands: with its 0-based index in the source of this number. What the numbers of the
// sources mean is known to whoever puts the list together.
type Row struct {
	User
	Source, Index int32
}

// Flaw is a row that is invalid by itself. Without a problem of its own it is a duplicate: an earlier row has its username
// with another full name.
type Flaw struct {
	Row
	Problem string
}

// MaxFlaws is how many flawed rows a list keeps; the rest is only counted.
const MaxFlaws = 100

// List is a list of users whose rows are judged as they are added. The zero value is an empty list.
type List struct {
	// Valid are the rows that count, with distinct usernames, in the order in which they were added.
	Valid []Row
	// Flawed are the first MaxFlaws of those that do not, and FlawedCount is how many there are.
	Flawed      []Flaw
	FlawedCount int

	places map[string]int32 // of the usernames in Valid
}

// Add judges a row; problem is what is wrong with it, if anything is known. A row that repeats an earlier one exactly is
// dropped; one that gives an earlier username another full name is a duplicate, because only one of the two can be meant.
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
	case !seen:
		l.places[row.Username] = int32(len(l.Valid)) //nolint:gosec // a list is far shorter
		l.Valid = append(l.Valid, row)
	}
}

// Find returns the place of a username in Valid.
func (l *List) Find(username string) (place int, ok bool) {
	found, ok := l.places[username]
	return int(found), ok
}

// Hash identifies a user as it was sent: 8 bytes, in hex. An invalid user whose hash changed is worth another try.
func Hash(user User) string {
	// The separator cannot stand in a username: control characters are refused there.
	sum := sha256.Sum256([]byte(user.Username + "\x00" + user.FullName))
	return hex.EncodeToString(sum[:8])
}

// Size is the most bytes that a user takes in JSON, in a stored object as well as in a request.
func Size(user User) int {
	return len(`{"username":,"fullName":},`) + jsonSize(user.Username) + jsonSize(user.FullName)
}

// jsonSize is exact for text that encoding/json escapes for HTML, which is the longest form that any JSON encoder in
// between writes.
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
	if err != nil { // no string fails
		return 6*len(s) + 2
	}
	return len(encoded)
}
