// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
)

// Process is a process that was started. Its methods may be called from several goroutines.
type Process struct {
	Started time.Time

	command *exec.Cmd
	stopped atomic.Bool
	done    chan struct{}
	err     error // of Wait, once done is closed
}

// StartProcess starts a command in a process group of its own, because Ctrl-C signals all processes of a group, and these must stop
// in order.
func StartProcess(command *exec.Cmd) (*Process, error) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := &Process{Started: time.Now(), command: command, done: make(chan struct{})}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", filepath.Base(command.Path), err)
	}
	go func() {
		defer close(p.done)
		p.err = command.Wait()
	}()
	return p, nil
}

// Done returns a channel that is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits until the process ends. Like [exec.Cmd.Wait] it returns an error if the process failed or was killed.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Stopped reports whether Stop or Kill was called.
func (p *Process) Stopped() bool { return p.stopped.Load() }

// Signal sends a signal.
func (p *Process) Signal(signal syscall.Signal) error {
	if err := p.command.Process.Signal(signal); err != nil {
		return fmt.Errorf("sending %s to %s: %w", signal, filepath.Base(p.command.Path), err)
	}
	return nil
}

// Stop stops the process with SIGTERM, as the kubelet does, and waits until it ends.
func (p *Process) Stop() error {
	p.stopped.Store(true)
	_ = p.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
		return p.err
	case <-time.After(stopPatience):
		p.Kill()
		return errors.New("the process did not end after SIGTERM and was killed")
	}
}

// Kill kills the process and waits until it has ended.
func (p *Process) Kill() {
	p.stopped.Store(true)
	_ = p.Signal(syscall.SIGKILL) // it may have ended
	<-p.done
}

// CPU returns the CPU time that the process has used.
func (p *Process) CPU() (time.Duration, error) {
	process, err := procfs.NewProc(p.command.Process.Pid)
	var stat procfs.ProcStat
	if err == nil {
		stat, err = process.Stat()
	}
	if err != nil {
		return 0, fmt.Errorf("reading the CPU time: %w", err)
	}
	return time.Duration(stat.CPUTime() * float64(time.Second)), nil
}

// Memory returns the resident memory in bytes, and its peak since the start or ResetPeak.
func (p *Process) Memory() (now, peak int, err error) {
	process, err := procfs.NewProc(p.command.Process.Pid)
	var status procfs.ProcStatus
	if err == nil {
		status, err = process.NewStatus()
	}
	if err != nil {
		return 0, 0, fmt.Errorf("reading the memory: %w", err)
	}
	return int(status.VmRSS), int(status.VmHWM), nil //nolint:gosec // less than the memory of the machine
}

// ResetPeak resets the peak memory to the current memory.
func (p *Process) ResetPeak() error {
	if err := os.WriteFile(filepath.Join("/proc", strconv.Itoa(p.command.Process.Pid), "clear_refs"), []byte("5"), 0); err != nil {
		return fmt.Errorf("resetting the peak of the memory: %w", err)
	}
	return nil
}

// Log collects the output of several processes. The zero value is empty.
type Log struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

// Write appends to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(p) //nolint:wrapcheck // always nil
}

// Bytes returns a copy of the log.
func (l *Log) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.buffer.Bytes())
}
