// SPDX-License-Identifier: Apache-2.0

// Package sheet makes the CSV of results one that opens in a spreadsheet as it is, and can be imported again.
//
// A spreadsheet takes a field that begins with = + - or @ for a formula, which can run programs and send data, and turns what looks like
// a number, a date or a truth value into one: 00123 into 123, 123456789012 into 1.23457E+11, MAR1 into the first of March. Such a field
// gets an apostrophe before it, which keeps it text in Excel, LibreOffice, Numbers and Google Sheets, and stays when the file is saved. So
// that this can be undone without a doubt, a field that begins with an apostrophe itself gets another one. Unescape takes one away.
package sheet

import (
	"regexp"
	"strings"
)

// Columns of the CSV of results. The first two are those of a list of users; the others say what became of each, and are ignored when the
// file is imported.
const (
	ColumnUsername = "username"
	ColumnFullName = "fullName"
	ColumnResult   = "result"
	ColumnReason   = "reason"
	ColumnMessage  = "message"
	ColumnSource   = "source"
	ColumnRow      = "row"
	ColumnLine     = "line"
)

// Header returns the columns in order.
func Header() []string {
	return []string{ColumnUsername, ColumnFullName, ColumnResult, ColumnReason, ColumnMessage, ColumnSource, ColumnRow, ColumnLine}
}

// IsResults reports whether a header is that of a CSV of results, whose fields are escaped, rather than that of an ordinary list. The
// order of the columns does not matter, because people move them.
func IsResults(header []string) bool {
	has := map[string]bool{}
	for _, name := range header {
		has[strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))] = true
	}
	return has[ColumnUsername] && has[ColumnResult] && has[ColumnReason]
}

// formula matches what a spreadsheet takes for a formula, also behind spaces and as full-width characters, and the apostrophe itself.
var formula = regexp.MustCompile("^[ \u00a0\u3000]*[=+\\-@\t\r\n'\uff1d\uff0b\uff0d\uff20]")

const months = `jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?|oct(ober)?|nov(ember)?|dec(ember)?`

// otherType matches what a spreadsheet takes for a number, a date, a time or a truth value.
var otherType = regexp.MustCompile(`^(?i:` +
	`[0-9.,][0-9.,:/ \-]*(e[+-]?[0-9]+)?[%€$£]?( ?[ap]\.?m\.?)?` + // 00123, 1.5, 1e5, 3/4, 2026-11-26, 12:30 pm
	`|[0-9]{0,4}[ ./-]?(` + months + `)[ ./-]?[0-9]{0,4}` + // MAR1, 1-Sep
	`|true|false)$`)

// In some countries a spreadsheet splits at commas, in others at semicolons, and if the file has the other ones it does not know that a
// field is in quotes: what follows either, a tab or a line break in it may begin a field as well.
var (
	formulaInside = regexp.MustCompile("([,;\t\r\n])('|[ \u00a0\u3000]*[=+\\-@\uff1d\uff0b\uff0d\uff20])")
	escapedInside = regexp.MustCompile("([,;\t\r\n])'")
)

// Escape returns a field as a spreadsheet leaves it alone.
func Escape(field string) string {
	if formula.MatchString(field) || otherType.MatchString(field) {
		field = "'" + field
	}
	return formulaInside.ReplaceAllString(field, "$1'$2")
}

// Unescape returns what Escape was given.
func Unescape(field string) string {
	return escapedInside.ReplaceAllString(strings.TrimPrefix(field, "'"), "$1")
}
