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
	// generated is the first line of a kustomization.yaml that an import wrote.
	generated = "# Written by kubectl eub import, which replaces this folder's lists and this file."
)

// writeFolder writes a file for every object, and a kustomization.yaml. It deletes the files of lists that are not of this import. A file
// that has its content already is not written.
func (o *options) writeFolder(to target, list []parts.Part) error {
	path := filepath.Join(o.folder, kustomization)
	before, err := os.ReadFile(path) //nolint:gosec // in the folder that was asked for
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("reading what is in the folder: %w", err)
	case !bytes.HasPrefix(before, []byte(generated)):
		return fmt.Errorf("%s was not written by this command; choose another folder", path)
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
	var text bytes.Buffer
	if err := printYAML(&text, to.batch(list)); err != nil {
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
	if err := o.writeFile(kustomization, append([]byte(generated+"\n"), resources...)); err != nil {
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
