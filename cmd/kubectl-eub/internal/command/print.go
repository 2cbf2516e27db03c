// SPDX-License-Identifier: Apache-2.0

package command

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
)

// ResourceName returns the name of an object as kubectl prints it, such as configmap/customers.
func ResourceName(kind schema.GroupVersionKind, name string) string {
	resource := strings.ToLower(kind.Kind)
	if kind.Group != "" {
		resource += "." + kind.Group
	}
	return resource + "/" + name
}

// BatchName returns the name of a batch as kubectl prints it.
func BatchName(name string) string {
	return ResourceName(v1alpha1.SchemeGroupVersion.WithKind(v1alpha1.EmbeddedUserBatchKind), name)
}

// c1 matches control characters that encoding/json leaves as they are, and YAML does not allow.
var c1 = regexp.MustCompile("[\u007f-\u009f]")

// Print writes a value to standard output as yaml, or else as json. A terminal gets it without characters that change what it shows.
func (o *Options) Print(format string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	text = c1.ReplaceAllFunc(append(text, '\n'), func(c []byte) []byte { return fmt.Appendf(nil, `\u%04x`, []rune(string(c))[0]) })
	if err == nil && format == "yaml" {
		text, err = yaml.JSONToYAML(text)
	}
	if err != nil {
		return fmt.Errorf("encoding the output: %w", err)
	}
	if terminal.Is(o.Out) {
		text = []byte(terminal.CleanLines(string(text)))
	}
	if _, err := o.Out.Write(text); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}
