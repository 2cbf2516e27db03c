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

// Row is a row of a list with its 0-based index in it.
type Row struct {
	User
	Index int
}

// List is a list of users after its rows were judged. The rows of Valid have distinct usernames; both fields keep the
// order of the list.
type List struct {
	Valid      []Row
	Duplicates []Row // rows whose username an earlier row has with another full name
}

// Canonicalize judges the rows of a list. A row that repeats an earlier one exactly is dropped; one that gives an earlier
// username another full name is a duplicate, because only one of the two can be meant.
func Canonicalize(rows []User) List {
	list := List{Valid: make([]Row, 0, len(rows))}
	fullNames := make(map[string]string, len(rows))
	for i, user := range rows {
		fullName, seen := fullNames[user.Username]
		switch {
		case !seen:
			fullNames[user.Username] = user.FullName
			list.Valid = append(list.Valid, Row{User: user, Index: i})
		case fullName != user.FullName:
			list.Duplicates = append(list.Duplicates, Row{User: user, Index: i})
		}
	}
	return list
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
