// SPDX-License-Identifier: Apache-2.0

package command

import (
	"encoding/json"
	"fmt"

	"sigs.k8s.io/yaml"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
)

// Print writes a value to standard output as yaml, or else as json. A terminal gets it without characters that change what it shows.
func (o *Options) Print(format string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	text = append(text, '\n')
	if format == "yaml" {
		text, err = yaml.Marshal(value)
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
