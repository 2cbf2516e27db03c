// SPDX-License-Identifier: Apache-2.0

package command_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/creack/pty"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/yaml"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
)

// What an API says may have any character.
const said = "a\u009d0;owned\u009cb\u202ec\x1b[2Jd"

func TestPrint_KeepsValues(t *testing.T) {
	for _, format := range []string{"json", "yaml"} {
		var out bytes.Buffer
		o := &command.Options{IOStreams: genericiooptions.IOStreams{Out: &out}}
		got := map[string]string{}
		if err := o.Print(format, map[string]string{"message": said}); err != nil {
			t.Errorf("%s: %v", format, err)
		} else if err := yaml.Unmarshal(out.Bytes(), &got); err != nil || got["message"] != said {
			t.Errorf("%s: %v, %q", format, err, got)
		}
	}
}

func TestPrint_SendsATerminalNoControls(t *testing.T) {
	for _, format := range []string{"json", "yaml"} {
		terminal, tty, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		o := &command.Options{IOStreams: genericiooptions.IOStreams{Out: tty}}
		if err := o.Print(format, map[string]string{"message": said}); err != nil {
			t.Fatal(err)
		}
		shown := make([]byte, 1000)
		n, err := terminal.Read(shown)
		if text := string(shown[:n]); err != nil || !strings.Contains(text, "owned") || strings.ContainsAny(text, "\u009c\u009d\u202e\x1b") {
			t.Errorf("%s: %v, %q", format, err, text)
		}
		_ = tty.Close()
		_ = terminal.Close()
	}
}
