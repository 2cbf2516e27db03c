// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Fault replaces the answers to some requests.
type Fault struct {
	// Operation selects the requests that fail; empty selects all.
	Operation Operation
	// Times is the number of requests that fail; 0 means all until ClearFaults.
	Times int
	// Match reports whether a request fails. Optional.
	Match func(Request) bool

	// Apply applies the request before it fails.
	Apply bool
	// Delay is the time before the answer. After it, the answer waits for Wait to return, if set.
	Delay time.Duration
	Wait  func()
	// Cut closes the connection without an answer.
	Cut bool
	// Endless sends a body that never ends.
	Endless bool
	// Status, Header and Body of the answer; by default a status of 200 and an empty body.
	Status int
	Header http.Header
	Body   string
}

// Inject appends a fault. The first fault that matches a request is used.
func (s *Simulator) Inject(fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &fault)
}

// ClearFaults removes all faults.
func (s *Simulator) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// takeFault returns the fault for a request, or nil.
func (s *Simulator) takeFault(r *Request) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, fault := range s.faults {
		if fault.Operation != "" && fault.Operation != r.Operation || fault.Match != nil && !fault.Match(*r) {
			continue
		}
		if fault.Times == 1 {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
		} else if fault.Times > 1 {
			fault.Times--
		}
		return fault
	}
	return nil
}

// answer writes the fault's answer.
func (f *Fault) answer(w http.ResponseWriter, r *http.Request) {
	select {
	case <-time.After(f.Delay):
	case <-r.Context().Done():
	}
	if f.Wait != nil {
		f.Wait()
	}
	if f.Cut {
		panic(http.ErrAbortHandler)
	}
	for name, values := range f.Header {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	status := f.Status
	if status == 0 {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(f.Body)) // the client may be gone
	for f.Endless && r.Context().Err() == nil {
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			return
		}
	}
}

// ParseFault parses a fault of the form [OPERATION:]EFFECT[:TIMES]. EFFECT is a status, cut, apply-cut, slow, endless, garbage or shape.
func ParseFault(text string) (Fault, error) {
	var fault Fault
	parts := strings.Split(text, ":")
	switch Operation(parts[0]) {
	case Create, List, Get, Update, Delete:
		fault.Operation = Operation(parts[0])
		parts = parts[1:]
	}
	if len(parts) == 2 {
		times, err := strconv.Atoi(parts[1])
		if err != nil || times < 1 {
			return Fault{}, fmt.Errorf("fault %q: %q is not a positive number", text, parts[1])
		}
		fault.Times, parts = times, parts[:1]
	}
	if len(parts) != 1 {
		return Fault{}, fmt.Errorf("fault %q must have the form [OPERATION:]EFFECT[:TIMES]", text)
	}
	err := fault.parseEffect(text, parts[0])
	return fault, err
}

func (f *Fault) parseEffect(text, effect string) error {
	switch effect {
	case "cut":
		f.Cut = true
	case "apply-cut":
		f.Apply, f.Cut = true, true
	case "slow":
		f.Apply, f.Delay = true, time.Hour
	case "endless":
		f.Endless = true
	case "garbage":
		f.Apply, f.Body = true, `{"message":"succ`
	case "shape":
		f.Apply, f.Body = true, `{"items":[]}`
	default:
		status, err := strconv.Atoi(effect)
		if err != nil || status < 200 || status > 599 {
			return fmt.Errorf(
				"fault %q: %q is neither a status from 200 to 599 nor cut, apply-cut, slow, endless, garbage or shape", text, effect)
		}
		f.Status = status
		f.Body = fmt.Sprintf(`{"message":%q}`, "injected "+http.StatusText(status))
		if status/100 == 3 {
			f.Header = http.Header{"Location": {"/elsewhere"}}
		}
	}
	return nil
}
