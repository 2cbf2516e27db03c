// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// TestRows_TheVendorsExample applies the rows that Alloy's reference names in its example answer, and one that is new.
func TestRows_TheVendorsExample(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.Sim.Seed(w.Key, "alreadyexists123")
	w.SetKey(w.Key)
	const rows = "users:\n  - fullName: Missing Username\n  - username: alreadyexists123\n" +
		"  - {username: demo@runalloy.com, fullName: Gregg Mojica}"
	if out, err := w.apply(manifest("example", rows)); err != nil {
		t.Fatal(out)
	}
	w.Await("example", v1alpha1.ReasonInvalidUsers)
	out, err := w.Kubectl("", "describe", "eub", "example")
	w.Must(err)
	for _, pattern := range []string{
		`Created: +1\n +Existing: +1\n +Invalid: +1\n +Pending: +0\n +Total: +3\n`,
		`Invalid Users:\n +Message: +username is empty; give one of 1 to 256 characters\n +Reason: +InvalidRow\n +Row: +0\n`,
	} {
		if !regexp.MustCompile(pattern).MatchString(out) {
			t.Errorf("kubectl describe does not match %q:\n%s", pattern, out)
		}
	}
	if sent, _ := w.Sent(); !cmp.Equal(sent, []string{"alreadyexists123", "demo@runalloy.com"}) {
		t.Errorf("sent: %q", sent)
	}
}

// TestRows_InvalidOnesAreReportedAndNotSent tests the third table of docs/bad-input.md for spec.users.
func TestRows_InvalidOnesAreReportedAndNotSent(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	long := strings.Repeat("日", 257)
	cases := []struct {
		row               v1alpha1.UserRow
		username, message string // in the status
	}{
		{v1alpha1.UserRow{}, "", "username is empty"},
		{v1alpha1.UserRow{FullName: "Missing Username"}, "", "username is empty"},
		{v1alpha1.UserRow{Username: long}, strings.Repeat("日", 255) + "…", "username has more than 256 characters"},
		{v1alpha1.UserRow{Username: strings.Repeat("x", 1024)}, strings.Repeat("x", 255) + "…", "username has more than 256 characters"},
		{v1alpha1.UserRow{Username: "long", FullName: long}, "long", "fullName has more than 256 characters"},
		{v1alpha1.UserRow{Username: " x"}, " x", "username begins or ends with white space"},
		{v1alpha1.UserRow{Username: "x\u00a0"}, "x\u00a0", "username begins or ends with white space"},
		{v1alpha1.UserRow{Username: "x\n"}, "x\ufffd", "username contains a control character"},
		{v1alpha1.UserRow{Username: "x\ty"}, "x\ufffdy", "username contains a control character"},
		{v1alpha1.UserRow{Username: "x\x00y"}, "x\ufffdy", "username contains a control character"},
		{v1alpha1.UserRow{Username: "x\u0085y"}, "x\ufffdy", "username contains a control character"},
		{v1alpha1.UserRow{Username: "\x7f\u0080"}, "\ufffd\ufffd", "username contains a control character"},
		{v1alpha1.UserRow{Username: "\uffff\ufffe", FullName: long}, "\ufffd\ufffd", "fullName has more than 256 characters"},
		{v1alpha1.UserRow{Username: "\u200bx"}, "\u200bx", "username begins or ends with an invisible format character"},
		{v1alpha1.UserRow{Username: "\ufeffx"}, "\ufeffx", "username begins or ends with an invisible format character"},
		{v1alpha1.UserRow{Username: "x\u2060"}, "x\u2060", "username begins or ends with an invisible format character"},
		{v1alpha1.UserRow{Username: "first", FullName: "Other"}, "first", "An earlier row with the same username"},
	}
	b := w.Batch("rows", v1alpha1.User{Username: "first"})
	var want []v1alpha1.InvalidUser
	for i, tc := range cases {
		b.Spec.Users = append(b.Spec.Users, tc.row)
		reason := v1alpha1.InvalidReasonInvalidRow
		if tc.row.Username == "first" {
			reason = v1alpha1.InvalidReasonDuplicateUsername
		}
		want = append(want, v1alpha1.InvalidUser{Username: tc.username, Row: int32(i + 1), Reason: reason, Message: tc.message})
	}
	b.Spec.Users = append(b.Spec.Users, v1alpha1.UserRow{Username: "last"})
	w.MustCreate(b)
	status := w.Await("rows", v1alpha1.ReasonInvalidUsers).Status
	w.Equal("counts", v1alpha1.UserCounts{Total: int32(len(cases) + 2), Created: 2, Invalid: int32(len(cases))}, status.Counts)
	for i := range min(len(want), len(status.InvalidUsers)) {
		if got := &status.InvalidUsers[i].Message; strings.HasPrefix(*got, want[i].Message) {
			*got = want[i].Message
		}
	}
	w.Equal("invalid users", want, status.InvalidUsers)
	if sent, requests := w.Sent(); requests != 1 || !cmp.Equal(sent, []string{"first", "last"}) {
		t.Errorf("%d requests were sent, with %q", requests, sent)
	}

	// A corrected row is sent.
	w.Edit("rows", func(b *v1alpha1.EmbeddedUserBatch) {
		b.Spec.Users = append(b.Spec.Users[:1:1], v1alpha1.UserRow{Username: "corrected"}, v1alpha1.UserRow{Username: "last"})
	})
	w.Await("rows", v1alpha1.ReasonSucceeded)
	if sent, _ := w.Sent(); !cmp.Equal(sent, []string{"first", "last", "corrected"}) {
		t.Errorf("sent: %q", sent)
	}
}

