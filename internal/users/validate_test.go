// SPDX-License-Identifier: Apache-2.0

package users_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

func TestProblem(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		user users.User
		want string // prefix of the problem; empty for a valid user
	}{
		"an email address":                  {user: users.User{Username: "ann@example.com", FullName: "Ann Lee"}},
		"one character":                     {user: users.User{Username: "a"}},
		"256 characters of four bytes each": {user: users.User{Username: strings.Repeat("😀", 256), FullName: strings.Repeat("😀", 256)}},
		"spaces inside":                     {user: users.User{Username: "ann lee", FullName: " "}},
		"a line break in the full name":     {user: users.User{Username: "ann", FullName: "Ann\nLee"}},
		"a replacement character":           {user: users.User{Username: "\ufffd"}},
		"format characters inside":          {user: users.User{Username: "👩\u200d🚀 a\u202eb"}},
		"a leading zero-width space":        {user: users.User{Username: "\u200ba"}, want: "username begins or ends with an invisible"},
		"a leading byte order mark":         {user: users.User{Username: "\ufeffa"}, want: "username begins or ends with an invisible"},
		"a trailing word joiner":            {user: users.User{Username: "a\u2060"}, want: "username begins or ends with an invisible"},
		"a trailing tag":                    {user: users.User{Username: "a\U000e007f"}, want: "username begins or ends with an invisible"},
		"only a format character":           {user: users.User{Username: "\u00ad"}, want: "username begins or ends with an invisible"},
		"no username":                       {user: users.User{FullName: "Ann"}, want: "username is empty"},
		"257 ASCII characters":              {user: users.User{Username: strings.Repeat("a", 257)}, want: "username has more"},
		"257 characters of two bytes":       {user: users.User{Username: strings.Repeat("é", 257)}, want: "username has more"},
		"a username that is not UTF-8":      {user: users.User{Username: "a\xff"}, want: "username is not valid UTF-8"},
		"half a surrogate pair":             {user: users.User{Username: "a\xed\xa0\x80"}, want: "username is not valid UTF-8"},
		"a leading space":                   {user: users.User{Username: " a"}, want: "username begins or ends"},
		"a trailing no-break space":         {user: users.User{Username: "a\u00a0"}, want: "username begins or ends"},
		"only a space":                      {user: users.User{Username: " "}, want: "username begins or ends"},
		"a tab":                             {user: users.User{Username: "a\tb"}, want: "username contains a control"},
		"a C1 control character":            {user: users.User{Username: "a\u0085b"}, want: "username contains a control"},
		"a delete character":                {user: users.User{Username: "a\x7f"}, want: "username contains a control"},
		"a full name that is not UTF-8":     {user: users.User{Username: "a", FullName: "\xff"}, want: "fullName is not valid UTF-8"},
		"a full name of 257 characters": {
			user: users.User{Username: "a", FullName: strings.Repeat("é", 257)}, want: "fullName has more",
		},
		"only the first of two problems is reported": {user: users.User{FullName: "\xff"}, want: "username is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := users.Problem(tc.user)
			if (got == "") != (tc.want == "") || !strings.HasPrefix(got, tc.want) {
				t.Errorf("Problem = %q, want %q", got, tc.want)
			}
			if len(got) > 100 || strings.HasSuffix(got, ".") {
				t.Errorf("Problem = %q, want at most 100 bytes and no period", got)
			}
		})
	}
}

// rule is the pattern of a valid username. The schema of EmbeddedUserSlice has pattern, which allows more.
var (
	rule    = regexp.MustCompile(`^[^\s\p{Z}\p{Cc}\p{Cf}]([^\p{Cc}]*[^\s\p{Z}\p{Cc}\p{Cf}])?$`)
	pattern = regexp.MustCompile(`^[^\s\p{Z}\p{Cc}]([^\p{Cc}]*[^\s\p{Z}\p{Cc}])?$`)
)

func TestProblem_ImplementsTheRule(t *testing.T) {
	t.Parallel()
	odd := rapid.SampledFrom([]rune("ab é😀\t\n\v\f\r\x00\x1f\x7f\u0080\u0085\u009f\u00a0\u00ad\u1680\u180e\u2003\u200b\u2060" +
		"\u2028\u2029\u202f\u205f\u3000\ufeff\ufffd"))
	text := rapid.OneOf(
		rapid.String(),
		rapid.StringOf(odd),
		rapid.StringOfN(odd, 1, 3, -1),
		rapid.StringOfN(rapid.SampledFrom([]rune("aé ")), 250, 260, -1),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
	)
	rapid.Check(t, func(t *rapid.T) {
		user := users.User{Username: text.Draw(t, "username"), FullName: text.Draw(t, "fullName")}
		want := utf8.ValidString(user.Username) && utf8.RuneCountInString(user.Username) <= 256 && rule.MatchString(user.Username) &&
			utf8.ValidString(user.FullName) && utf8.RuneCountInString(user.FullName) <= 256
		if got := users.Problem(user); (got == "") != want {
			t.Errorf("Problem(%q) = %q, but it keeps to the rule: %t", user, got, want)
		}
		if want && !pattern.MatchString(user.Username) {
			t.Errorf("the schema of a slice refuses %q", user)
		}
	})
}

func TestLong_ProblemKnowsEveryCharacter(t *testing.T) {
	t.Parallel()
	for r := range rune(unicode.MaxRune + 1) {
		names := []string{string(r), "a" + string(r), string(r) + "a", "a" + string(r) + "a"}
		switch {
		case r >= 0xd800 && r < 0xe000, r >= 0x20000 && r < 0xe0000, r >= 0xf0000: // surrogates, ideographs, private use
			continue
		case r >= 0x10000: // no white space and no control characters are so high
			names = names[:1]
		}
		for _, username := range names {
			if got := users.Problem(users.User{Username: username}); (got == "") != rule.MatchString(username) {
				t.Errorf("Problem(%q) = %q", username, got)
			}
		}
	}
}
