// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

func configMapSource(name, key string) v1alpha1.UsersSource {
	return v1alpha1.UsersSource{ConfigMapKeyRef: &v1alpha1.UsersKeyReference{Name: name, Key: key}}
}

func secretSource(name, key string) v1alpha1.UsersSource {
	return v1alpha1.UsersSource{SecretKeyRef: &v1alpha1.UsersKeyReference{Name: name, Key: key}}
}

// configMap returns a ConfigMap of lists without creating it.
func (w *world) configMap(name string, lists map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name}, Data: lists}
}

// createFrom creates a batch from a source, and users of its own.
func (w *world) createFrom(name string, source v1alpha1.UsersSource, users ...v1alpha1.User) {
	w.Helper()
	batch := w.Batch(name, users...)
	batch.Spec.UsersFrom = []v1alpha1.UsersSource{source}
	w.MustCreate(batch)
}

func (w *world) zipped(text string) []byte {
	w.Helper()
	var buffer bytes.Buffer
	writer := gzip.NewWriter(&buffer)
	_, err := writer.Write([]byte(text))
	w.Must(errors.Join(err, writer.Close()))
	return buffer.Bytes()
}

func TestSources_EveryFormatIsMergedInOrder(t *testing.T) {
	w := newWorld(t, simulator.Options{Reject: func(username string) bool { return username == "refused" }})
	w.SetKey(w.Key)
	w.MustCreate(w.configMap("lists", map[string]string{
		"users.csv":    "\ufefffullName,username\r\nAnn,ann\r\n\"Bob, the second\",bob\r\nNobody,\r\n,\r\nAnna,ann\r\n",
		"users.ndjson": `{"username":"nadja"}` + "\n\nnonsense\n",
		"text":         "- username: yan\n- {username: refused}\n",
	}))
	w.MustCreate(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "list"},
		Data:       map[string][]byte{"users.json.gz": w.zipped(`[{"username":"json","fullName":"J"},{"username":"inline"},{"username":7}]`)},
	})
	yaml := configMapSource("lists", "text")
	yaml.Format = "YAML"
	optional := configMapSource("lists", "none.csv")
	optional.ConfigMapKeyRef.Optional = true
	b := w.Batch("all", v1alpha1.User{Username: "inline"})
	b.Spec.UsersFrom = []v1alpha1.UsersSource{
		configMapSource("lists", "users.csv"), secretSource("list", "users.json.gz"), configMapSource("lists", "users.ndjson"),
		yaml, optional,
	}
	w.MustCreate(b)
	status := w.Await("all", v1alpha1.ReasonInvalidUsers).Status

	w.Equal("counts", v1alpha1.UserCounts{Total: 11, Created: 6, Invalid: 5}, status.Counts)
	usernames, _ := w.Sent()
	w.Equal("sent", []string{"inline", "ann", "bob", "json", "nadja", "yan", "refused"}, usernames)
	type place struct {
		username, source string
		row              int32
		reason           v1alpha1.InvalidReason
	}
	var got []place
	for _, invalid := range status.InvalidUsers {
		source := fmt.Sprint(invalid.Source.Kind, "/", invalid.Source.Name, "/", invalid.Source.Key)
		got = append(got, place{invalid.Username, source, invalid.Row, invalid.Reason})
	}
	want := []place{
		{"", "ConfigMap/lists/users.csv", 2, v1alpha1.InvalidReasonInvalidRow},
		{"ann", "ConfigMap/lists/users.csv", 3, v1alpha1.InvalidReasonDuplicateUsername},
		{"", "Secret/list/users.json.gz", 2, v1alpha1.InvalidReasonInvalidRow},
		{"", "ConfigMap/lists/users.ndjson", 1, v1alpha1.InvalidReasonInvalidRow},
		{"refused", "ConfigMap/lists/text", 1, v1alpha1.InvalidReasonRejectedByAPI},
	}
	w.Equal("invalid users", want, got, cmp.AllowUnexported(place{}))
	message := testenv.Condition(status.Conditions, v1alpha1.ConditionUsersInvalid).Message
	if !contains(message, `5 invalid: row 2 of ConfigMap lists, users.csv (InvalidRow)`, "and 2 more") {
		t.Errorf("UsersInvalid says %q", message)
	}
}

