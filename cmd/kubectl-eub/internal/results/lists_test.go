// SPDX-License-Identifier: Apache-2.0

package results

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// What is invalid here is what is invalid for the operator, whose list is the model.
func TestReadLists_SaysOfEachRowWhatTheOperatorSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SampledFrom([]string{"a", "b", "c", "", " d", "e\tf"})
		batch := &v1alpha1.EmbeddedUserBatch{}
		var model users.List
		for i := range rapid.IntRange(0, 30).Draw(t, "rows") {
			row := v1alpha1.UserRow{Username: names.Draw(t, "username"), FullName: rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "fullName")}
			batch.Spec.Users = append(batch.Spec.Users, row)
			model.Add(users.Row{User: users.User(row), Index: int32(i)}, users.Problem(users.User(row)))
		}
		var got []int32
		x, err := readLists(t.Context(), fake.NewFakeClient(), batch, func(row Row) error { got = append(got, *row.Row); return nil })
		if err != nil {
			t.Fatal(err)
		}
		var want []int32
		for _, flaw := range model.Flawed {
			want = append(want, flaw.Index)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		for _, valid := range model.Valid {
			row := Row{Username: valid.Username}
			if x.locate(&row); row.Row == nil || *row.Row != valid.Index || row.Source != "spec.users" {
				t.Fatalf("%+v is at %+v", valid, row)
			}
		}
	})
}

func TestReadLists_InSources(t *testing.T) {
	object := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "demo", Name: name} }
	ref := func(name, key string) *v1alpha1.UsersKeyReference {
		return &v1alpha1.UsersKeyReference{Name: name, Key: key}
	}
	reader := fake.NewClientBuilder().WithObjects(
		&corev1.ConfigMap{ObjectMeta: object("text"), Data: map[string]string{"users.csv": "username\na\n,\n\"b\" x\nc\n"}},
		&corev1.ConfigMap{ObjectMeta: object("binary"), BinaryData: map[string][]byte{
			"list": []byte(`[{"username": "d"}, {"username": "a", "fullName": "other"}]`),
		}},
		&corev1.Secret{ObjectMeta: object("secret"), Data: map[string][]byte{"users.ndjson": []byte(`{"username": "e"}`)}},
	).Build()
	batch := &v1alpha1.EmbeddedUserBatch{ObjectMeta: object("customers")}
	batch.Spec.UsersFrom = []v1alpha1.UsersSource{
		{ConfigMapKeyRef: ref("text", "users.csv")}, {ConfigMapKeyRef: ref("missing", "users.csv")},
		{ConfigMapKeyRef: ref("binary", "list"), Format: "JSON"},
		{SecretKeyRef: ref("secret", "users.ndjson")},
	}
	var got []string
	x, err := readLists(t.Context(), reader, batch, func(row Row) error {
		got = append(got, fmt.Sprintf("%s %s: %s", row.Reason, where(row), row.Message))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "c", "d", "e", "nobody"} {
		row := Row{Username: name}
		x.locate(&row)
		got = append(got, name+" "+where(row))
	}
	want := []string{
		"InvalidRow ConfigMap/text/users.csv line 4: a double quote ends within its field; double those inside a field",
		"DuplicateUsername ConfigMap/binary/list row 1: " + users.DuplicateProblem,
		"a ConfigMap/text/users.csv row 0", "c ConfigMap/text/users.csv row 2", "d ConfigMap/binary/list row 0",
		"e Secret/secret/users.ndjson row 0", "nobody ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	batch.Spec.UsersFrom = []v1alpha1.UsersSource{{ConfigMapKeyRef: ref("binary", "list")}}
	if _, err := readLists(t.Context(), reader, batch, nil); err == nil {
		t.Error("a list without a format is read")
	}
}
