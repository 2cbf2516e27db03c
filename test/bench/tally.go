// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"sync"
	"time"
)

// requests counts requests and has the time of the first.
type requests struct {
	posts, others int
	first         time.Time
}

func (r requests) minus(before requests) requests {
	return requests{posts: r.posts - before.posts, others: r.others - before.others, first: r.first}
}

// tally counts the requests to a handler. The simulator's own records have all usernames and are slow to copy.
type tally struct {
	next http.Handler

	mu            sync.Mutex
	all           requests
	authorization map[string]requests
}

func newTally(next http.Handler) *tally {
	return &tally{next: next, authorization: map[string]requests{}}
}

func (t *tally) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	t.mu.Lock()
	of := t.authorization[r.Header.Get("Authorization")]
	for _, counted := range []*requests{&t.all, &of} {
		if r.Method == http.MethodPost {
			counted.posts++
		} else {
			counted.others++
		}
		if counted.first.IsZero() {
			counted.first = now
		}
	}
	t.authorization[r.Header.Get("Authorization")] = of
	t.mu.Unlock()
	t.next.ServeHTTP(w, r)
}

// of returns the count for a key.
func (t *tally) of(key string) requests {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.authorization["Bearer "+key]
}

// total returns the count for all keys.
func (t *tally) total() requests {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all
}
