// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"fmt"
	"io"
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

// exitFailed is the exit code of every other error.
const exitFailed = 1

// Exit writes an error, if there is something to tell, and returns the exit code.
func Exit(err error, errOut io.Writer) int {
	if err == nil {
		return 0
	}
	if text := err.Error(); text != "" {
		_, _ = fmt.Fprintln(errOut, "error:", text) // if that fails there is nobody left to tell
	}
	var exit *ExitError
	if errors.As(err, &exit) {
		return exit.Code
	}
	return exitFailed
}
