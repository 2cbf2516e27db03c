// Package decode reads lists of users out of files: CSV, JSON, NDJSON or YAML, plain or gzipped.
//
// A row that is wrong is a row with a problem, so that the rows around it count. A list that cannot be read is an error.
// Neither repeats text of the file, which may come from a Secret.
package decode

import (
	"path"
	"strconv"
	"strings"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// Format of a list.
type Format string

const (
	// CSV is RFC 4180 with commas. Its header names the columns: username and, optionally, fullName.
	CSV Format = "CSV"
	// JSON is an array of objects with a username and, optionally, a fullName.
	JSON Format = "JSON"
	// NDJSON is such an object on each line.
	NDJSON Format = "NDJSON"
	// YAML is a sequence of mappings with the keys of those objects.
	YAML Format = "YAML"
)

const (
	// MaxBytes is the most text that a list may have, in bytes after gzip was expanded.
	MaxBytes = 64 << 20
	// MaxYAMLBytes is the same for YAML, which is held in memory as a whole, and takes many times its size there.
	MaxYAMLBytes = 8 << 20
	// MaxRowBytes is the most text that one row may have. A longer line of NDJSON is a row with a problem; in CSV and JSON
	// the list cannot be read then, and in YAML only MaxYAMLBytes counts. A good row takes 7 KB if all of it is escaped.
	MaxRowBytes = 64 << 10
)

// FormatOf returns the format that the extension of a key stands for: .csv, .json, .ndjson, .jsonl, .yaml or .yml in any
// case, and any of them before .gz. It returns false for all others.
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
	// User of the row. That of a row with a problem is empty, but for a username with which nothing is wrong.
	users.User
	// Index of the row, counted from 0. The header of a CSV and empty lines do not count.
	Index int
	// Problem is what is wrong with the row and how to mend it, in at most 200 bytes without a period, and with the number
	// of the line unless the format is JSON. It is empty for a good row.
	Problem string
}

// Rows calls visit for each row of a list in order. Its strings stay valid, and keep nothing of data in memory.
//
// An error says why the list cannot be read and how to mend that, in at most 200 bytes; no row that was visited before
// counts then. An error of visit ends the reading, and is returned as it is.
func Rows(data []byte, format Format, visit func(Row) error) error {
	read, limit := readCSV, bound{MaxBytes, errTooLarge}
	switch format {
	case CSV:
	case JSON:
		read = readJSON
	case NDJSON:
		read = readNDJSON
	case YAML:
		read, limit = readYAML, bound{MaxYAMLBytes, errYAMLTooLarge}
	default:
		return listError("the format is unknown; give CSV, JSON, NDJSON or YAML")
	}
	text, err := open(data, limit)
	if err != nil {
		return err
	}
	return read(text, &rows{visit: visit})
}

// listError says why a list cannot be read, and how to mend that.
type listError string

func (e listError) Error() string { return string(e) }

// rows passes rows on, and counts them.
type rows struct {
	visit func(Row) error
	next  int
}

// add passes on a user, which may be wrong by itself. Line is 0 in a format without lines.
func (r *rows) add(line int, user users.User) error {
	problem := users.Problem(user)
	if problem == "" {
		return r.pass(Row{User: user})
	}
	if users.Problem(users.User{Username: user.Username}) != "" {
		user.Username = ""
	}
	// The clone drops the full name, which may be in the same allocation and of any length.
	return r.pass(Row{User: users.User{Username: strings.Clone(user.Username)}, Problem: at(line, problem)})
}

// bad passes on a row that holds no user.
func (r *rows) bad(line int, problem string) error {
	return r.pass(Row{Problem: at(line, problem)})
}

func (r *rows) pass(row Row) error {
	row.Index = r.next
	r.next++
	return r.visit(row)
}

// at puts the number of a line, unless that is 0, in front of a problem.
func at(line int, problem string) string {
	if line == 0 {
		return problem
	}
	return "line " + strconv.Itoa(line) + ": " + problem
}
