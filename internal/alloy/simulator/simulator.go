// SPDX-License-Identifier: Apache-2.0

// Package simulator simulates the Users API of Alloy Embedded: it serves the same protocol over HTTP, keeps users in memory,
// fails on demand, and records requests. Options select the behavior that the vendor's documentation leaves open.
package simulator

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// InvalidUsersForm is the form of invalidUsers when no user is invalid, which the vendor does not document.
type InvalidUsersForm string

// The forms of invalidUsers in an answer without invalid users.
const (
	InvalidUsersEmpty  InvalidUsersForm = "empty"
	InvalidUsersNull   InvalidUsersForm = "null"
	InvalidUsersAbsent InvalidUsersForm = "absent"
)

// Options of a Simulator. The zero value accepts no key.
type Options struct {
	// Keys are the accepted keys. Each has its own account.
	Keys []string
	// Latency is the time before a request is applied.
	Latency time.Duration
	// Reject reports whether a username is unacceptable. Optional.
	Reject func(username string) bool

	// InvalidUsers is the form of an empty invalidUsers; InvalidUsersEmpty by default.
	InvalidUsers InvalidUsersForm
	// SkipExisting omits existing users from invalidUsers.
	SkipExisting bool
	// MixedAllExist answers "All users already exist" if no user could be created, even if some are unacceptable.
	MixedAllExist bool
	// CheckThenCreate checks for existing users before the latency and creates users after it, so that concurrent requests can
	// create a user twice.
	CheckThenCreate bool
	// ReadLag is the time until GET requests return a created user.
	ReadLag time.Duration
	// List is how GET /users differs from GET of a single user. SetList changes it.
	List ListOptions
}

// ListOptions say how the list of all users works. Its other faults are those of any operation.
type ListOptions struct {
	// Lag is the time until the list shows a created user; that of other GET requests if it is longer.
	Lag time.Duration
	// First is the most users that the list shows, in the order of their names; 0 for all.
	First int
	// Share is the share of the users that the list hides, from 0 to 1: those that their names' hashes choose, always the same.
	Share float64
}

// User is a stored user.
type User struct {
	ID       string
	Username string
	FullName string

	created, visible time.Time
}

// Operation is an operation of the API.
type Operation string

// The operations that the simulator serves.
const (
	Create Operation = "create"
	List   Operation = "list"
	Get    Operation = "get"
	Update Operation = "update"
	Delete Operation = "delete"
)

// Request is a recorded request.
type Request struct {
	Operation Operation `json:"operation"`
	// Usernames in the request, in order.
	Usernames []string `json:"usernames,omitempty"`
	// Created holds the usernames that a Create created.
	Created []string `json:"created,omitempty"`
	// Answered reports whether the answer was real, not that of a fault.
	Answered bool `json:"answered"`
	// Status of the answer; 0 while the request is running or if the connection was cut.
	Status int `json:"status"`
	// Overlapped reports whether a Create shared a username with another Create that was running under the same key.
	Overlapped bool `json:"overlapped"`

	key     string
	running bool
}

// Simulator is an http.Handler that behaves like the API. It is safe for concurrent use.
type Simulator struct {
	options Options

	mu       sync.Mutex
	accounts map[string]*account
	requests []*Request
	faults   []*Fault
	applied  func(Request)
	arrived  func(Request)
	lastID   int
}

// account holds the users of one key.
type account struct {
	users map[string]*User // by username
	byID  map[string]*User
}

// New returns a simulator.
func New(options Options) *Simulator {
	s := &Simulator{options: options, accounts: map[string]*account{}}
	for _, key := range options.Keys {
		s.AddKey(key)
	}
	return s
}

// AddKey adds a key with an empty account.
func (s *Simulator) AddKey(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts[key] = &account{users: map[string]*User{}, byID: map[string]*User{}}
}

// Seed adds existing users to the account of a key.
func (s *Simulator) Seed(key string, usernames ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, username := range usernames {
		s.create(s.accounts[key], username, "")
	}
}

// Delete deletes users from the account of a key, as somebody else would.
func (s *Simulator) Delete(key string, usernames ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, username := range usernames {
		if user := s.accounts[key].users[username]; user != nil {
			s.accounts[key].remove(user)
		}
	}
}

// Rename changes the full name of a user in the account of a key, as somebody else would. It reports whether there is one.
func (s *Simulator) Rename(key, username, fullName string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	user := s.accounts[key].users[username]
	if user != nil {
		user.FullName = fullName
	}
	return user != nil
}

// SetList changes how the list of all users works.
func (s *Simulator) SetList(options ListOptions) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.List = options
}

// Users returns the users in the account of a key, sorted by username.
func (s *Simulator) Users(key string) []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accounts[key].sorted()
}

// Requests returns all requests in the order of arrival.
func (s *Simulator) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := make([]Request, len(s.requests))
	for i, r := range s.requests {
		requests[i] = *r
	}
	return requests
}

// Count returns the number of requests for an operation.
func (s *Simulator) Count(operation Operation) int {
	n := 0
	for _, r := range s.Requests() {
		if r.Operation == operation {
			n++
		}
	}
	return n
}

// OnArrived sets a hook that runs when a Create arrives, before it is applied. No lock is held.
func (s *Simulator) OnArrived(hook func(Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrived = hook
}

// OnApplied sets a hook that runs after a Create is applied and before it is answered. No lock is held. The answer waits for the
// hook.
func (s *Simulator) OnApplied(hook func(Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applied = hook
}

func (s *Simulator) create(a *account, username, fullName string) {
	s.lastID++
	now := time.Now()
	user := &User{
		ID: fmt.Sprintf("%024x", s.lastID), Username: username, FullName: fullName, created: now, visible: now.Add(s.options.ReadLag),
	}
	a.users[username] = user
	a.byID[user.ID] = user
}

// find returns the user with a userId or a username.
func (a *account) find(idOrUsername string) *User {
	user := a.byID[idOrUsername]
	if user == nil {
		user = a.users[idOrUsername]
	}
	if user == nil || time.Now().Before(user.visible) {
		return nil
	}
	return user
}

func (a *account) remove(user *User) {
	delete(a.users, user.Username)
	delete(a.byID, user.ID)
}

func (a *account) sorted() []User {
	sorted := make([]User, 0, len(a.users))
	for _, user := range a.users {
		sorted = append(sorted, *user)
	}
	slices.SortFunc(sorted, func(x, y User) int {
		if x.Username < y.Username {
			return -1
		}
		return 1
	})
	return sorted
}

// begin records a request.
func (s *Simulator) begin(r *Request) {
	s.mu.Lock()
	if arrived := s.arrived; arrived != nil && r.Operation == Create {
		s.mu.Unlock()
		arrived(*r)
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	if r.Operation == Create {
		names := make(map[string]struct{}, len(r.Usernames))
		for _, username := range r.Usernames {
			names[username] = struct{}{}
		}
		isShared := func(username string) bool { _, ok := names[username]; return ok }
		for _, other := range s.requests {
			if other.running && other.Operation == Create && other.key == r.key && slices.ContainsFunc(other.Usernames, isShared) {
				r.Overlapped = true
			}
		}
	}
	r.running = true
	s.requests = append(s.requests, r)
}

// end records the outcome of a request.
func (s *Simulator) end(r *Request, status int, answered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.running, r.Status, r.Answered = false, status, answered
}
