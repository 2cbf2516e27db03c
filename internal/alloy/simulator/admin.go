// SPDX-License-Identifier: Apache-2.0

package simulator

import "net/http"

// serveAdmin answers what a test asks about the simulator itself, without a key, and reports whether the path is one of these:
//
//	/simulator/stats     the number of requests of each operation, and of users
//	/simulator/requests  all requests in the order of arrival
//	/simulator/users     the usernames in all accounts, sorted within each
func (s *Simulator) serveAdmin(w http.ResponseWriter, path string) bool {
	var body any
	switch path {
	case "/simulator/stats":
		body = s.stats()
	case "/simulator/requests":
		body = s.Requests()
	case "/simulator/users":
		body = s.usernames()
	default:
		return false
	}
	write(w, answer{http.StatusOK, body})
	return true
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
