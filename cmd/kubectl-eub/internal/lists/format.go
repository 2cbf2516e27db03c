// SPDX-License-Identifier: Apache-2.0

package lists

import (
	"bytes"
	"path/filepath"
	"strings"

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
// understands it: sep=;
func separatorOf(head []byte) (separator byte, isSaid bool) {
	head = bytes.TrimLeft(head, "\n")
	header, _, _ := bytes.Cut(head, []byte("\n"))
	if said, found := bytes.CutPrefix(bytes.ToLower(header), []byte("sep=")); found && len(said) == 1 && separators[said[0]] != "" {
		return said[0], true
	}
	for _, separator := range []byte{',', ';', '\t', '|'} {
		for name := range bytes.SplitSeq(header, []byte{separator}) {
			if isColumn(string(bytes.Trim(name, ` "`)), "username") || isColumn(string(bytes.Trim(name, ` "`)), "fullName") {
				return separator, false
			}
		}
	}
	return ',', false
}

// isColumn reports whether a field of a header names a column, as the operator's decoder does.
func isColumn(field, name string) bool { return strings.EqualFold(strings.TrimSpace(field), name) }
