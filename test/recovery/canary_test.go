// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// TestCanary_TheKeyStaysInTheSecret makes the operator succeed and fail with a key, makes the API repeat the key in its answers,
// and searches for the key in everything that the operator has written.
func TestCanary_TheKeyStaysInTheSecret(t *testing.T) {
	const canary = "canary+Key_5f3c/91%ae"
	w := newWorld(t, "canary", simulator.Options{Keys: []string{canary}})
	// The second key is rejected by the API, the third by the operator.
	for name, value := range map[string]string{"good": canary, "wrong": canary + "-wrong", "unusable": canary + "\n" + canary} {
		w.Must(testenv.WriteKey(t.Context(), w, w.Namespace, name, value))
	}
	for _, status := range []int{400, 503} {
		encoded := base64.StdEncoding.EncodeToString([]byte("Bearer " + canary))
		body, err := json.Marshal(map[string]string{
			"message": "You sent Bearer " + canary + ", " + url.QueryEscape(canary) + ", " + encoded,
		})
		w.Must(err)
		prefix := map[int]string{400: "refused-", 503: "failing-"}[status]
		w.Sim.Inject(simulator.Fault{Operation: simulator.Create, Status: status, Body: string(body), Match: func(r simulator.Request) bool {
			return slices.ContainsFunc(r.Usernames, func(username string) bool { return strings.HasPrefix(username, prefix) })
		}})
	}
	operator := w.start()
	for name, secret := range map[string]string{
		"good": "good", "wrong": "wrong", "unusable": "unusable", "refused": "good", "failing": "good",
	} {
		batch := w.Batch(name, testenv.Users(name, 3)...)
		batch.Spec.APIKeySecretRef.Name = secret
		w.MustCreate(batch)
	}
	w.Await("wrong", v1alpha1.ReasonUnauthorized)
	w.Await("unusable", v1alpha1.ReasonInvalidCredentials)
	// The API may have created users of the other batches after it refused these.
	refused := w.Await("refused", v1alpha1.ReasonRequestRejected, v1alpha1.ReasonInvalidUsers)
	w.Await("failing", v1alpha1.ReasonRetrying)
	if status := fmt.Sprintf("%+v", refused.Status); !strings.Contains(status, "[redacted]") {
		t.Errorf("the API's message was lost: %s", status)
	}
	good := w.Await("good", v1alpha1.ReasonSucceeded)
	good.Spec.Users = append(good.Spec.Users, v1alpha1.UserRow{Username: good.Spec.Users[0].Username, FullName: "Another"})
	w.Must(w.Update(t.Context(), good))
	w.Await("good", v1alpha1.ReasonInvalidUsers)

	var metrics bytes.Buffer
	w.Must(testenv.Fetch(t.Context(), operator.Metrics+"/metrics", &metrics))
	places := map[string][]byte{"metrics": metrics.Bytes()}
	for _, args := range []string{"get eub,eus,events -A -o yaml", "describe eub,eus -A", "get eub,eus -A -o wide", "get events -A"} {
		out, err := plane.Kubectl(t.Context(), strings.Fields(args)...).CombinedOutput()
		if err != nil {
			t.Fatalf("kubectl %s: %s", args, out)
		}
		places["kubectl "+args] = out
	}
	if err := operator.Stop(); err != nil {
		t.Error(err)
	}
	places["log"] = w.ProcessLog.Bytes()
	secrets := 0
	for key, value := range w.etcd() {
		if strings.HasPrefix(key, "/registry/secrets/") {
			secrets += bytes.Count(value, []byte(canary))
			continue
		}
		places["etcd "+key] = value
	}
	if secrets == 0 {
		t.Error("the search does not find the canary in its Secret")
	}
	if len(places["log"]) == 0 || !bytes.Contains(places["metrics"], []byte("embeddeduser_alloy_requests_total")) {
		t.Error("the log or the metrics are empty")
	}
	for place, text := range places {
		for _, form := range forms(canary) {
			if at := bytes.Index(text, form); at >= 0 {
				t.Errorf("%s holds the key as %q: …%q", place, form, text[max(0, at-80):at])
			}
		}
	}
	if bytes.Contains(places["log"], []byte("@example.com")) {
		t.Error("the log holds a username")
	}
}

// forms returns the forms of a key to search for: plain, URL-encoded, and base64 in each alignment.
func forms(key string) [][]byte {
	list := [][]byte{[]byte(key), []byte(url.QueryEscape(key)), []byte(url.PathEscape(key))}
	for shift := range 3 {
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + key + "xxx"))
		list = append(list, []byte(encoded[(shift*8+5)/6:(shift+len(key))*8/6]))
	}
	return list
}

// etcd returns all keys and values in etcd.
func (w *world) etcd() map[string][]byte {
	w.Helper()
	query, err := json.Marshal(map[string][]byte{"key": {0}, "range_end": {0}})
	w.Must(err)
	response, err := http.Post(plane.Etcd().URL.String()+"/v3/kv/range", "application/json", bytes.NewReader(query))
	w.Must(err)
	defer response.Body.Close() //nolint:errcheck // only read
	var decoded struct {
		KVs []struct{ Key, Value []byte } `json:"kvs"`
	}
	w.Must(json.NewDecoder(response.Body).Decode(&decoded))
	stored := map[string][]byte{}
	for _, kv := range decoded.KVs {
		stored[string(kv.Key)] = kv.Value
	}
	if len(stored) < 50 {
		w.Fatalf("etcd holds only %d keys", len(stored))
	}
	return stored
}
