// SPDX-License-Identifier: Apache-2.0

// Package image tests the Dockerfile: it builds the images with buildah, which needs neither a Docker engine nor a registry.
package image

import (
	"debug/elf"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

const (
	version  = "v1.2.3-test"
	revision = "0123456789abcdef"
)

// build is set by make image-test. Building takes minutes, and buildah.
var build = flag.Bool("build", false, "build the images with buildah")

// programs are the targets of the Dockerfile.
var programs = map[string]struct {
	path, title string
	hasVersion  bool // the flag --version
}{
	"operator":  {path: "manager", title: "embedded-user-operator", hasVersion: true},
	"simulator": {path: "alloy-simulator", title: "embedded-user-operator-simulator"},
}

func TestDockerfile(t *testing.T) {
	if !*build {
		t.Skip("make image-test builds the images")
	}
	b := newBuildah(t)
	b.makeCompilerImage()
	modules := t.TempDir() // the first build downloads them
	for _, arch := range []string{"amd64", "arm64"} {
		base := b.makeBaseImage(arch)
		for target, program := range programs {
			image := "localhost/" + target + ":" + arch
			b.run("build", "--isolation", "chroot", "--network", "host", "--pull=never", "--build-arg", "TARGETARCH="+arch,
				"--volume", modules+":/go/pkg/mod", "--volume", b.output("go", "env", "GOCACHE")+":/root/.cache/go-build",
				"--build-arg", "GO_IMAGE="+compilerImage, "--build-arg", "BASE_IMAGE="+base, "--build-arg", "GOPROXY="+b.output("go", "env", "GOPROXY"),
				"--build-arg", "VERSION="+version, "--build-arg", "REVISION="+revision,
				"--target", target, "--tag", image, testenv.Root())
			t.Run(target+" for "+arch, func(t *testing.T) {
				b := b.in(t)
				checkConfig(t, b.inspect(image), arch, program.path, program.title)
				container := b.run("from", "--pull=never", image)
				root := b.run("mount", container)
				checkFiles(t, root, program.path)
				checkBinary(t, filepath.Join(root, program.path), arch)
				if arch == runtime.GOARCH {
					checkRun(b, container, "/"+program.path, program.hasVersion)
				}
			})
		}
	}
}

// imageConfig is the part of an image's configuration that the test checks.
type imageConfig struct {
	Architecture string `json:"architecture"`
	Config       struct {
		User       string
		Entrypoint []string
		Cmd        []string
		Labels     map[string]string
	} `json:"config"`
}

func checkConfig(t *testing.T, got imageConfig, arch, path, title string) {
	t.Helper()
	if got.Architecture != arch {
		t.Errorf("the image says it is for %s", got.Architecture)
	}
	if got.Config.User != "65532:65532" || !slices.Equal(got.Config.Entrypoint, []string{"/" + path}) || len(got.Config.Cmd) > 0 {
		t.Errorf("user %s, entrypoint %q, arguments %q", got.Config.User, got.Config.Entrypoint, got.Config.Cmd)
	}
	const prefix = "org.opencontainers.image."
	labels := map[string]string{}
	for name, value := range got.Config.Labels {
		if name, ok := strings.CutPrefix(name, prefix); ok && name != "description" {
			labels[name] = value
		}
	}
	want := map[string]string{
		"title": title, "version": version, "revision": revision, "licenses": "Apache-2.0",
		"source": "https://github.com/embedded-user-operator/embedded-user-operator",
	}
	if diff := cmp.Diff(want, labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if got.Config.Labels[prefix+"description"] == "" {
		t.Error("the description is missing")
	}
}

// checkFiles checks that the image adds the program to the base and nothing else, and that only its owner, root, may write it.
func checkFiles(t *testing.T, root, program string) {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			relative, _ := filepath.Rel(root, path)
			files = append(files, relative)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{certificates[1:], "etc/passwd", program}
	slices.Sort(want)
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(filepath.Join(root, program)); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("mode of the program: %v, %v", info.Mode(), err)
	}
}

// checkBinary checks that a program is static, and for which machine it is.
func checkBinary(t *testing.T, path, arch string) {
	t.Helper()
	program, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close() //nolint:errcheck // only read
	if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]; program.Machine != want {
		t.Errorf("the program is for %s", program.Machine)
	}
	for _, part := range program.Progs {
		if part.Type == elf.PT_INTERP || part.Type == elf.PT_DYNAMIC {
			t.Errorf("the program is not static: it has %s", part.Type)
		}
	}
	if symbols, err := program.Symbols(); err == nil {
		t.Errorf("the program has %d symbols", len(symbols))
	}
}

// checkRun runs the program in its image, as the image's user.
func checkRun(b *buildah, container, path string, hasVersion bool) {
	b.Helper()
	b.run("run", "--isolation", "chroot", container, "--", path, "--help")
	if !hasVersion {
		return
	}
	if out := b.run("run", "--isolation", "chroot", container, "--", path, "--version"); out != version {
		b.Errorf("%s --version: %s", path, out)
	}
}

// inspect returns the configuration of an image.
func (b *buildah) inspect(image string) imageConfig {
	b.Helper()
	var inspected struct{ OCIv1 imageConfig }
	if err := json.Unmarshal([]byte(b.run("inspect", "--type", "image", image)), &inspected); err != nil {
		b.Fatal(err)
	}
	return inspected.OCIv1
}
