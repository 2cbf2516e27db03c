// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// The pages in the repository are those of the commands as they are, whoever writes them.
func TestPages_AreUpToDate(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	folder := filepath.Join(t.TempDir(), "pages")
	if err := write(folder); err != nil {
		t.Fatal(err)
	}
	want, got := read(t, folder), read(t, testenv.Root("docs", "kubectl-eub"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the pages are stale; run make docs (-want +got):\n%s", diff)
	}
	if len(want["README.md"]) == 0 || len(want["status.md"]) == 0 {
		t.Error("a page is missing")
	}
}

// read returns the files of a folder by name.
func read(t *testing.T, folder string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[entry.Name()] = string(text)
	}
	return files
}
