// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
)

// ExitError is an error with an exit code of its own.
type ExitError struct {
	Code int
	Err  error // to be told; nil if the output says enough
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

// Unwrap returns the error without the code.
func (e *ExitError) Unwrap() error { return e.Err }

const (
	// ExitStalled is the exit code after waiting for a batch that needs a person.
	ExitStalled = 1
	// ExitTimeout is the exit code after waiting for as long as --timeout says.
	ExitTimeout = 3
	// ExitInterrupted is the exit code after Ctrl-C, as a shell has it.
	ExitInterrupted = 130
	// exitFailed is the exit code of every other error.
	exitFailed = 1
)

// Exit writes an error, if there is something to tell, and returns the exit code.
func Exit(err error, errOut io.Writer) int {
	if err == nil {
		return 0
	}
	code, text := exitFailed, err.Error()
	var exit *ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.Code
	case errors.Is(err, context.Canceled):
		code, text = ExitInterrupted, "interrupted"
	}
	if text != "" {
		// An error may quote a list, or what an API says. If it cannot be written there is nobody left to tell.
		_, _ = fmt.Fprintln(errOut, "error:", terminal.CleanLines(text))
	}
	return code
}
