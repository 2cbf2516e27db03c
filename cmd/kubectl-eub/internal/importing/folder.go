// SPDX-License-Identifier: Apache-2.0

package importing

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"sigs.k8s.io/yaml"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/parts"
)

const (
	kustomization = "kustomization.yaml"
	batchFile     = "batch.yaml"
)

// others are what kustomize takes for kustomization.yaml as well. It refuses a folder with two of them.
var others = []string{"kustomization.yml", "Kustomization"}

// mark is the first line of the files that have the same name in every folder.
func (t target) mark() string {
	return fmt.Sprintf("# Written by kubectl eub import for the batch %s, which replaces this file and the lists in this folder.\n", t.name)
}

// checkFolder returns an error if the folder has files of somebody else, or of another batch, that an import would replace.
func (o *options) checkFolder(to target) error {
	for _, name := range append([]string{kustomization, batchFile}, others...) {
		path := filepath.Join(o.folder, name)
		switch before, err := os.ReadFile(path); { //nolint:gosec // in the folder that was asked for
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fmt.Errorf("reading what is in the folder: %w", err)
		case !bytes.HasPrefix(before, []byte(to.mark())):
			return fmt.Errorf("%s was not written by an import of the batch %s; choose another folder", path, to.name)
		}
	}
	return nil
}

// writeFolder writes a file for every object, and a kustomization.yaml. It deletes the files of lists that are not of this import. A file
// that has its content already is not written.
func (o *options) writeFolder(to target, list []parts.Part) error {
	if err := o.checkFolder(to); err != nil {
		return err
	}
	if err := os.MkdirAll(o.folder, 0o755); err != nil { //nolint:gosec // a folder as everybody makes it; Secrets have their own mode
		return fmt.Errorf("making the folder: %w", err)
	}
	var files []string
	for _, part := range distinct(list) {
		files = append(files, to.partName(part)+".yaml")
		var text bytes.Buffer
		if err := printYAML(&text, to.objectOf(part)); err != nil {
			return err
		}
		if err := o.writeFile(files[len(files)-1], text.Bytes()); err != nil {
			return err
		}
	}
	files = append(files, batchFile)
	text := bytes.NewBufferString(to.mark())
	if err := printYAML(text, to.batch(list)); err != nil {
		return err
	}
	if err := o.writeFile(batchFile, text.Bytes()); err != nil {
		return err
	}
	resources, err := yaml.Marshal(map[string]any{
		"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": files,
	})
	if err != nil {
		return fmt.Errorf("encoding %s: %w", kustomization, err)
	}
	if err := o.writeFile(kustomization, append([]byte(to.mark()), resources...)); err != nil {
		return err
	}
	return o.deleteOthers(to, files)
}

// writeFile writes a file of the folder, unless it is as it should be.
func (o *options) writeFile(name string, text []byte) error {
	path := filepath.Join(o.folder, name)
	if before, err := os.ReadFile(path); err == nil && bytes.Equal(before, text) { //nolint:gosec // in the folder that was asked for
		return nil
	}
	mode := fs.FileMode(0o644)
	if o.secret {
		mode = 0o600
		_ = os.Chmod(path, mode) // if it was there for everybody
	}
	if err := os.WriteFile(path, text, mode); err != nil {
		return fmt.Errorf("writing the folder: %w", err)
	}
	_, _ = fmt.Fprintf(o.ErrOut, "%s written\n", path)
	return nil
}

// deleteOthers deletes the lists of earlier imports of the batch.
func (o *options) deleteOthers(to target, files []string) error {
	isList := regexp.MustCompile("^" + regexp.QuoteMeta(to.name) + "-[0-9a-f]{10}\\.yaml$")
	kept := map[string]bool{}
	for _, file := range files {
		kept[file] = true
	}
	entries, err := os.ReadDir(o.folder)
	if err != nil {
		return fmt.Errorf("reading what is in the folder: %w", err)
	}
	for _, entry := range entries {
		if name := entry.Name(); isList.MatchString(name) && !kept[name] {
			path := filepath.Join(o.folder, name)
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("deleting an earlier list: %w", err)
			}
			_, _ = fmt.Fprintf(o.ErrOut, "%s deleted\n", path)
		}
	}
	return nil
}
