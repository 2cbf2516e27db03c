// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

// TestMemory_AListOfOneMiBIsAShortOne reads ordinary lists within the limits of short ones.
func TestMemory_AListOfOneMiBIsAShortOne(t *testing.T) {
	t.Parallel()
	most := newMemory(DefaultMaxListMemory, nil).short.most
	for name, tc := range map[string]struct {
		format      v1alpha1.UsersFormat
		header, row string
	}{
		"CSV":                           {format: "CSV", header: "username\n", row: "u%06d\n"},
		"JSON":                          {format: "JSON", header: "[{\"username\":\"first\"}", row: ",{\"username\":\"u%06d\"}"},
		"NDJSON":                        {format: "NDJSON", row: "{\"username\":\"u%06d\"}\n"},
		"YAML of usernames":             {format: "YAML", row: "- username: u%06d\n"},
		"YAML of usernames with dashes": {format: "YAML", row: "- username: customer-%06d\n"},
		"YAML of short rows in braces":  {format: "YAML", row: "- {username: u%06d, fullName: Ann Lee}\n"},
		"YAML that is JSON": {
			format: "YAML", header: "[{\"username\":\"first\"}", row: ",{\"username\":\"u%06d\",\"fullName\":\"Ann\"}",
		},
		"YAML of addresses and names":        {format: "YAML", row: "- username: customer-%06d@example.com\n  fullName: Ann-Marie Lee\n"},
		"YAML of short usernames and names":  {format: "YAML", row: "- username: u%06d\n  fullName: Ann\n"},
		"YAML of usernames and names quoted": {format: "YAML", row: "- username: \"u%06d\"\n  fullName: \"Ann Lee\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var text strings.Builder
			text.WriteString(tc.header)
			for i := 0; text.Len() < shortListText-100; i++ {
				fmt.Fprintf(&text, tc.row, i)
			}
			if strings.HasPrefix(tc.header, "[") {
				text.WriteString("]")
			}
			source := &v1alpha1.UsersSource{ConfigMapKeyRef: &v1alpha1.UsersKeyReference{Name: "list", Key: "list"}, Format: tc.format}
			read := &reading{}
			if _, err := read.addSource(t.Context(), 1, source, []byte(text.String()), most); err != nil || read.list.FlawedCount > 0 {
				t.Errorf("%d valid rows, %d flawed: %v", len(read.list.Valid), read.list.FlawedCount, err)
			}
			text.WriteString(strings.Repeat(" ", 200))
			if _, err := (&reading{}).addSource(t.Context(), 1, source, []byte(text.String()), most); !errors.Is(err, decode.ErrLimit) {
				t.Errorf("more than 1 MiB of text: %v", err)
			}
		})
	}
}
