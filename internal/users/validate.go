// SPDX-License-Identifier: Apache-2.0

package users

import (
	"unicode"
	"unicode/utf8"
)

// maxLength is the maximum length of a username or a full name, in characters.
const maxLength = 256

// Problem describes what is wrong with a user and how to fix it. It returns "" for a user that may be sent. The description is
// one sentence without a period, at most 100 bytes long, and does not quote the user.
func Problem(user User) string {
	if problem := usernameProblem(user.Username); problem != "" {
		return problem
	}
	switch {
	case !utf8.ValidString(user.FullName):
		return "fullName is not valid UTF-8; write it in UTF-8"
	case tooLong(user.FullName):
		return "fullName has more than 256 characters; shorten it"
	default:
		return ""
	}
}

// usernameProblem implements the pattern ^[^\s\p{Z}\p{Cc}\p{Cf}]([^\p{Cc}]*[^\s\p{Z}\p{Cc}\p{Cf}])?$ without the cost of a regular
// expression for each of a million rows. A format character, such as a zero-width space, cannot be seen; inside a username it can
// matter, as a joiner in an emoji does.
func usernameProblem(username string) string {
	switch {
	case username == "":
		return "username is empty; give one of 1 to 256 characters"
	case plain(username):
		return ""
	case !utf8.ValidString(username):
		return "username is not valid UTF-8; write it in UTF-8"
	case tooLong(username):
		return "username has more than 256 characters; shorten it"
	}
	for _, r := range username {
		if unicode.IsControl(r) {
			return "username contains a control character, such as a tab or a line break; remove it"
		}
	}
	first, _ := utf8.DecodeRuneInString(username)
	last, _ := utf8.DecodeLastRuneInString(username)
	// Apart from the space, all characters in \s are control characters.
	switch {
	case unicode.Is(unicode.Z, first), unicode.Is(unicode.Z, last):
		return "username begins or ends with white space; remove it"
	case unicode.Is(unicode.Cf, first), unicode.Is(unicode.Cf, last):
		return "username begins or ends with an invisible format character, such as U+200B; remove it"
	default:
		return ""
	}
}

// plain reports whether a username is printable ASCII without a space at either end, as most valid ones are.
func plain(username string) bool {
	if len(username) > maxLength || username[0] == ' ' || username[len(username)-1] == ' ' {
		return false
	}
	for i := range len(username) {
		if c := username[i]; c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

func tooLong(s string) bool {
	return len(s) > maxLength && utf8.RuneCountInString(s) > maxLength
}