// TestRows_InvalidOnesOfSourcesAreNotSent tests the third table for usersFrom.
func TestRows_InvalidOnesOfSourcesAreNotSent(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.MustCreate(w.configMap("lists", map[string]string{
		"joined.csv": "username,fullName\nann,Ann\n\ufeffUsername,FullName\nbob , Bob\n,\n" +
			"\"x\"y,Z\nx\u200b,X\none,two,three\ny,\"never closed\n",
		"mac.csv": "username\rcy\rx\ufeffusername\rdan\r",
		"helm.yaml": "- username: 1.2345678e+07\n- username: 00123\n- username: true\n- username: 2024-01-01\n" +
			"- username: eve\n  fullName: 17\n- username: \"17\"\n",
		"types.json":  `[{"username":12345678},{"username":true},{"username":["x"]},{"username":"fay","id":1},{"username":"fay"}]`,
		"lines.jsonl": "{\"username\":1e7}\n\ufeff{\"username\":\"gus\"}\nnonsense\n{\"username\":\"hal\"},\n",
	}))
	b := w.Batch("lists")
	for _, key := range []string{"joined.csv", "mac.csv", "helm.yaml", "types.json", "lines.jsonl"} {
		b.Spec.UsersFrom = append(b.Spec.UsersFrom, configMapSource("lists", key))
	}
	w.MustCreate(b)
	status := w.Await("lists", v1alpha1.ReasonInvalidUsers).Status
	want := []string{"ann", "bob", "cy", "dan", "17", "fay", "gus"}
	if sent, requests := w.Sent(); requests != 1 || !cmp.Equal(sent, want) {
		t.Errorf("%d requests were sent, with %q", requests, sent)
	}
	w.Equal("counts", v1alpha1.UserCounts{Total: 25, Created: 7, Invalid: 18}, status.Counts)
	rows := map[string][]int32{}
	for _, invalid := range status.InvalidUsers {
		rows[invalid.Source.Key] = append(rows[invalid.Source.Key], invalid.Row)
		if invalid.Reason != v1alpha1.InvalidReasonInvalidRow || invalid.Message == "" {
			t.Errorf("%+v", invalid)
		}
		if invalid.Source.Key == "helm.yaml" && !strings.Contains(invalid.Message, "put its value in quotes") {
			t.Errorf("%+v does not say how to mend it", invalid)
		}
	}
	w.Equal("invalid rows", map[string][]int32{
		"joined.csv": {1, 3, 4, 5, 6}, "mac.csv": {1}, "helm.yaml": {0, 1, 2, 3, 4},
		"types.json": {0, 1, 2, 3}, "lines.jsonl": {0, 2, 3},
	}, rows)
}

