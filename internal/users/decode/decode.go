// SPDX-License-Identifier: Apache-2.0

// Package decode decodes lists of users: CSV, JSON, NDJSON or YAML, plain or gzipped.
//
// An invalid row is returned with a problem, and the other rows still count. A list that cannot be read is an error. Neither
// quotes the list, which may come from a Secret.
package decode

import (
	"context"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// Format is the format of a list.
type Format string

const (
	// CSV is RFC 4180 with commas. Its header names the columns: username and, optionally, fullName. Spaces around a field do not
	// count unless they are in quotes.
	CSV Format = "CSV"
	// JSON is an array of objects with a username and, optionally, a fullName.
	JSON Format = "JSON"
	// NDJSON has one such object per line.
	NDJSON Format = "NDJSON"
	// YAML is a sequence of mappings with the keys of those objects.
	YAML Format = "YAML"
)

const (
	// MaxBytes is the maximum size of a list after decompression.
	MaxBytes = 64 << 20
	// MaxYAMLBytes is the same for YAML. It is lower because the parser holds the whole document, which takes many times its size.
	MaxYAMLBytes = 8 << 20
	// MaxRowBytes is the maximum size of a row. A longer line of NDJSON is a row with a problem; in CSV and JSON it makes the list
	// unreadable; YAML has no such limit. A valid row has at most 7 KB, if every character is escaped.
	MaxRowBytes = 64 << 10
)

// FormatOf returns the format for the extension of a key: .csv, .json, .ndjson, .jsonl, .yaml or .yml in any case, optionally
// followed by .gz. It returns false for all others.
func FormatOf(key string) (Format, bool) {
	switch path.Ext(strings.TrimSuffix(strings.ToLower(key), ".gz")) {
	case ".csv":
		return CSV, true
	case ".json":
		return JSON, true
	case ".ndjson", ".jsonl":
		return NDJSON, true
	case ".yaml", ".yml":
		return YAML, true
	default:
		return "", false
	}
}

// Row is a row of a list.
type Row struct {
	// User of the row. If the row has a problem, the user is empty except for a valid username.
	users.User
	// Index is the zero-based index of the row. The header of a CSV, empty lines, and lines of nothing but commas are not counted.
	Index int
	// Problem describes what is wrong with the row and how to fix it, in at most 200 bytes without a period. It includes the line
	// number unless the format is JSON. It is empty for a valid row.
	Problem string
}

// Limits bound what a list may take beyond the limits that hold for every list.
type Limits struct {
	Text   int64 // bytes after decompression
	Memory int64 // bytes that the parser may hold; only YAML needs more than a row
}

// Rows calls visit for each row of a list in order. The strings of a row do not refer to data. It returns the size of the text
// that it read.
//
// An error says in at most 200 bytes why the list cannot be read and how to fix that; the caller must discard the rows it has
// visited. A text is no list if it has no row with a username or a full name, unless it says that it is empty: a CSV by its
// header, JSON and YAML by []. A list that exceeds the limits is ErrLimit. If visit returns an error or the context ends, Rows
// stops and returns that error unchanged.
func Rows(ctx context.Context, data []byte, format Format, limits Limits, visit func(Row) error) (text int64, err error) {
	read, limit := readCSV, bound{MaxBytes, errTooLarge}
	switch format {
	case CSV:
	case JSON:
		read = readJSON
	case NDJSON:
		read = readNDJSON
	case YAML:
		read, limit = readYAML(limits.Memory), bound{MaxYAMLBytes, errYAMLTooLarge}
	default:
		return 0, listError("the format is unknown; give CSV, JSON, NDJSON or YAML")
	}
	if limits.Text < limit.bytes {
		limit = bound{limits.Text, ErrLimit}
	}
	bounded, err := expand(ctx, data, limit)
	if err != nil {
		return 0, err
	}
	var lines io.Reader = bounded
	if format != JSON { // whose errors give the number of a byte
		lines = &lineReader{text: bounded}
	}
	buffered, err := open(lines)
	out := &rows{visit: visit}
	if err == nil {
		err = read(buffered, out)
	}
	if err == nil {
		err = out.check(format)
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return limit.bytes - max(bounded.left, 0), err //nolint:wrapcheck // a listError, or that of visit or the context
}

// listError says why a list cannot be read and how to fix that.
type listError string

func (e listError) Error() string { return string(e) }

// rows numbers rows and passes them to visit.
type rows struct {
	visit  func(Row) error
	next   int
	isList bool     // a header or a row names a field of a user
	first  []string // what is wrong with the first rows, until isList
}

// maxNamed is the maximum number of rows that an error names.
const maxNamed = 3

// add passes on a row with a user, which it validates. line is 0 in a format without lines.
func (r *rows) add(line int, user users.User) error {
	problem := users.Problem(user)
	if problem == "" {
		return r.pass(Row{User: user})
	}
	if users.Problem(users.User{Username: user.Username}) != "" {
		user.Username = ""
	}
	return r.refuse(line, user.Username, problem)
}

// bad passes on a row without a user.
func (r *rows) bad(line int, problem string) error { return r.refuse(line, "", problem) }

// refuse passes on a row with a problem.
func (r *rows) refuse(line int, username, problem string) error {
	if !r.isList && len(r.first) < maxNamed {
		what, _, _ := strings.Cut(problem, ";")
		if line == 0 {
			what = fmt.Sprintf("row %d: %s", r.next, what)
		}
		r.first = append(r.first, at(line, what))
	}
	// The username may share its memory with a full name of any length, which the clone releases.
	return r.pass(Row{User: users.User{Username: strings.Clone(username)}, Problem: at(line, problem)})
}

func (r *rows) pass(row Row) error {
	row.Index = r.next
	r.next++
	return r.visit(row)
}

// check returns an error if the rows are those of no list, such as a page that a proxy answered instead of the list.
func (r *rows) check(format Format) error {
	switch {
	case r.isList, r.next == 0 && format != NDJSON:
		return nil
	case r.next == 0:
		return listError("the NDJSON is empty; write one JSON object per line, or for an empty list [] in JSON")
	default:
		return listError("no row has a username or a fullName (" + strings.Join(r.first, ", ") + "); check the list and its format")
	}
}

// at prefixes a problem with the line number, unless that is 0.
func at(line int, problem string) string {
	if line == 0 {
		return problem
	}
	return "line " + strconv.Itoa(line) + ": " + problem
}
