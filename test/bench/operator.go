package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const (
	kubeconfigName = "kubeconfig"
	logName        = "operator.log"
	// logTail is the number of bytes of the operator's log that are printed after a failure.
	logTail = 6 << 10

	// startPatience and stopPatience bound the start and the shutdown of the operator, which finishes running requests.
	startPatience = time.Minute
	stopPatience  = time.Minute
)

// program is the operator's binary and the parameters to start it.
type program struct {
	path, log, url string
	concurrency    int
	pprof          bool   // it has the flag --pprof-bind-address
	memoryLimit    string // GOMEMLIMIT from the manifest, if set
}

func newProgram(ctx context.Context, folder, url string, concurrency int) (program, error) {
	p := program{path: filepath.Join(folder, "operator"), log: filepath.Join(folder, logName), url: url, concurrency: concurrency}
	help, err := exec.CommandContext(ctx, p.path, "--help").CombinedOutput() //nolint:gosec // our own binary
	if err != nil {
		return p, fmt.Errorf("asking the operator for its flags: %w", err)
	}
	p.pprof = bytes.Contains(help, []byte("--pprof-bind-address"))
	p.memoryLimit = manifestMemoryLimit(filepath.Join("config", "manager", "manager.yaml"))
	return p, nil
}

// manifestMemoryLimit returns the GOMEMLIMIT of the operator's manifest, or "".
func manifestMemoryLimit(path string) string {
	data, err := os.ReadFile(path) //nolint:gosec // a file of the repository
	var deployment appsv1.Deployment
	if err != nil || yaml.Unmarshal(data, &deployment) != nil {
		return ""
	}
	for _, container := range deployment.Spec.Template.Spec.Containers {
		for _, variable := range container.Env {
			switch {
			case variable.Name != "GOMEMLIMIT":
			case variable.ValueFrom != nil && variable.ValueFrom.ResourceFieldRef != nil:
				return strconv.FormatInt(container.Resources.Limits.Memory().Value(), 10)
			default:
				return variable.Value
			}
		}
	}
	return ""
}

// operator is a running operator.
type operator struct {
	command       *exec.Cmd
	started       time.Time
	health, pprof string // addresses; pprof may be empty
	stopping      atomic.Bool
	ended         chan struct{}
}

func (o *operator) pid() int { return o.command.Process.Pid }

// startOperator starts the operator and waits until it is ready.
func (w *world) startOperator(ctx context.Context) error {
	health, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	args := []string{"--kubeconfig", filepath.Join(w.folder, kubeconfigName), "--alloy-url", w.program.url, "--allow-insecure-alloy-url",
		"--alloy-requests-per-second", "0", "--alloy-max-in-flight", strconv.Itoa(w.program.concurrency),
		"--metrics-bind-address", "0", "--health-probe-bind-address", health}
	o := &operator{health: health, ended: make(chan struct{})}
	if w.program.pprof {
		if o.pprof, err = freeAddress(ctx); err != nil {
			return err
		}
		args = append(args, "--pprof-bind-address", o.pprof)
	}
	log, err := os.OpenFile(w.program.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the operator's log: %w", err)
	}
	defer log.Close()                                 //nolint:errcheck // the operator has its own descriptor
	o.command = exec.Command(w.program.path, args...) //nolint:gosec,noctx // our own binary, which stopOperator stops
	o.command.Stdout, o.command.Stderr = log, log
	o.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C signals the whole process group
	if w.program.memoryLimit != "" {
		o.command.Env = append(os.Environ(), "GOMEMLIMIT="+w.program.memoryLimit)
	}
	o.started = time.Now()
	if err := o.command.Start(); err != nil {
		return fmt.Errorf("starting the operator: %w", err)
	}
	w.operator = o
	go func() {
		defer close(o.ended)
		_ = o.command.Wait() // ProcessState has the result
		if !o.stopping.Load() {
			w.fail(fmt.Errorf("the operator exited: %s", o.command.ProcessState))
		}
	}()
	return w.awaitHealthy(ctx)
}

// awaitHealthy waits until /readyz answers 200.
func (w *world) awaitHealthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		err := fetch(ctx, "http://"+w.operator.health+"/readyz", io.Discard)
		if err == nil {
			return nil
		}
		if !pause(ctx, 5*time.Millisecond) {
			return fmt.Errorf("waiting for the operator to be ready: %w", errors.Join(context.Cause(ctx), err))
		}
	}
}

// stopOperator stops the operator as the kubelet does.
func (w *world) stopOperator() error {
	if w.operator == nil {
		return nil
	}
	o := w.operator
	w.operator = nil
	o.stopping.Store(true)
	_ = o.command.Process.Signal(syscall.SIGTERM) // it may have exited
	select {
	case <-o.ended:
		return nil
	case <-time.After(stopPatience):
		_ = o.command.Process.Kill()
		<-o.ended
		return errors.New("the operator did not exit after SIGTERM and was killed")
	}
}

// printLog prints the end of the operator's log.
func (w *world) printLog() {
	log, err := os.ReadFile(w.program.log)
	if err != nil {
		return // the operator never ran
	}
	fmt.Fprintf(os.Stderr, "The operator's log ends with:\n%s\n", log[max(0, len(log)-logTail):])
}

// fetch writes the body of a GET request.
func fetch(ctx context.Context, url string, into io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("asking %s: %w", url, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("asking: %w", err) // err has the URL
	}
	defer response.Body.Close() //nolint:errcheck // only read
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("asking: %s answers %s", url, response.Status)
	}
	if _, err := io.Copy(into, response.Body); err != nil {
		return fmt.Errorf("reading what %s answers: %w", url, err)
	}
	return nil
}

// pause waits for d. It returns false if the context ends first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func freeAddress(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	defer listener.Close() //nolint:errcheck // never used
	return listener.Addr().String(), nil
}
