// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	maxRequestBody = 16 << 20
	maxBatch       = 1000
)

// answer is the status and the JSON body of a response.
type answer struct {
	status int
	body   any
}

func message(status int, text string) answer {
	return answer{status, map[string]string{"message": text}}
}

// wireUser is a user in a request to POST /users/batch and in its answer. Either field may be missing.
type wireUser struct {
	Username *string `json:"username,omitempty"`
	FullName *string `json:"fullName,omitempty"`
}

// storedUser is a user in the answer to a GET.
type storedUser struct {
	ID       string `json:"userId"`
	Username string `json:"username"`
	FullName string `json:"fullName"`
}

// ServeHTTP serves POST /users/batch, GET /users, and GET, PUT and DELETE /users/{userId or username}, and what serveAdmin does.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.serveAdmin(w, r) {
		return
	}
	operation, target := route(r)
	if operation == "" {
		write(w, message(http.StatusNotFound, "no such endpoint"))
		return
	}
	request := &Request{Operation: operation, key: bearer(r)}
	var batch []wireUser
	var malformed error
	if operation == Create {
		batch, malformed = decodeBatch(r.Body)
		for _, user := range batch {
			if user.Username != nil {
				request.Usernames = append(request.Usernames, *user.Username)
			}
		}
	} else if target != "" {
		request.Usernames = []string{target}
	}
	s.begin(request)
	status, answered := 0, false
	defer func() { s.end(request, status, answered) }() // deferred, because a fault may panic to cut the connection

	fault := s.takeFault(request)
	if fault == nil || fault.Apply {
		reply := s.handle(r, request, target, batch, malformed)
		if fault == nil {
			status, answered = reply.status, true
			write(w, reply)
			return
		}
	}
	fault.answer(w, r)
	status = fault.Status
}

// handle applies a request.
func (s *Simulator) handle(r *http.Request, request *Request, target string, batch []wireUser, malformed error) answer {
	s.mu.Lock()
	account := s.accounts[request.key]
	s.mu.Unlock()
	switch {
	case account == nil && request.Operation == Create:
		return answer{http.StatusUnauthorized, struct{}{}}
	case account == nil:
		return message(http.StatusUnauthorized, "Unauthorized")
	case r.Header.Get("X-Api-Version") == "":
		return message(http.StatusBadRequest, "x-api-version header is required")
	case malformed != nil:
		return message(http.StatusBadRequest, malformed.Error())
	}
	var existed map[string]bool
	if s.options.CheckThenCreate {
		existed = s.existing(account, request.Usernames)
	}
	select {
	case <-time.After(s.options.Latency):
	case <-r.Context().Done():
	}
	switch request.Operation {
	case Create:
		reply := s.createBatch(account, request, batch, existed)
		s.mu.Lock()
		applied := s.applied
		s.mu.Unlock()
		if applied != nil {
			applied(*request)
		}
		return reply
	case List:
		return s.list(account)
	default:
		return s.one(r, request.Operation, account, target)
	}
}

func (s *Simulator) existing(a *account, usernames []string) map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	existed := map[string]bool{}
	for _, username := range usernames {
		existed[username] = a.users[username] != nil
	}
	return existed
}

