package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// clockTicks is USER_HZ, the unit of /proc/PID/stat: 100 on every common Linux.
const clockTicks = 100

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
	stat, err := os.ReadFile(p.proc("stat"))
	if err != nil {
		return 0, fmt.Errorf("reading the CPU time: %w", err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // fields[0] is field 3 of proc(5)
	if len(fields) < 13 {
		return 0, fmt.Errorf("reading the CPU time: unexpected %q", stat)
	}
	user, userErr := strconv.Atoi(fields[11])
	system, systemErr := strconv.Atoi(fields[12])
	if err := errors.Join(userErr, systemErr); err != nil {
		return 0, fmt.Errorf("reading the CPU time: %w", err)
	}
	return time.Duration(user+system) * time.Second / clockTicks, nil
}

// Memory returns the value of a line of /proc/PID/status, such as VmHWM, in bytes.
func (p *Process) Memory(line string) (int, error) {
	status, err := os.ReadFile(p.proc("status"))
	if err != nil {
		return 0, fmt.Errorf("reading the memory: %w", err)
	}
	_, text, _ := strings.Cut(string(status), "\n"+line+":")
	text, _, _ = strings.Cut(text, "kB")
	kib, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return 0, fmt.Errorf("reading the memory: %w", err)
	}
	return kib << 10, nil
}

// ResetPeak resets the peak memory, VmHWM, to the current memory.
func (p *Process) ResetPeak() error {
	if err := os.WriteFile(p.proc("clear_refs"), []byte("5"), 0); err != nil {
		return fmt.Errorf("resetting the peak of the memory: %w", err)
	}
	return nil
}

// proc returns the path of a file in the process's /proc folder.
func (p *Process) proc(name string) string {
	return filepath.Join("/proc", strconv.Itoa(p.command.Process.Pid), name)
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
