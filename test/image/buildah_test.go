// SPDX-License-Identifier: Apache-2.0

package image

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

const (
	// compilerImage stands in for golang:1.26. It has the Go of this machine.
	compilerImage = "localhost/golang:stand-in"
	// certificates is the file of CA certificates in Debian and in the base image.
	certificates = "/etc/ssl/certs/ca-certificates.crt"
)

// buildah runs buildah with a storage of its own.
type buildah struct {
	testing.TB
	folder string
}

func newBuildah(t *testing.T) *buildah {
	if _, err := exec.LookPath("buildah"); err != nil {
		t.Fatal("buildah is missing: apt-get install --no-install-recommends buildah")
	}
	b := &buildah{TB: t, folder: t.TempDir()}
	t.Cleanup(func() { // the storage is mounted
		c := b.command("rm", "--all")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("removing the containers: %v: %s", err, out)
		}
	})
	return b
}

// in returns b for a subtest.
func (b *buildah) in(t *testing.T) *buildah { return &buildah{TB: t, folder: b.folder} }

func (b *buildah) command(args ...string) *exec.Cmd {
	args = append([]string{
		"--storage-driver", "vfs", "--root", filepath.Join(b.folder, "storage"), "--runroot", filepath.Join(b.folder, "run"),
	}, args...)
	return exec.Command("buildah", args...)
}

// run returns the output of buildah, without white space around it.
func (b *buildah) run(args ...string) string {
	b.Helper()
	var stderr strings.Builder
	command := b.command(args...)
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		b.Fatalf("buildah %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// makeCompilerImage makes an image with the Go of this machine, its CA certificates, and a shell.
func (b *buildah) makeCompilerImage() {
	b.Helper()
	goroot := b.output("go", "env", "GOROOT")
	container := b.run("from", "scratch")
	for _, folder := range []string{"api", "bin", "lib", "pkg", "src"} {
		b.run("copy", container, filepath.Join(goroot, folder), filepath.Join("/usr/local/go", folder))
	}
	b.run("copy", container, filepath.Join(goroot, "go.env"), filepath.Join(goroot, "VERSION"), "/usr/local/go/")
	b.run("copy", container, certificates, certificates)
	b.copyFile(container, "/bin/sh")
	for _, library := range regexp.MustCompile(`/\S+`).FindAllString(b.output("ldd", "/bin/sh"), -1) {
		b.copyFile(container, library)
	}
	b.run("copy", container, b.emptyFolder(), "/tmp")
	b.run("config", "--arch", runtime.GOARCH, "--env", "PATH=/usr/local/go/bin:/bin", "--env", "GOPATH=/go", "--env", "HOME=/root",
		"--env", "GOTOOLCHAIN=local", container)
	b.run("commit", "--rm", container, compilerImage)
}

// makeBaseImage makes an image that stands in for distroless/static:nonroot on a machine of an architecture, and returns its name.
func (b *buildah) makeBaseImage(arch string) string {
	b.Helper()
	passwd := filepath.Join(b.folder, "passwd")
	if err := os.WriteFile(passwd, []byte("nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	container, name := b.run("from", "scratch"), "localhost/static-"+arch+":stand-in"
	b.run("copy", "--chmod", "644", container, passwd, "/etc/passwd")
	b.run("copy", container, certificates, certificates)
	b.run("config", "--arch", arch, "--os", "linux", container)
	b.run("commit", "--rm", container, name)
	return name
}

// copyFile copies a file of this machine to the same path in a container.
func (b *buildah) copyFile(container, path string) {
	b.Helper()
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		b.Fatal(err)
	}
	b.run("copy", container, target, path)
}

func (b *buildah) emptyFolder() string {
	b.Helper()
	folder := filepath.Join(b.folder, "empty")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		b.Fatal(err)
	}
	return folder
}

func (b *buildah) output(name string, args ...string) string {
	b.Helper()
	out, err := exec.CommandContext(b.Context(), name, args...).Output()
	if err != nil {
		b.Fatalf("%s: %v", name, err)
	}
	return strings.TrimSpace(string(out))
}
