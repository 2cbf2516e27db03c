// SPDX-License-Identifier: Apache-2.0

package simulator

import "net/http"

// serveAdmin answers what a test asks about the simulator itself, without a key, and reports whether the path is one of these:
//
//	/simulator/stats     the number of requests of each operation, and of users
//	/simulator/requests  all requests in the order of arrival
//	/simulator/users     the usernames in all accounts, sorted within each
//
// With DELETE, and with PUT and a fullName, /simulator/users?username=… does to the users with that name in all accounts what somebody
// else would do.
func (s *Simulator) serveAdmin(w http.ResponseWriter, r *http.Request) bool {
	var body any
	switch r.URL.Path {
	case "/simulator/stats":
		body = s.stats()
	case "/simulator/requests":
		body = s.Requests()
	case "/simulator/users":
		query := r.URL.Query()
		s.change(r.Method, query.Get("username"), query.Get("fullName"))
		body = s.usernames()
	default:
		return false
	}
	write(w, answer{http.StatusOK, body})
	return true
}

// change deletes or renames users out of band.
func (s *Simulator) change(method, username, fullName string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.accounts {
		switch user := a.users[username]; {
		case user == nil:
		case method == http.MethodDelete:
			a.remove(user)
		case method == http.MethodPut:
			user.FullName = fullName
		}
	}
}

// Stats counts what the simulator has seen.
type Stats struct {
	Requests map[Operation]int `json:"requests"`
	Users    int               `json:"users"`
}

func (s *Simulator) stats() Stats {
	requests := map[Operation]int{}
	for _, r := range s.Requests() {
		requests[r.Operation]++
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	users := 0
	for _, a := range s.accounts {
		users += len(a.users)
	}
	return Stats{Requests: requests, Users: users}
}

// usernames returns the usernames of all accounts.
func (s *Simulator) usernames() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	usernames := []string{}
	for _, a := range s.accounts {
		for _, user := range a.sorted() {
			usernames = append(usernames, user.Username)
		}
	}
	return usernames
}