func TestSources_NothingChangesWhileOneIsUnreadable(t *testing.T) {
	for name, tc := range map[string]struct {
		breakIt func(*world, *corev1.ConfigMap)
		reason  string
		says    []string
	}{
		"the ConfigMap is deleted": {
			func(w *world, c *corev1.ConfigMap) { w.Expect(w.Delete(w.Context(), c)).To(gomega.Succeed()) },
			v1alpha1.ReasonSourceNotFound, []string{`"users.csv" in ConfigMap "list" does not exist`},
		},
		"the key is gone": {
			func(w *world, c *corev1.ConfigMap) { w.change(c, map[string]string{"other.csv": "username\n"}) },
			v1alpha1.ReasonSourceNotFound, []string{`"users.csv" in ConfigMap "list" does not exist`},
		},
		"it is empty": {
			func(w *world, c *corev1.ConfigMap) { w.change(c, map[string]string{"users.csv": ""}) },
			v1alpha1.ReasonSourceUnreadable, []string{`"users.csv" in ConfigMap "list"`, "header"},
		},
		"a quote is never closed": {
			func(w *world, c *corev1.ConfigMap) {
				w.change(c, map[string]string{"users.csv": "username\nnew-1\n\"new-2\nnew-3\n"})
			},
			v1alpha1.ReasonSourceUnreadable, []string{`"users.csv" in ConfigMap "list"`, "line"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			w.SetKey(w.Key)
			list := w.configMap("list", map[string]string{"users.csv": "username\n" + lines("user", 1500)})
			w.MustCreate(list)
			w.createFrom("b", configMapSource("list", "users.csv"), v1alpha1.User{Username: "inline"})
			w.Await("b", v1alpha1.ReasonSucceeded)
			before := w.Slices()
			_, requests := w.Sent()

			tc.breakIt(w, list)
			status := w.Await("b", tc.reason).Status
			if !contains(testenv.Condition(status.Conditions, v1alpha1.ConditionReady).Message, tc.says...) ||
				status.Counts.Created != 1501 || status.Counts.Total != 1501 {
				t.Errorf("status: %+v", status)
			}
			w.Edit("b", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users = nil }) // must not be planned either
			w.Await("b", tc.reason)
			for i, slice := range w.Slices() {
				if diff := cmp.Diff(before[i], slice); diff != "" {
					t.Errorf("%s was changed: %s", slice.Name, diff)
				}
			}
			out, err := w.Kubectl("", "get", "events", "-o", "custom-columns=R:.reason,M:.message")
			if err != nil || !contains(out, tc.reason, tc.says[0]) {
				t.Errorf("events: %v\n%s", err, out)
			}

			again := w.configMap("list", map[string]string{"users.csv": "username\n" + lines("user", 1501)})
			if w.Create(t.Context(), again) != nil {
				w.change(list, again.Data)
			}
			w.Await("b", v1alpha1.ReasonSucceeded)
			w.Eventually(func() int32 { return w.Load("b").Status.Counts.Created }).Should(gomega.BeEquivalentTo(1501))
			if _, after := w.Sent(); after != requests+1 {
				t.Errorf("%d more requests were sent", after-requests)
			}
		})
	}
}

func TestLong_AListIsSentInWholeRequests(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	list := w.configMap("list", nil)
	list.BinaryData = map[string][]byte{"users.csv.gz": w.zipped("username\n" + lines("customer", 25_000))}
	w.MustCreate(list)
	w.createFrom("long", configMapSource("list", "users.csv.gz"))
	if counts := w.Await("long", v1alpha1.ReasonSucceeded).Status.Counts; counts.Created != 25_000 {
		t.Errorf("counts: %+v", counts)
	}
	if usernames, requests := w.Sent(); requests != 25 || len(usernames) != 25_000 {
		t.Errorf("%d users were sent in %d requests", len(usernames), requests)
	}
	versions := map[string]string{}
	for _, slice := range w.Slices() {
		versions[slice.Name] = slice.ResourceVersion
	}

	list.BinaryData["users.csv.gz"] = w.zipped("username\n" + lines("customer", 25_001))
	w.Must(w.Update(t.Context(), list))
	w.Eventually(func() int32 { return w.Load("long").Status.Counts.Created }).Should(gomega.BeEquivalentTo(25_001))
	w.Await("long", v1alpha1.ReasonSucceeded)
	touched := 0
	for _, slice := range w.Slices() {
		if versions[slice.Name] != slice.ResourceVersion {
			touched++
		}
	}
	if _, requests := w.Sent(); touched != 1 || requests != 26 {
		t.Errorf("one more user touched %d slices, and %d requests were sent", touched, requests)
	}
	w.halt()
	w.start() // an idle batch is skipped, however long
	w.CreateBatch("another", v1alpha1.User{Username: "another"})
	w.Await("another", v1alpha1.ReasonSucceeded)
	if _, requests := w.Sent(); requests != 27 {
		t.Errorf("after a restart %d requests were sent", requests)
	}
}

