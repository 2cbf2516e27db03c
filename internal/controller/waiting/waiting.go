// SPDX-License-Identifier: Apache-2.0

// Package waiting remembers which objects wait for the list of an account's users.
package waiting

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// Set holds the objects that wait for the list of an account, by the fingerprint of its key. The zero value is ready to use; it is
// safe for concurrent use.
type Set struct {
	mu    sync.Mutex
	names map[string]map[types.NamespacedName]struct{}
}

// Add notes that an object waits for a list.
func (s *Set) Add(fingerprint string, name types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil {
		s.names = map[string]map[types.NamespacedName]struct{}{}
	}
	if s.names[fingerprint] == nil {
		s.names[fingerprint] = map[types.NamespacedName]struct{}{}
	}
	s.names[fingerprint][name] = struct{}{}
}

// Remove notes that an object does not wait for a list any more.
func (s *Set) Remove(fingerprint string, name types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.names[fingerprint], name)
	if len(s.names[fingerprint]) == 0 {
		delete(s.names, fingerprint)
	}
}

// Take returns the objects that wait for a list, and forgets them.
func (s *Set) Take(fingerprint string) map[types.NamespacedName]struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := s.names[fingerprint]
	delete(s.names, fingerprint)
	return names
}
