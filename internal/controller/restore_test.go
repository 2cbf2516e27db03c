// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

var resourceVersion = regexp.MustCompile(`"resourceVersion":"[0-9]+"`)

// fromTheFuture makes the operator believe that it wrote versions that the cache never gets, as if etcd had been restored from a
// backup right after each write.
func (w *world) fromTheFuture(r *http.Request, response *http.Response) {
	if r.Method == http.MethodGet || response.StatusCode >= 300 {
		return
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.Error(err)
	}
	body = resourceVersion.ReplaceAll(body, []byte(`"resourceVersion":"999999999999"`))
	response.Body = io.NopCloser(bytes.NewReader(body))
	response.ContentLength = int64(len(body))
	response.Header.Set("Content-Length", strconv.Itoa(len(body)))
}

// TestRestore_OfEtcdDoesNotStopTheOperator has the operator wait for versions that the cache never gets.
func TestRestore_OfEtcdDoesNotStopTheOperator(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.CreateBatch("b", testenv.Users("user", 3)...)
	w.Await("b", v1alpha1.ReasonSucceeded)
	w.restored.Store(true)
	w.Edit("b", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users = testenv.Rows(testenv.Users("user", 1500)...) })
	if counts := w.Await("b", v1alpha1.ReasonSucceeded).Status.Counts; counts.Created != 1500 {
		t.Errorf("counts: %+v", counts)
	}
	w.restored.Store(false)
	w.Edit("b", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users = testenv.Rows(testenv.Users("user", 1501)...) })
	if counts := w.Await("b", v1alpha1.ReasonSucceeded).Status.Counts; counts.Created != 1501 {
		t.Errorf("counts: %+v", counts)
	}
}
