// SPDX-License-Identifier: Apache-2.0

package importing

import (
	"encoding/base64"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/parts"
	"github.com/embedded-user-operator/embedded-user-operator/internal/usersource"
)

// LabelImport is on the ConfigMaps and Secrets of an import. Its value is the name of the batch.
const LabelImport = "embedded.runalloy.com/import"

// target is what an import writes.
type target struct {
	name      string                         // of the batch
	namespace string                         // empty if the objects are to have none
	secret    bool                           // whether the lists are in Secrets
	apiKey    v1alpha1.APIKeySecretReference // without a name if the batch is to keep the one that it has
}

// kind returns the kind of the objects that have lists.
func (t target) kind() string {
	if t.secret {
		return usersource.Secret
	}
	return usersource.ConfigMap
}

// partName returns the name of the object that has a part.
func (t target) partName(part parts.Part) string { return t.name + "-" + part.Digest }

// partKey returns the key of a part in its object, whose extension says the format.
func partKey(part parts.Part) string {
	return "users." + strings.ToLower(string(part.Form.Format)) + ".gz"
}

// objectOf returns the object that has a part.
func (t target) objectOf(part parts.Part) *unstructured.Unstructured {
	field := "binaryData"
	if t.secret {
		field = "data"
	}
	u := t.object("v1", t.kind(), t.partName(part))
	u.SetLabels(map[string]string{LabelImport: t.name})
	u.Object[field] = map[string]any{partKey(part): base64.StdEncoding.EncodeToString(part.Data)}
	return u
}

// batch returns the batch that names the parts.
func (t target) batch(list []parts.Part) *unstructured.Unstructured {
	u := t.object(v1alpha1.SchemeGroupVersion.String(), v1alpha1.EmbeddedUserBatchKind, t.name)
	field := "configMapKeyRef"
	if t.secret {
		field = "secretKeyRef"
	}
	sources := make([]any, len(list)) // not nil: an empty list takes the place of the one before
	for i, part := range list {
		sources[i] = map[string]any{field: map[string]any{"name": t.partName(part), "key": partKey(part)}}
	}
	spec := map[string]any{"usersFrom": sources}
	if t.apiKey.Name != "" {
		key := map[string]any{"name": t.apiKey.Name}
		if t.apiKey.Key != "" {
			key["key"] = t.apiKey.Key
		}
		spec["apiKeySecretRef"] = key
	}
	u.Object["spec"] = spec
	return u
}

func (t target) object(apiVersion, kind, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetAPIVersion(apiVersion)
	u.SetKind(kind)
	u.SetName(name)
	if t.namespace != "" {
		u.SetNamespace(t.namespace)
	}
	return u
}

// distinct returns the parts without those that have the same rows as an earlier one. The batch names them twice, as they were imported.
func distinct(list []parts.Part) []parts.Part {
	seen := map[string]bool{}
	var kept []parts.Part
	for _, part := range list {
		if !seen[part.Digest] {
			kept = append(kept, part)
		}
		seen[part.Digest] = true
	}
	return kept
}