// TestRows_ATextThatIsNoListChangesNothing replaces a list by what a broken export or a proxy leaves.
func TestRows_ATextThatIsNoListChangesNothing(t *testing.T) {
	const page = "<html>\n<body>502 hunter2</body>\n</html>\n"
	good := map[string]string{
		"list.ndjson": "{\"username\":\"ann\"}\n{\"username\":\"bob\"}\n", "list.json": `[{"username":"ann"},{"username":"bob"}]`,
		"list.yaml": "- username: ann\n- username: bob\n",
	}
	for name, tc := range map[string]struct {
		key, text string
		says      []string
	}{
		"an empty file": {"list.ndjson", "", []string{"the NDJSON is empty"}},
		"a page": {
			"list.ndjson", page, []string{"line 1: not one JSON object, line 2: not one JSON object, line 3: not one JSON object"},
		},
		"an error":             {"list.ndjson", `{"message":"hunter2"}`, []string{"line 1: an unknown field"}},
		"JSON without objects": {"list.json", `["hunter2",5]`, []string{"row 0: not an object, row 1: not an object"}},
		"YAML without objects": {"list.yaml", "- hunter2\n- {Username: x}\n", []string{"line 1: not a mapping, line 2: an unknown field"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Options{})
			w.SetKey(w.Key)
			list := w.configMap("list", map[string]string{tc.key: good[tc.key]})
			w.MustCreate(list)
			w.createFrom("b", configMapSource("list", tc.key))
			w.Await("b", v1alpha1.ReasonSucceeded)
			before, sent := w.Slices(), len(w.Sim.Requests())

			w.change(list, map[string]string{tc.key: tc.text})
			status := w.Await("b", v1alpha1.ReasonSourceUnreadable).Status
			w.Equal("counts", v1alpha1.UserCounts{Total: 2, Created: 2}, status.Counts)
			message := testenv.Condition(status.Conditions, v1alpha1.ConditionSourcesRead).Message
			if !contains(message, append(tc.says, `"`+tc.key+`" in ConfigMap "list"`)...) || strings.Contains(message, "hunter2") {
				t.Errorf("message: %s", message)
			}
			w.change(list, map[string]string{tc.key: good[tc.key]})
			w.Await("b", v1alpha1.ReasonSucceeded)
			w.Equal("slices", before, w.Slices())
			if requests := w.Sim.Requests(); len(requests) != sent {
				t.Errorf("%d more requests were sent", len(requests)-sent)
			}
		})
	}
}

func TestRows_EmptyListsAreLists(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	w.MustCreate(w.configMap("empty", map[string]string{"a.csv": "username,fullName\n", "b.json": "[]", "c.yaml": "[]\n"}))
	b := w.Batch("empty")
	b.Spec.UsersFrom = []v1alpha1.UsersSource{
		configMapSource("empty", "a.csv"), configMapSource("empty", "b.json"), configMapSource("empty", "c.yaml"),
	}
	w.MustCreate(b)
	w.Equal("counts", v1alpha1.UserCounts{}, w.Await("empty", v1alpha1.ReasonSucceeded).Status.Counts)
}