// TestSources_KustomizeNames applies a list from kustomize's configMapGenerator, which adds a hash to the name.
func TestSources_KustomizeNames(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	folder := t.TempDir()
	apply := func(users string) {
		t.Helper()
		for name, text := range map[string]string{
			"users.csv":  users,
			"batch.yaml": manifest("generated", "usersFrom: [{configMapKeyRef: {name: customers, key: users.csv}}]"),
			"names.yaml": "nameReference:\n- kind: ConfigMap\n  version: v1\n  fieldSpecs:\n  - kind: EmbeddedUserBatch\n" +
				"    path: spec/usersFrom/configMapKeyRef/name\n",
			"kustomization.yaml": "resources: [batch.yaml]\nconfigurations: [names.yaml]\n" +
				"configMapGenerator:\n- name: customers\n  files: [users.csv]\n",
		} {
			w.Must(os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
		}
		if out, err := w.Kubectl("", "apply", "--server-side", "-k", folder); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	apply("username\nann\n")
	first := w.Await("generated", v1alpha1.ReasonSucceeded)
	apply("username\nann\nbob\n")
	second := w.Await("generated", v1alpha1.ReasonSucceeded)
	name := func(b *v1alpha1.EmbeddedUserBatch) string { return b.Spec.UsersFrom[0].ConfigMapKeyRef.Name }
	if name(first) == name(second) || !strings.HasPrefix(name(second), "customers-") || second.Status.Counts.Created != 2 {
		t.Errorf("from %s to %s: %+v", name(first), name(second), second.Status.Counts)
	}
}

func TestSources_RefusedByTheSchema(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	for name, tc := range map[string]struct {
		source string
		want   string
	}{
		"two kinds": {"{configMapKeyRef: {name: a, key: b}, secretKeyRef: {name: a, key: b}}", "exactly one of"},
		"none":      {"{format: CSV}", "exactly one of"},
		"no key":    {"{configMapKeyRef: {name: a}}", "spec.usersFrom[0].configMapKeyRef.key"},
		"a name that no ConfigMap can have": {
			"{configMapKeyRef: {name: team/list, key: b}}", `spec.usersFrom[0].configMapKeyRef.name: Invalid value: "team/list"`,
		},
		"a name that no Secret can have": {"{secretKeyRef: {name: List, key: b}}", `spec.usersFrom[0].secretKeyRef.name: Invalid value: "List"`},
		"a name that is too long":        {"{secretKeyRef: {name: " + strings.Repeat("x", 254) + ", key: b}}", "253"},
		"other formats":                  {"{configMapKeyRef: {name: a, key: b}, format: XML}", "spec.usersFrom[0].format"},
	} {
		w.refuses(name, manifest("refused", "usersFrom: ["+tc.source+"]"), tc.want)
	}
}

// change replaces the lists in a ConfigMap.
func (w *world) change(list *corev1.ConfigMap, lists map[string]string) {
	w.Helper()
	w.Must(w.Get(w.Context(), client.ObjectKeyFromObject(list), list))
	list.Data = lists
	w.Must(w.Update(w.Context(), list))
}

// lines returns n usernames, one per line.
func lines(prefix string, n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "%s-%06d@example.com\n", prefix, i)
	}
	return text.String()
}

func TestSources_ACorrectedRowIsNoLongerInvalid(t *testing.T) {
	w := newWorld(t, simulator.Options{Reject: func(username string) bool { return strings.HasPrefix(username, "refused") }})
	w.options.SecondRead = 50 * time.Millisecond
	w.SetKey(w.Key)
	list := w.configMap("list", map[string]string{"users.csv": "username,fullName\nrefused-1,A\nfine,F\nrefused-2,B\n"})
	w.MustCreate(list)
	w.createFrom("b", configMapSource("list", "users.csv"))
	w.Await("b", v1alpha1.ReasonInvalidUsers)
	for _, edited := range []string{
		"username,fullName\nrefused-1,corrected\nfine,F\nrefused-2,B\n", // still refused
		"username,fullName\nfixed-1,A\nfine,F\nrefused-2,B\n",
		"username,fullName\nfine,F\nfirst,X\nrefused-2,B\n",
	} {
		w.change(list, map[string]string{"users.csv": edited})
		want := map[string]int32{}
		for row, line := range strings.Split(edited, "\n")[1:] {
			if username, _, _ := strings.Cut(line, ","); strings.HasPrefix(username, "refused") {
				want[username] = int32(row)
			}
		}
		w.Eventually(func() map[string]int32 {
			status := w.Load("b").Status
			named := map[string]int32{}
			for _, invalid := range status.InvalidUsers {
				named[invalid.Username] = invalid.Row
			}
			if status.Counts.Pending > 0 || int(status.Counts.Invalid) != len(named) || status.Counts.Total != 3 {
				return nil
			}
			return named
		}).Should(gomega.Equal(want), edited)
	}
}

func TestSources_AMissingListMakesNoUserInvalid(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	list := w.configMap("list", map[string]string{"users.csv": "username\n\"\"\n" + lines("user", 1500)})
	w.MustCreate(list)
	w.createFrom("b", configMapSource("list", "users.csv"))
	w.Await("b", v1alpha1.ReasonInvalidUsers)
	w.Expect(w.Delete(t.Context(), list)).To(gomega.Succeed())
	w.Await("b", v1alpha1.ReasonSourceNotFound)
	lost := w.Slices()[0]
	w.Expect(w.Delete(t.Context(), &lost)).To(gomega.Succeed())
	w.Eventually(func() v1alpha1.UserCounts { return w.Load("b").Status.Counts }).
		Should(gomega.Equal(v1alpha1.UserCounts{Total: 501, Created: 500, Invalid: 1}))
}
