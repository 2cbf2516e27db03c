// SPDX-License-Identifier: Apache-2.0

// Package archives checks what a release has of the plugin: archives, and the manifest for krew that names them. It uses no network.
package archives

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

var folder = flag.String("archives", "", "folder with what hack/plugin-archives.sh has made; by default the test has it make some")

// manifest is what krew reads. It refuses fields that it does not know.
type manifest struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Version          string     `json:"version"`
		Homepage         string     `json:"homepage"`
		ShortDescription string     `json:"shortDescription"`
		Description      string     `json:"description"`
		Caveats          string     `json:"caveats"`
		Platforms        []platform `json:"platforms"`
	} `json:"spec"`
}

type platform struct {
	Selector struct {
		MatchLabels map[string]string `json:"matchLabels"`
	} `json:"selector"`
	URI    string `json:"uri"`
	SHA256 string `json:"sha256"`
	Bin    string `json:"bin"`
}

func (p platform) name() string {
	return p.Selector.MatchLabels["os"] + "/" + p.Selector.MatchLabels["arch"]
}

// makeArchives has the script make the archives for this machine.
func makeArchives(t *testing.T, version string) string {
	t.Helper()
	made := t.TempDir()
	const homepage = "https://example.com/owner/repository"
	script := exec.CommandContext(t.Context(), testenv.Root("hack", "plugin-archives.sh"), made, version, homepage)
	script.Env = append(os.Environ(), "PLATFORMS="+runtime.GOOS+"/"+runtime.GOARCH)
	if out, err := script.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return made
}

func TestArchives(t *testing.T) {
	made, isRelease := *folder, *folder != ""
	if !isRelease {
		made = makeArchives(t, "v1.2.3")
	}
	text, err := os.ReadFile(filepath.Join(made, "eub.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := yaml.UnmarshalStrict(text, &m); err != nil {
		t.Fatal(err)
	}
	checkManifest(t, m)
	var platforms []string
	for _, p := range m.Spec.Platforms {
		t.Run(p.name(), func(t *testing.T) { checkArchive(t, m, p, made) })
		platforms = append(platforms, p.name())
	}
	if !slices.Contains(platforms, runtime.GOOS+"/"+runtime.GOARCH) {
		t.Errorf("none of the platforms %v is this one", platforms)
	}
	want := []string{"darwin/amd64", "darwin/arm64", "linux/amd64", "linux/arm64", "windows/amd64", "windows/arm64"}
	if slices.Sort(platforms); isRelease && !slices.Equal(platforms, want) {
		t.Errorf("the platforms are %v", platforms)
	}
}

// checkManifest checks what krew demands of a manifest, and its index of short descriptions.
func checkManifest(t *testing.T, m manifest) {
	t.Helper()
	if m.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || m.Kind != "Plugin" || m.Metadata.Name != "eub" {
		t.Errorf("it is %s %s %s", m.APIVersion, m.Kind, m.Metadata.Name)
	}
	if !regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`).MatchString(m.Spec.Version) {
		t.Errorf("%q is not a semantic version with a v", m.Spec.Version)
	}
	if short := m.Spec.ShortDescription; short == "" || len(short) > 50 || strings.HasSuffix(short, ".") {
		t.Errorf("the short description has %d bytes, or a period: %s", len(short), short)
	}
	for line := range strings.Lines(m.Spec.Description + m.Spec.Caveats) {
		if len(line) > 91 {
			t.Errorf("a line of the description has %d bytes: %s", len(line), line)
		}
	}
	// krew links the plugin alone into its folder of programs.
	if !strings.Contains(m.Spec.Caveats, "store/eub/"+m.Spec.Version+"/kubectl_complete-eub") {
		t.Errorf("the caveats do not say where what completes names is: %s", m.Spec.Caveats)
	}
	if m.Spec.Description == "" || m.Spec.Homepage == "" {
		t.Error("a description or a homepage is missing")
	}
}

// checkArchive checks that an archive is the one in the manifest, and that the program runs if it is for this machine.
func checkArchive(t *testing.T, m manifest, p platform, made string) {
	t.Helper()
	if want := m.Spec.Homepage + "/releases/download/" + m.Spec.Version + "/"; !strings.HasPrefix(p.URI, want) {
		t.Errorf("%s is not below %s", p.URI, want)
	}
	archive := filepath.Join(made, path.Base(p.URI))
	text, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(text); p.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("the manifest has another checksum than %s", archive)
	}
	unpacked := t.TempDir()
	unpack := exec.CommandContext(t.Context(), "tar", "--extract", "--file", archive, "--directory", unpacked)
	want := []string{"LICENSE", p.Bin, "kubectl_complete-eub"}
	if strings.HasSuffix(archive, ".zip") {
		unpack = exec.CommandContext(t.Context(), "unzip", "-q", archive, "-d", unpacked)
		want = want[:2]
	}
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	entries, err := os.ReadDir(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if p.name() == runtime.GOOS+"/"+runtime.GOARCH {
		checkProgram(t, m, unpacked)
	}
}

// checkProgram runs the program as kubectl and its completion do.
func checkProgram(t *testing.T, m manifest, unpacked string) {
	t.Helper()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"kubectl-eub":          {[]string{"--version"}, m.Spec.Version},
		"kubectl_complete-eub": {[]string{"sta"}, "status\t"},
	} {
		command := exec.CommandContext(t.Context(), filepath.Join(unpacked, name), test.args...)
		command.Env = append(os.Environ(), "PATH="+unpacked+string(os.PathListSeparator)+os.Getenv("PATH"))
		out, err := command.Output()
		if err != nil || !strings.Contains(string(out), test.want) {
			t.Errorf("%s %v: %v, and printed %q without %q", name, test.args, err, out, test.want)
		}
	}
}