// createBatch creates the users that do not exist and are acceptable. existed, if not nil, overrides which users exist.
func (s *Simulator) createBatch(a *account, request *Request, batch []wireUser, existed map[string]bool) answer {
	if len(batch) > maxBatch {
		return message(http.StatusBadRequest, fmt.Sprintf("at most %d users at a time", maxBatch))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	invalid := []wireUser{}
	created, unacceptable, exist := 0, 0, 0
	for _, user := range batch {
		switch {
		case !s.acceptable(user.Username):
			unacceptable++
			invalid = append(invalid, user)
		case existed == nil && a.users[*user.Username] != nil, existed[*user.Username]:
			exist++
			if !s.options.SkipExisting {
				invalid = append(invalid, wireUser{Username: user.Username})
			}
		default:
			s.create(a, *user.Username, orEmpty(user.FullName))
			request.Created = append(request.Created, *user.Username)
			created++
		}
	}
	switch {
	case created > 0:
		return answer{http.StatusOK, s.accepted(invalid)}
	case exist > 0 && (unacceptable == 0 || s.options.MixedAllExist):
		return message(http.StatusBadRequest, "All users already exist")
	default:
		return message(http.StatusBadRequest, "No valid users provided")
	}
}

func (s *Simulator) acceptable(username *string) bool {
	return username != nil && *username != "" && (s.options.Reject == nil || !s.options.Reject(*username))
}

// accepted returns the body of the answer to a request that created users.
func (s *Simulator) accepted(invalid []wireUser) map[string]any {
	body := map[string]any{"message": "success", "invalidUsers": invalid}
	if len(invalid) > 0 {
		return body
	}
	switch s.options.InvalidUsers {
	case InvalidUsersNull:
		body["invalidUsers"] = nil
	case InvalidUsersAbsent:
		delete(body, "invalidUsers")
	case InvalidUsersEmpty:
	}
	return body
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func (s *Simulator) list(a *account) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, now, options := []storedUser{}, time.Now(), s.options.List
	for _, user := range a.sorted() {
		isVisible := !now.Before(user.visible) && !now.Before(user.created.Add(options.Lag))
		if isVisible && !options.hides(user.Username) && (options.First == 0 || len(data) < options.First) {
			data = append(data, storedUser{user.ID, user.Username, user.FullName})
		}
	}
	return answer{http.StatusOK, map[string]any{"data": data}}
}

// hides reports whether a user is among the share that the list never shows.
func (o ListOptions) hides(username string) bool {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(username)) // it never fails
	return float64(hash.Sum32())/(1<<32) < o.Share
}

// one serves the calls for a single user.
func (s *Simulator) one(r *http.Request, operation Operation, a *account, target string) answer {
	var change wireUser
	if operation == Update {
		if err := json.NewDecoder(io.LimitReader(r.Body, maxRequestBody)).Decode(&change); err != nil {
			return message(http.StatusBadRequest, "the body must be a JSON object")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	user := a.find(target)
	if user == nil {
		return message(http.StatusNotFound, "User not found")
	}
	switch operation {
	case Delete:
		a.remove(user)
		return answer{http.StatusOK, map[string]bool{"success": true}}
	case Update:
		if change.Username != nil && *change.Username != user.Username {
			if a.users[*change.Username] != nil {
				return message(http.StatusBadRequest, "User already exists")
			}
			delete(a.users, user.Username)
			user.Username = *change.Username
			a.users[user.Username] = user
		}
		if change.FullName != nil {
			user.FullName = *change.FullName
		}
	default: // Get
	}
	return answer{http.StatusOK, storedUser{user.ID, user.Username, user.FullName}}
}

// route returns the operation and, for a single user, the userId or username in the path. It uses the escaped path, because
// usernames may contain dots and slashes.
func route(r *http.Request) (Operation, string) {
	path := r.URL.EscapedPath()
	segment, single := strings.CutPrefix(path, "/users/")
	target, err := url.PathUnescape(segment)
	switch {
	case path == "/users/batch" && r.Method == http.MethodPost:
		return Create, ""
	case path == "/users" && r.Method == http.MethodGet:
		return List, ""
	case !single || err != nil || segment == "" || strings.Contains(segment, "/"):
		return "", ""
	}
	return map[string]Operation{http.MethodGet: Get, http.MethodPut: Update, http.MethodDelete: Delete}[r.Method], target
}

// bearer returns the key of a request. The scheme is case-insensitive.
func bearer(r *http.Request) string {
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return key
}

func decodeBatch(body io.Reader) ([]wireUser, error) {
	var decoded struct {
		Users []wireUser `json:"users"`
	}
	// Read the whole body, because net/http detects a closed connection only after that.
	read, err := io.ReadAll(io.LimitReader(body, maxRequestBody))
	if err != nil || json.Unmarshal(read, &decoded) != nil {
		return nil, errors.New("the body must be a JSON object with an array of users")
	}
	return decoded.Users, nil
}

func write(w http.ResponseWriter, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body) // the client may be gone
}
