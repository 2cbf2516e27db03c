// SPDX-License-Identifier: Apache-2.0

package sender

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	simRuns = flag.Int("runs", 2000, "runs of the simulation")
	simSeed = flag.Uint64("seed", 0, "a run of the simulation to repeat with its trace; 0 for none")
)

// TestSimulation runs the sender's state machine in simulated time, against a model of the API that fails in every way, with
// owners that want this and that. Each run is given by its seed.
func TestSimulation(t *testing.T) {
	t.Parallel()
	if *simSeed > 0 {
		trace, err := simulate(*simSeed, true)
		t.Log(trace)
		if err != nil {
			t.Error(err)
		}
		return
	}
	var next, failed atomic.Uint64
	var pool sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		pool.Go(func() {
			for failed.Load() < 10 {
				seed := next.Add(1)
				if seed > uint64(*simRuns) {
					return
				}
				if err := checkSeed(seed); err != nil {
					failed.Add(1)
					t.Errorf("seed %d: %v", seed, err)
				}
			}
		})
	}
	pool.Wait()
}

// checkSeed makes a run; one in 500 twice, to see whether they are the same.
func checkSeed(seed uint64) error {
	if seed%500 != 0 {
		_, err := simulate(seed, false)
		return err
	}
	first, err := simulate(seed, true)
	if err != nil {
		return err
	}
	if second, _ := simulate(seed, true); first != second {
		return fmt.Errorf("two runs differ:\n%s", firstDifference(first, second))
	}
	return nil
}

func firstDifference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for n := range min(len(x), len(y)) {
		if x[n] != y[n] {
			return x[n] + "\n" + y[n]
		}
	}
	return "one is longer"
}

// simulate makes a run. It returns the trace, if that is asked for, and which invariant did not hold.
func simulate(seed uint64, isTraced bool) (trace string, err error) {
	w := drawWorld(seed)
	if isTraced {
		w.trace = &strings.Builder{}
		w.log("options %+v\nmodes %+v\nfaults %+v", w.options, w.api.modes, w.api.faults)
	}
	defer func() {
		if isTraced {
			trace = w.trace.String()
		}
		switch r := recover().(type) {
		case nil:
		case violation:
			err = fmt.Errorf("%12.6f  %s: %s", w.now.Seconds(), r.invariant, r.detail)
		default:
			err = fmt.Errorf("%12.6f  panic: %v\n%s", w.now.Seconds(), r, debug.Stack())
		}
	}()
	w.run()
	return "", nil
}

// run has everything happen, and what must hold in the end be checked.
func (w *world) run() {
	w.start()
	w.runUntil(longestChaos, nil)
	w.log("from here on nothing new goes wrong")
	w.isCalm = true
	w.api.calm()
	w.recordDelay, w.slotDelay = 20*time.Millisecond, 0
	for _, o := range w.owners {
		w.record(o)
		o.notBefore = 0
		if o.isActive || w.chance.IntN(2) == 0 {
			w.submit(o, false, false, false)
		}
	}
	w.isChanged = true
	long := 48 * time.Hour
	if w.api.modes.quotaStays { // users that exist are found one at a time, as slowly as the API is asked
		long *= 7
	}
	w.runUntil(w.now+long, w.isOver)
	w.checks.complete()
	for _, o := range w.owners {
		w.withdraw(o)
	}
	w.runUntil(w.now+2*w.options.RequestTimeout+31*time.Second, nil)
	w.checks.empty()
	w.runUntil(w.now+20*time.Minute+listPause.Max, nil)
	w.checks.gone()
}
