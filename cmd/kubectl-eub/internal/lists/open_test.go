// SPDX-License-Identifier: Apache-2.0

package lists

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
)

// Standard input is read more than once, and a million rows of it take little memory.
func TestOpen_KeepsStandardInputCompressed(t *testing.T) {
	row := `{"username":"customer-of-the-region@example.com","fullName":"Customer of the Region"}` + "\n"
	const rows = 1 << 19
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	list, err := Open(t.Context(), Stdin, strings.NewReader(strings.Repeat(row, rows)))
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > int64(len(row))*rows/4 {
		t.Errorf("%d KiB are kept", grown>>10)
	}
	n := 0
	about, err := list.Read(t.Context(), "", func(Row) error { n++; return nil })
	if err != nil || n != rows || about.String() != "NDJSON, UTF-8" {
		t.Errorf("%d rows of %s, %v", n, about, err)
	}
}

// Ctrl+C ends a command that waits for somebody to type.
func TestOpen_EndsWithItsContext(t *testing.T) {
	stdin, _ := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, Stdin, stdin); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
