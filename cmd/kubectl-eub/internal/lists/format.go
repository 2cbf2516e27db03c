// SPDX-License-Identifier: Apache-2.0

package lists

import (
	"bytes"
	"path/filepath"
	"strings"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/sheet"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

// formatOf returns the format of a list: that of its name, or that of its text.
func (l *List) formatOf(encoding Encoding) (decode.Format, error) {
	if format, known := decode.FormatOf(l.Name); known {
		return format, nil
	}
	if filepath.Ext(strings.TrimSuffix(strings.ToLower(l.Name), ".gz")) == ".tsv" {
		return decode.CSV, nil
	}
	text, file, err := l.text(encoding)
	if err != nil {
		return "", err
	}
	defer file.Close() //nolint:errcheck // only read
	head, _ := text.Peek(4096)
	switch head = bytes.TrimSpace(head); {
	case bytes.HasPrefix(head, []byte("[")):
		return decode.JSON, nil
	case bytes.HasPrefix(head, []byte("{")):
		return decode.NDJSON, nil
	case bytes.HasPrefix(head, []byte("- ")), bytes.HasPrefix(head, []byte("---\n")), bytes.HasPrefix(head, []byte("# ")):
		return decode.YAML, nil
	default:
		return decode.CSV, nil
	}
}

// separators are what spreadsheets put between the fields of a CSV, and how a person calls them.
var separators = map[byte]string{',': "commas", ';': "semicolons", '\t': "tabs", '|': "vertical bars"}

// separatorOf returns the separator of a CSV that begins with head, and whether the first line only says which one it is, as Excel
// understands it: sep=; Of a header that names no column of a user it is the one that the header has most of.
func separatorOf(head []byte) (separator byte, isSaid bool) {
	line, _, _ := bytes.Cut(bytes.TrimLeft(head, "\n"), []byte("\n"))
	if said, found := bytes.CutPrefix(bytes.ToLower(line), []byte("sep=")); found && len(said) == 1 && separators[said[0]] != "" {
		return said[0], true
	}
	header, _, _ := bytes.Cut(bytes.TrimLeft(head, "\n ,;\t|"), []byte("\n")) // lines of nothing but separators are no header
	separator, most := byte(','), 0
	for _, candidate := range []byte(",;\t|") {
		n := 0
		for name := range bytes.SplitSeq(header, []byte{candidate}) {
			if name := string(bytes.Trim(name, ` "`)); isColumn(name, sheet.ColumnUsername) || isColumn(name, sheet.ColumnFullName) {
				return candidate, false
			}
			n++
		}
		if n > most {
			separator, most = candidate, n
		}
	}
	return separator, false
}

// isColumn reports whether a field of a header names a column, as the operator's decoder does.
func isColumn(field, name string) bool { return strings.EqualFold(strings.TrimSpace(field), name) }
