// SPDX-License-Identifier: Apache-2.0

package command_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
)

func TestExit(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		code int
		want string
	}{
		"nothing":              {nil, 0, ""},
		"an error":             {errors.New("no\n\nDid you mean this?"), 1, "error: no\n\nDid you mean this?\n"},
		"an error with a code": {fmt.Errorf("so: %w", &command.ExitError{Code: 3, Err: errors.New("late")}), 3, "error: so: late\n"},
		"a code alone":         {&command.ExitError{Code: 2}, 2, ""},
		"Ctrl-C":               {fmt.Errorf("listing the slices: %w", context.Canceled), 130, "error: interrupted\n"},
		"Ctrl-C of a command that waits": {
			&command.ExitError{Code: 130, Err: errors.New("interrupted; it goes on")}, 130, "error: interrupted; it goes on\n",
		},
		"what somebody wrote for a terminal": {
			errors.New("line 3: \x1b[2Jgone\r"), 1, "error: line 3: \ufffd[2Jgone\ufffd\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var told bytes.Buffer
			if code := command.Exit(test.err, &told); code != test.code || told.String() != test.want {
				t.Errorf("exit code %d, and %q", code, told.String())
			}
		})
	}
}
