// SPDX-License-Identifier: Apache-2.0

package live

import (
	"os/exec"
	"strings"
	"sync"

	"github.com/creack/pty"
)

// console is a terminal in which a command runs.
type console struct {
	mu   sync.Mutex
	text strings.Builder
	done chan error
}

// open runs a command in a terminal of 24 lines.
func (w *world) open(command *exec.Cmd, columns uint16) *console {
	w.Helper()
	command.Env = append(command.Env, "TERM=xterm-256color")
	tty, err := pty.StartWithSize(command, &pty.Winsize{Rows: 24, Cols: columns})
	w.Must(err)
	c := &console{done: make(chan error, 1)}
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := tty.Read(buffer)
			c.mu.Lock()
			c.text.Write(buffer[:n])
			c.mu.Unlock()
			if err != nil { // EIO: the command has ended
				_ = tty.Close()
				c.done <- command.Wait()
				return
			}
		}
	}()
	return c
}

// written returns everything that was written to the terminal.
func (c *console) written() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.ReplaceAll(c.text.String(), "\r\n", "\n")
}

// screens returns what the terminal showed, one screen after another: each is erased before the next.
func (c *console) screens() []string {
	return strings.Split(c.written(), "\x1b[J")
}

// last returns the last screen.
func (c *console) last() string {
	all := c.screens()
	return all[len(all)-1]
}
