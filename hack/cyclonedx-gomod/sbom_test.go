// SPDX-License-Identifier: Apache-2.0

// Package sbom checks an SBOM that `make sbom` wrote.
package sbom

import (
	"bytes"
	"debug/buildinfo"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

var (
	sbomPath    = flag.String("sbom", "", "path of the SBOM")
	programPath = flag.String("program", "", "path of the program that it describes")
)

func read(t *testing.T) []byte {
	t.Helper()
	if *sbomPath == "" {
		t.Skip("make sbom names an SBOM")
	}
	text, err := os.ReadFile(*sbomPath)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestSBOM_IsValid validates the SBOM with CycloneDX's own schema, which the module cyclonedx-go has.
func TestSBOM_IsValid(t *testing.T) {
	text := read(t)
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	schemas := filepath.Join(strings.TrimSpace(string(out)), "schema")
	compiler := jsonschema.NewCompiler()
	for name, file := range map[string]string{"spdx.schema.json": "spdx.schema.json", "jsf-0.82.schema.json": "jsf-0.82.schemax.json"} {
		add(t, compiler, "http://cyclonedx.org/schema/"+name, filepath.Join(schemas, file))
	}
	const main = "http://cyclonedx.org/schema/bom-1.6.schema.json"
	add(t, compiler, main, filepath.Join(schemas, "bom-1.6.schema.json"))
	schema, err := compiler.Compile(main)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(document); err != nil {
		t.Error(err)
	}
}

func add(t *testing.T, compiler *jsonschema.Compiler, url, path string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // only read
	document, err := jsonschema.UnmarshalJSON(file)
	if err == nil {
		err = compiler.AddResource(url, document)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestSBOM_HasWhatTheProgramHas compares the components with the modules that the linker recorded.
func TestSBOM_HasWhatTheProgramHas(t *testing.T) {
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(read(t)), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(*programPath)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"std": info.GoVersion}
	for _, module := range info.Deps {
		want[module.Path] = module.Version
	}
	if bom.Metadata == nil || bom.Metadata.Component == nil || bom.Metadata.Component.Name != info.Main.Path {
		t.Errorf("the SBOM is not about %s: %+v", info.Main.Path, bom.Metadata)
	}
	for _, component := range *bom.Components {
		if version, isUsed := want[component.Name]; !isUsed || version != component.Version {
			t.Errorf("the SBOM has %s %s, and the program %q", component.Name, component.Version, version)
		}
		if !strings.HasPrefix(component.PackageURL, "pkg:golang/") {
			t.Errorf("%s has the package URL %q", component.Name, component.PackageURL)
		}
		delete(want, component.Name)
	}
	for name := range want {
		t.Errorf("the SBOM lacks %s", name)
	}
	t.Logf("CycloneDX %s: %d components", bom.SpecVersion, len(*bom.Components))
}
