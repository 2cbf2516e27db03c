// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onsi/gomega"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// TestPause_OfTheLeaderLongerThanItsLease pauses a leader during a request, lets another replica take over, and resumes the first.
func TestPause_OfTheLeaderLongerThanItsLease(t *testing.T) {
	w := newWorld(t, "lease", simulator.Options{})
	election := []string{"--leader-elect", "--leader-election-namespace", testenv.SystemNamespace}
	applied, release := w.Hold()
	first := w.start(election...)
	w.createBatch("b", 2500)
	<-applied // until the API accepts the key, only one request may run
	w.Must(first.Signal(syscall.SIGSTOP))

	w.start(election...)
	w.Eventually(func() int { return w.Sim.Count(simulator.Create) }).Should(gomega.BeNumerically(">=", 2)) // the second replica leads
	w.Must(first.Signal(syscall.SIGCONT))
	release()
	if err := first.Wait(); err == nil {
		t.Error("a leader that lost its lease exited without an error")
	}
	status := w.Await("b", v1alpha1.ReasonSucceeded).Status
	if status.Counts.Total != 2500 || status.Counts.Created+status.Counts.Existing != 2500 {
		t.Errorf("counts: %+v", status.Counts)
	}
	sent := map[string]int{}
	for _, r := range w.Sim.Requests() {
		for _, username := range r.Usernames {
			sent[username]++
		}
	}
	for username, times := range sent {
		if times > 3 { // by the first, by the second, and once more by the resumed first
			t.Errorf("%s was sent %d times", username, times)
		}
	}
	for username, result := range w.Results() {
		if result.Result == v1alpha1.ResultInvalid {
			t.Errorf("%s: %+v", username, result)
		}
	}
}

// TestPause_OfEtcd pauses etcd, so that the results of a running request cannot be written.
func TestPause_OfEtcd(t *testing.T) {
	w := newWorld(t, "etcd", simulator.Options{})
	pid := w.etcdPID()
	applied, release := w.Hold()
	w.start()
	w.createBatch("b", 1500)
	<-applied
	w.Must(syscall.Kill(pid, syscall.SIGSTOP))
	release()
	<-time.After(20 * time.Second) // the API server waits for etcd for five seconds
	w.Must(syscall.Kill(pid, syscall.SIGCONT))
	status := w.Await("b", v1alpha1.ReasonSucceeded).Status
	if status.Counts.Created != 1500 {
		t.Errorf("an answer was lost: %+v", status.Counts)
	}
	if n := w.Sim.Count(simulator.Create); n != 2 {
		t.Errorf("%d requests were sent for two slices", n)
	}
}

// etcdPID returns the process ID of this test's etcd.
func (w *world) etcdPID() int {
	w.Helper()
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	w.Must(err)
	for _, path := range commands {
		line, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(line), "etcd") && strings.Contains(string(line), "--data-dir="+plane.Etcd().DataDir) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			w.Must(err)
			return pid
		}
	}
	w.Fatal("etcd was not found")
	return 0
}
