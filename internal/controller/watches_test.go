// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
)

// watches lets a test hold up what the world's operator learns of batches and slices.
type watches struct{ batches, slices sync.RWMutex }

// stall holds up a watch until release is called.
func stall(watch *sync.RWMutex) (release func()) {
	watch.Lock()
	return sync.OnceFunc(watch.Unlock)
}

// wrap has an answer pass through the lock of its watch, if it is one.
func (w *watches) wrap(r *http.Request, response *http.Response) {
	if r.URL.Query().Get("watch") == "" {
		return
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/embeddeduserbatches"):
		response.Body = stallable{response.Body, &w.batches}
	case strings.HasSuffix(r.URL.Path, "/embeddeduserslices"):
		response.Body = stallable{response.Body, &w.slices}
	}
}

// stallable delivers what it reads once it gets the lock.
type stallable struct {
	io.ReadCloser
	lock *sync.RWMutex
}

func (s stallable) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.lock.RLock()
	defer s.lock.RUnlock()
	return n, err
}
