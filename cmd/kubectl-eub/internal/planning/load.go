// SPDX-License-Identifier: Apache-2.0

package planning

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/access"
	"github.com/embedded-user-operator/embedded-user-operator/internal/usersource"
)

// manifests are objects in files, as they would be in the cluster.
type manifests struct {
	batches    []*v1alpha1.EmbeddedUserBatch
	configMaps map[string]*corev1.ConfigMap
	secrets    map[string]*corev1.Secret
}

// readManifests reads a file, the files of a folder, or standard input.
func readManifests(path string, stdin io.Reader) (*manifests, error) {
	m := &manifests{configMaps: map[string]*corev1.ConfigMap{}, secrets: map[string]*corev1.Secret{}}
	if path == "-" {
		return m, m.add("standard input", stdin)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("opening manifests: %w", err)
	}
	files := []string{path}
	if info.IsDir() {
		files = nil
		for _, pattern := range []string{"*.yaml", "*.yml", "*.json"} {
			found, err := filepath.Glob(filepath.Join(path, pattern))
			if err != nil {
				return nil, fmt.Errorf("listing the folder: %w", err)
			}
			files = append(files, found...)
		}
	}
	for _, name := range files {
		file, err := os.Open(name) //nolint:gosec // the file that was asked for
		if err != nil {
			return nil, fmt.Errorf("opening manifests: %w", err)
		}
		err = m.add(name, file)
		_ = file.Close() // was only read
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

// add adds the objects of a text. Others than batches, ConfigMaps and Secrets do not matter.
func (m *manifests) add(name string, text io.Reader) error {
	documents := yaml.NewYAMLOrJSONDecoder(text, 4096)
	for {
		var document runtime.RawExtension
		err := documents.Decode(&document)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && len(document.Raw) > 0 {
			err = m.addObject(document.Raw)
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
	}
}

func (m *manifests) addObject(document []byte) error {
	var header metav1.TypeMeta
	if err := sigsyaml.Unmarshal(document, &header); err != nil {
		return fmt.Errorf("decoding an object: %w", err)
	}
	var err error
	switch header.GroupVersionKind() {
	case v1alpha1.SchemeGroupVersion.WithKind(v1alpha1.EmbeddedUserBatchKind):
		batch := &v1alpha1.EmbeddedUserBatch{}
		err = sigsyaml.UnmarshalStrict(document, batch)
		m.batches = append(m.batches, batch)
	case corev1.SchemeGroupVersion.WithKind(usersource.ConfigMap):
		object := &corev1.ConfigMap{}
		err = sigsyaml.Unmarshal(document, object)
		m.configMaps[object.Name] = object
	case corev1.SchemeGroupVersion.WithKind(usersource.Secret):
		object := &corev1.Secret{}
		err = sigsyaml.Unmarshal(document, object)
		for key, value := range object.StringData {
			if object.Data == nil {
				object.Data = map[string][]byte{}
			}
			object.Data[key] = []byte(value)
		}
		m.secrets[object.Name] = object
	}
	if err != nil {
		return fmt.Errorf("decoding a %s: %w", header.Kind, err)
	}
	return nil
}

// batch returns the batch with a name, or the only one if the name is empty.
func (m *manifests) batch(name string) (*v1alpha1.EmbeddedUserBatch, error) {
	at := slices.IndexFunc(m.batches, func(b *v1alpha1.EmbeddedUserBatch) bool { return name == "" || b.Name == name })
	switch {
	case at < 0 && name != "":
		return nil, fmt.Errorf("the manifests have no EmbeddedUserBatch %s", name)
	case at < 0:
		return nil, errors.New("the manifests have no EmbeddedUserBatch")
	case name == "" && len(m.batches) > 1:
		return nil, errors.New("the manifests have several EmbeddedUserBatches; give --name")
	default:
		return m.batches[at], nil
	}
}

// source returns the text of a list, from the manifests or else from the cluster; nil if there is none.
func (m *manifests) source(ctx context.Context, kube client.Reader, namespace string, source *v1alpha1.UsersSource) ([]byte, error) {
	kind, ref := usersource.Reference(source)
	switch {
	case kind == usersource.ConfigMap && m.configMaps[ref.Name] != nil:
		return usersource.Value(m.configMaps[ref.Name], &corev1.Secret{}, ref.Key), nil
	case kind == usersource.Secret && m.secrets[ref.Name] != nil:
		return usersource.Value(&corev1.ConfigMap{}, m.secrets[ref.Name], ref.Key), nil
	default:
		return access.List(ctx, kube, namespace, source) //nolint:wrapcheck // names the list
	}
}
