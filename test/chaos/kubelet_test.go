// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// kubelet runs the operator and restarts it when it exits: it cannot start without an API server.
type kubelet struct {
	env []string
	log testenv.Log

	mu       sync.Mutex
	operator *testenv.Process // the last that was started
	stopping bool
	ended    chan struct{} // closed when the operator has stopped for good
}

func (k *kubelet) start() {
	k.stopping, k.ended = false, make(chan struct{})
	operator := k.run()
	go func() {
		defer close(k.ended)
		for operator != nil {
			_ = operator.Wait()
			<-time.After(100 * time.Millisecond) // the kubelet waits longer
			operator = k.run()
		}
	}()
}

// run starts a process, or returns nil if the operator must stop.
func (k *kubelet) run() *testenv.Process {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopping {
		return nil
	}
	command := exec.Command(os.Args[0]) // runs operate
	command.Env = append(os.Environ(), k.env...)
	command.Stdout, command.Stderr = &k.log, &k.log
	operator, err := testenv.StartProcess(command)
	if err != nil {
		panic(err) // this program is running, so it can be started
	}
	k.operator = operator
	return operator
}

func (k *kubelet) stop(signal syscall.Signal) {
	k.mu.Lock()
	k.stopping = true
	_ = k.operator.Signal(signal) // it may have exited
	k.mu.Unlock()
	<-k.ended
}
