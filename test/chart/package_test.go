// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/registry"
)

// TestPackage_GoesThroughARegistry packages the chart, pushes it to a registry, and renders what comes back.
func TestPackage_GoesThroughARegistry(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	url := "oci://" + strings.TrimPrefix(server.URL, "http://") + "/charts"
	for version, program := range helms {
		t.Run(version, func(t *testing.T) {
			out := t.TempDir()
			mustHelm(t, program, "package", folder, "--destination", out)
			archives, err := filepath.Glob(filepath.Join(out, release+"-*.tgz"))
			if err != nil || len(archives) != 1 {
				t.Fatalf("%v, %v", archives, err)
			}
			checkFiles(t, archives[0])
			mustHelm(t, program, "push", archives[0], url, "--plain-http")

			mustHelm(t, program, "pull", url+"/"+release, "--plain-http", "--untar", "--untardir", out)
			pulled := mustHelm(t, program, "template", release, filepath.Join(out, release), "--namespace", namespace,
				"--no-hooks", "--kube-version", kubeVersion)
			if diff := cmp.Diff(render(t, program), pulled); diff != "" {
				t.Errorf("what was pulled differs (-folder +pulled):\n%s", diff)
			}
		})
	}
}

// checkFiles checks that a package has what users need, and not what developers do.
func checkFiles(t *testing.T, archive string) {
	t.Helper()
	file, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // only read
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var folders []string
	for reader := tar.NewReader(unzipped); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		folders = append(folders, path.Dir(header.Name))
	}
	slices.Sort(folders)
	want := []string{release, release + "/files", release + "/files/crds", release + "/templates", release + "/templates/tests"}
	if diff := cmp.Diff(want, slices.Compact(folders)); diff != "" {
		t.Errorf("folders of the package (-want +got):\n%s", diff)
	}
}
