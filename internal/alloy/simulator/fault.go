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
	// Operation whose requests fail; empty for every one.
	Operation Operation
	// Times is how many requests fail; 0 for all until the faults are cleared.
	Times int
	// Match says which requests fail. Optional.
	Match func(Request) bool

	// Apply has the request applied first, as if nothing were wrong.
	Apply bool
	// Delay passes before the answer, and then Wait, if it is set, has to return.
	Delay time.Duration
	Wait  func()
	// Cut ends the connection without an answer.
	Cut bool
	// Endless sends a body that never ends.
	Endless bool
	// Status, Header and Body of the answer; a status of 200 with an empty body by default.
	Status int
	Header http.Header
	Body   string
}

// Inject adds a fault behind those that are there. The first that fits a request is used.
func (s *Simulator) Inject(fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &fault)
}

// ClearFaults ends all faults.
func (s *Simulator) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// takeFault returns the fault that a request meets, or nil.
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

// answer gives the fault's answer instead of the real one.
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
	_, _ = w.Write([]byte(f.Body)) // a client that is gone is not the simulator's concern
	for f.Endless && r.Context().Err() == nil {
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			return
		}
	}
}

// ParseFault reads a fault as [OPERATION:]EFFECT[:TIMES]. EFFECT is a status, cut, apply-cut, slow, endless or garbage.
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
			return Fault{}, fmt.Errorf("fault %q: %q is not a number of times above 0", text, parts[1])
		}
		fault.Times, parts = times, parts[:1]
	}
	if len(parts) != 1 {
		return Fault{}, fmt.Errorf("fault %q must read [OPERATION:]EFFECT[:TIMES]", text)
	}
	switch parts[0] {
	case "cut":
		fault.Cut = true
	case "apply-cut":
		fault.Apply, fault.Cut = true, true
	case "slow":
		fault.Apply, fault.Delay = true, time.Hour
	case "endless":
		fault.Endless = true
	case "garbage":
		fault.Apply, fault.Body = true, `{"message":"succ`
	default:
		status, err := strconv.Atoi(parts[0])
		if err != nil || status < 200 || status > 599 {
			return Fault{}, fmt.Errorf("fault %q: %q is neither a status from 200 to 599 nor cut, apply-cut, slow, endless or garbage", text, parts[0])
		}
		fault.Status = status
		fault.Body = fmt.Sprintf(`{"message":%q}`, "injected "+http.StatusText(status))
		if status/100 == 3 {
			fault.Header = http.Header{"Location": {"/elsewhere"}}
		}
	}
	return fault, nil
}
