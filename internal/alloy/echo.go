// SPDX-License-Identifier: Apache-2.0

package alloy

import (
	"bytes"
	"encoding/json"
	"html"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// echoes is what the invalid users in an answer mean for the request.
type echoes struct {
	named               map[string]struct{}
	unmatched, nameless int
}

// matchEchoes finds the users of a request that an answer names as invalid, one row at a time, so that an answer with more
// rows than the request takes no more memory. It reports false for invalid users that are no list.
func matchEchoes(invalidUsers json.RawMessage, sent []users.User) (echoes, bool) {
	found := echoes{named: map[string]struct{}{}}
	if len(invalidUsers) == 0 || string(invalidUsers) == "null" {
		return found, true
	}
	decoder := json.NewDecoder(bytes.NewReader(invalidUsers))
	if start, err := decoder.Token(); err != nil || start != json.Delim('[') {
		return echoes{}, false
	}
	request := &requestIndex{sent: sent}
	for decoder.More() {
		var row json.RawMessage
		if err := decoder.Decode(&row); err != nil {
			return echoes{}, false
		}
		username, fullName := readEcho(row)
		var matches []string
		if username != "" {
			matches = request.byUsername(username)
		} else if fullName != "" {
			matches = request.byFullName(fullName)
		}
		switch {
		case len(matches) > 0:
			for _, match := range matches {
				found.named[match] = struct{}{}
			}
		case username != "":
			found.unmatched++
		default:
			found.nameless++
		}
	}
	return found, true
}

// readEcho reads one invalid user: an object with a username, a full name or both, or just a username. Of anything else it
// reads nothing, because one odd row says nothing against the others.
func readEcho(row json.RawMessage) (username, fullName string) {
	if firstByte(row) == '"' {
		return stringOf(row), ""
	}
	var fields struct {
		Username json.RawMessage `json:"username"`
		FullName json.RawMessage `json:"fullName"`
	}
	if firstByte(row) != '{' || json.Unmarshal(row, &fields) != nil {
		return "", ""
	}
	// An API that makes numbers of digits still names the user.
	if c := firstByte(fields.Username); c == '-' || '0' <= c && c <= '9' {
		return string(fields.Username), ""
	}
	return stringOf(fields.Username), stringOf(fields.FullName)
}

// stringOf returns a JSON string, or nothing for another value.
func stringOf(value json.RawMessage) string {
	var text string
	if firstByte(value) != '"' || json.Unmarshal(value, &text) != nil {
		return ""
	}
	return text
}

// requestIndex finds users of a request by what an answer says of them. Each index is made when it is first needed: most
// answers name nobody, or name users exactly.
type requestIndex struct {
	sent      []users.User
	exact     map[string]struct{}
	folded    map[string][]string
	fullNames map[string][]string
	caser     cases.Caser // not safe for concurrent use, so each request has its own
}

// byUsername returns the usernames of the request that an echoed one fits: exactly, else folded.
func (r *requestIndex) byUsername(echoed string) []string {
	if r.exact == nil {
		r.exact = make(map[string]struct{}, len(r.sent))
		for _, user := range r.sent {
			r.exact[user.Username] = struct{}{}
		}
	}
	if _, ok := r.exact[echoed]; ok {
		return []string{echoed}
	}
	if r.folded == nil {
		r.caser = cases.Fold()
		r.folded = make(map[string][]string, len(r.sent))
		for _, user := range r.sent {
			key := r.fold(user.Username)
			r.folded[key] = append(r.folded[key], user.Username)
		}
	}
	return r.folded[r.fold(echoed)]
}

// byFullName returns the usernames of the request's users that have exactly this full name.
func (r *requestIndex) byFullName(fullName string) []string {
	if r.fullNames == nil {
		r.fullNames = make(map[string][]string, len(r.sent))
		for _, user := range r.sent {
			r.fullNames[user.FullName] = append(r.fullNames[user.FullName], user.Username)
		}
	}
	return r.fullNames[fullName]
}

// fold undoes what servers do to a username before they store or show it: escaping for HTML, normalising, changing the case
// and trimming.
func (r *requestIndex) fold(username string) string {
	username = r.caser.String(norm.NFKC.String(html.UnescapeString(username)))
	return strings.TrimSpace(norm.NFKC.String(username)) // folding can undo the normal form
}