// TestRows_RepeatedOnesAreCounted has a list in which a spreadsheet rounded three numbers, and changes the status when the list is
// not in memory.
func TestRows_RepeatedOnesAreCounted(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	list := w.configMap("list", map[string]string{
		"users.csv": "username,fullName\n1.23457E+11,\n1.23457E+11,\n1.23457E+11,\nann,Ann\nann,Anna\n",
	})
	w.MustCreate(list)
	w.createFrom("b", configMapSource("list", "users.csv"), v1alpha1.User{Username: "inline"}, v1alpha1.User{Username: "inline"})
	w.CreateBatch("inline", v1alpha1.User{Username: "inline"}, v1alpha1.User{Username: "inline"})
	w.Await("b", v1alpha1.ReasonInvalidUsers)
	repeats := func(want int32, said string) {
		t.Helper()
		status := w.Load("b").Status
		message := testenv.Condition(status.Conditions, v1alpha1.ConditionSourcesRead).Message
		if status.RepeatedRows != want || strings.Contains(message, "repeat") != (said != "") || !strings.Contains(message, said) {
			t.Errorf("%d repeated rows, and SourcesRead says %q", status.RepeatedRows, message)
		}
	}
	repeats(3, "3 of the batch's rows repeat an earlier row")
	if out, err := w.Kubectl("", "describe", "eub", "b"); err != nil || !regexp.MustCompile(`Repeated Rows: +3\n`).MatchString(out) {
		t.Errorf("kubectl describe: %v\n%s", err, out)
	}
	if status := w.Await("inline", v1alpha1.ReasonSucceeded).Status; status.RepeatedRows != 1 {
		t.Errorf("an inline list: %+v", status)
	}

	w.halt()
	w.start()
	before := w.Load("b").Status.KeyFingerprint
	w.Sim.AddKey("another")
	w.Sim.Seed("another", w.names(w.Key)...)
	w.SetKey("another") // the list is not read for this
	w.Eventually(func() string { return w.Load("b").Status.KeyFingerprint }).ShouldNot(gomega.Equal(before))
	repeats(3, "3 of the batch's rows repeat an earlier row")
	w.Edit("b", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users = b.Spec.Users[:1] })
	w.change(list, map[string]string{"users.csv": "username\n123457000001\n"})
	w.Await("b", v1alpha1.ReasonSucceeded)
	repeats(0, "")
}

// TestRows_LongNamesAreCutByCharacters lists names of four bytes a character.
func TestRows_LongNamesAreCutByCharacters(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	whole := strings.Repeat("😀", 256)
	w.CreateBatch("long", v1alpha1.User{Username: whole, FullName: "A"}, v1alpha1.User{Username: whole, FullName: "B"},
		v1alpha1.User{Username: whole + "😀"})
	status := w.Await("long", v1alpha1.ReasonInvalidUsers).Status
	var names []string
	for _, invalid := range status.InvalidUsers {
		names = append(names, invalid.Username)
	}
	w.Equal("usernames", []string{whole, strings.Repeat("😀", 255) + "…"}, names)
}

// TestRows_ALongListOfInvalidOnes applies 10,000 rows, of which one is valid.
func TestRows_ALongListOfInvalidOnes(t *testing.T) {
	w := newWorld(t, simulator.Options{})
	w.SetKey(w.Key)
	b := w.Batch("large")
	for i := range v1alpha1.MaxInlineUsers {
		b.Spec.Users = append(b.Spec.Users, v1alpha1.UserRow{FullName: fmt.Sprintf("Missing username number %d", i)})
	}
	b.Spec.Users[5000] = v1alpha1.UserRow{Username: "valid"}
	b.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: v1alpha1.EmbeddedUserBatchKind}
	text, err := json.Marshal(b)
	w.Must(err)
	if out, err := w.apply(string(text)); err != nil {
		t.Fatal(out)
	}
	status := w.Await("large", v1alpha1.ReasonInvalidUsers).Status
	w.Equal("counts", v1alpha1.UserCounts{Total: 10_000, Created: 1, Invalid: 9_999}, status.Counts)
	if len(status.InvalidUsers) != v1alpha1.MaxInvalidUsers || status.InvalidUsersOmitted != 9_899 {
		t.Errorf("%d listed, %d omitted", len(status.InvalidUsers), status.InvalidUsersOmitted)
	}
	if sent, _ := w.Sent(); !cmp.Equal(sent, []string{"valid"}) {
		t.Errorf("sent: %q", sent)
	}
}
