// SPDX-License-Identifier: Apache-2.0

// Package docs tests the documentation: it runs its commands, applies its examples, follows its links, and compares what it says of
// flags and reasons with the code.
package docs

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// withHelm says to follow the pages whose commands need Helm. `make test-chart` does, because Helm takes minutes to build.
var withHelm = flag.Bool("helm", false, "follow the pages that need Helm, which is in bin/tools")

var operator string // the path of the program

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "embedded-user-operator-")
	if err == nil {
		defer os.RemoveAll(folder) //nolint:errcheck // temporary
		operator, err = testenv.Build(context.Background(), folder, "operator")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// pageAt returns a page of the repository.
func pageAt(t testing.TB, path string) page {
	t.Helper()
	pages := loadPages(t)
	i := slices.IndexFunc(pages, func(p page) bool { return p.path == path })
	if i < 0 {
		t.Fatalf("%s does not exist", path)
	}
	return pages[i]
}
