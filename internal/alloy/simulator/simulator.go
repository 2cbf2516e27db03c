// Package simulator stands in for the Users API of Alloy Embedded: it speaks the same protocol over HTTP, keeps users in
// memory, fails on demand, and remembers what it was asked. Where the vendor's pages leave something open, an option
// chooses.
package simulator

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// InvalidUsersForm is how an answer says that no user is invalid; the vendor's page does not.
type InvalidUsersForm string

// The forms of invalidUsers in an answer without invalid users.
const (
	InvalidUsersEmpty  InvalidUsersForm = "empty"
	InvalidUsersNull   InvalidUsersForm = "null"
	InvalidUsersAbsent InvalidUsersForm = "absent"
)

// Options of a Simulator. The zero value takes no key.
type Options struct {
	// Keys that are accepted. Each has an account of its own.
	Keys []string
	// Latency passes before a request is applied.
	Latency time.Duration
	// Reject says which usernames are not acceptable. Optional.
	Reject func(username string) bool

	// InvalidUsers is the form of an empty invalidUsers; InvalidUsersEmpty by default.
	InvalidUsers InvalidUsersForm
	// SkipExisting leaves users that exist out of invalidUsers.
	SkipExisting bool
	// MixedAllExist answers "All users already exist" when no user could be created, although some are not acceptable.
	MixedAllExist bool
	// CheckThenCreate looks for existing users before the latency and creates after it, so that two requests at once can
	// create a user twice.
	CheckThenCreate bool
	// ReadLag passes before a created user is seen by the reading calls.
	ReadLag time.Duration
}

// User is a user that the simulator holds.
type User struct {
	ID       string
	Username string
	FullName string

	visible time.Time
}

// Operation names a call of the API.
type Operation string

// The calls that the simulator serves.
const (
	Create Operation = "create"
	List   Operation = "list"
	Get    Operation = "get"
	Update Operation = "update"
	Delete Operation = "delete"
)

// Request is a request that reached the simulator.
type Request struct {
	Operation Operation
	// Usernames that the request carries, in its order.
	Usernames []string
	// Created are the usernames that a Create created.
	Created []string
	// Answered tells that the answer was the real one, and not that of a fault.
	Answered bool
	// Status of the answer; 0 while there is none, and when the connection was cut.
	Status int
	// Overlapped tells that a Create shared a username with another one that was running under the same key.
	Overlapped bool

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

// account holds the users that one key sees.
type account struct {
	users map[string]*User // by username
	byID  map[string]*User
}

// New makes a simulator.
func New(options Options) *Simulator {
	s := &Simulator{options: options, accounts: map[string]*account{}}
	for _, key := range options.Keys {
		s.AddKey(key)
	}
	return s
}

// AddKey makes the simulator accept one more key, with an empty account.
func (s *Simulator) AddKey(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts[key] = &account{users: map[string]*User{}, byID: map[string]*User{}}
}

// Seed puts users into the account of a key, as if they had always been there.
func (s *Simulator) Seed(key string, usernames ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, username := range usernames {
		s.create(s.accounts[key], username, "")
	}
}

// Users returns the users in the account of a key, sorted by username.
func (s *Simulator) Users(key string) []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accounts[key].sorted()
}

// Requests returns every request that was accepted for processing or refused, in the order of arrival.
func (s *Simulator) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := make([]Request, len(s.requests))
	for i, r := range s.requests {
		requests[i] = *r
	}
	return requests
}

// Count returns how many requests of an operation arrived.
func (s *Simulator) Count(operation Operation) int {
	n := 0
	for _, r := range s.Requests() {
		if r.Operation == operation {
			n++
		}
	}
	return n
}

// OnArrived has hook called, outside any lock, whenever a Create has arrived and before it is applied.
func (s *Simulator) OnArrived(hook func(Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrived = hook
}

// OnApplied has hook called, outside any lock, whenever a Create has been applied and before it is answered. A hook that
// does not return delays the answer.
func (s *Simulator) OnApplied(hook func(Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applied = hook
}

func (s *Simulator) create(a *account, username, fullName string) {
	s.lastID++
	user := &User{ID: fmt.Sprintf("%024x", s.lastID), Username: username, FullName: fullName, visible: time.Now().Add(s.options.ReadLag)}
	a.users[username] = user
	a.byID[user.ID] = user
}

// find resolves what stands in a path: a userId or a username.
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

// arrive remembers a request.
func (s *Simulator) arrive(r *Request) {
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
		for _, other := range s.requests {
			if other.running && other.Operation == Create && other.key == r.key && slices.ContainsFunc(other.Usernames, func(u string) bool { _, ok := names[u]; return ok }) {
				r.Overlapped = true
			}
		}
	}
	r.running = true
	s.requests = append(s.requests, r)
}

// leave remembers how a request ended.
func (s *Simulator) leave(r *Request, status int, answered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.running, r.Status, r.Answered = false, status, answered
}
