// SPDX-License-Identifier: Apache-2.0

package argocd_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/embedded-user-operator/embedded-user-operator/test/gitops/gitopstest"
)

// specs are the specs of the batches to compare, each with as few or as many fields as the API has.
var specs = []struct {
	name, spec string
	serverSide bool // too long for a client-side apply
}{
	{name: "fields with defaults left out", spec: `{"apiKeySecretRef": {"name": "alloy"}, "users": [{"username": "a"}]}`},
	{name: "no list", spec: `{"apiKeySecretRef": {"name": "alloy"}}`},
	{name: "every field", spec: `{
		"apiKeySecretRef": {"name": "alloy", "key": "apiKey"}, "invalidUserPolicy": "Ignore",
		"users": [{"username": "a", "fullName": "A"}, {"username": "b", "fullName": "B"}],
		"usersFrom": [
			{"configMapKeyRef": {"name": "none", "key": "users.csv", "optional": true}, "format": "CSV"},
			{"secretKeyRef": {"name": "none", "key": "users.json.gz", "optional": true}}]}`},
	{name: "odd values", spec: `{
		"apiKeySecretRef": {"name": "alloy"}, "usersFrom": [], "invalidUserPolicy": "Ignore",
		"users": [{}, {"username": ""}, {"username": "Å", "fullName": ""}, {"username": "Å"}, {"username": " <&> "},
			{"username": "1.5", "fullName": "a: b # c\n"}]}`},
	{name: "3,000 users", spec: listOf(3_000)},
	{name: "10,000 users", spec: listOf(10_000), serverSide: true},
}

// listOf returns a spec with n users of 80 bytes.
func listOf(n int) string {
	users := make([]string, n)
	for i := range users {
		users[i] = fmt.Sprintf(`{"username": "customer-%05d@example.com", "fullName": "Customer number %d"}`, i, i)
	}
	return `{"apiKeySecretRef": {"name": "alloy"}, "users": [` + strings.Join(users, ",") + `]}`
}

func batch(t *testing.T, name, spec string) *unstructured.Unstructured {
	t.Helper()
	object := parse(t, `{"apiVersion": "embedded.runalloy.com/v1alpha1", "kind": "EmbeddedUserBatch", "spec": `+spec+`}`)
	object.SetName(name)
	return object
}

// ways are the ways in which a batch gets into the cluster.
var ways = []struct {
	name       string
	created    bool // with kubectl create, before Argo CD applies it
	serverSide bool // Argo CD applies it server-side
}{
	{name: "client-side"},
	{name: "server-side", serverSide: true},
	{name: "kubectl create, then client-side", created: true},
	{name: "kubectl create, then server-side", created: true, serverSide: true},
}

// testUnchanged applies each batch in each way, and has Argo CD compare it in each mode, before and after the operator has written its
// status.
func testUnchanged(c *cluster) {
	var rows [][]string
	for i, spec := range specs {
		for j, way := range ways {
			if spec.serverSide && !way.serverSide {
				continue
			}
			manifest := batch(c.T, fmt.Sprintf("batch-%d-%d", i, j), spec.spec)
			target := c.target(manifest)
			if way.created {
				text, err := json.Marshal(manifest)
				c.must(err)
				c.kubectl(string(text), "create", "-f", "-")
				if got := c.compare(target, modes[0], c.settings); got != v1alpha1.SyncStatusCodeOutOfSync {
					c.Errorf("%s, which Argo CD does not track yet, is %s", spec.name, got)
				}
			}
			c.must(c.apply(target, way.serverSide))
			row := []string{spec.name, way.name}
			for _, mode := range modes {
				row = append(row, string(c.compare(target, mode, c.settings)))
			}
			c.awaitStatus(target)
			for _, mode := range modes {
				row = append(row, string(c.compare(target, mode, c.strict)))
			}
			rows = append(rows, row)
			for _, cell := range row[2:] {
				if cell != string(v1alpha1.SyncStatusCodeSynced) {
					c.Errorf("%v, want every comparison Synced", row)
				}
			}
		}
	}
	header := []string{"batch", "applied"}
	for _, when := range []string{"", " with its status"} {
		for _, mode := range modes {
			header = append(header, mode.name+when)
		}
	}
	c.Log(gitopstest.Table(header, rows))
}

// changes are what somebody may do to a manifest that was applied.
var changes = []struct {
	name, spec string
	unseen     string // the mode in which Argo CD does not see the change
}{
	{name: "nothing but the changes below", spec: `{"apiKeySecretRef": {"name": "alloy"}, "invalidUserPolicy": "Ignore",
		"users": [{"username": "a", "fullName": "A"}, {"username": "b"}]}`},
	{name: "another Secret", spec: `{"apiKeySecretRef": {"name": "other"}, "invalidUserPolicy": "Ignore",
		"users": [{"username": "a", "fullName": "A"}, {"username": "b"}]}`},
	{name: "another policy", spec: `{"apiKeySecretRef": {"name": "alloy"}, "invalidUserPolicy": "Fail",
		"users": [{"username": "a", "fullName": "A"}, {"username": "b"}]}`},
	{name: "a policy removed", unseen: "ServerSideDiff=true", spec: `{"apiKeySecretRef": {"name": "alloy"},
		"users": [{"username": "a", "fullName": "A"}, {"username": "b"}]}`},
	{name: "a full name removed", spec: `{"apiKeySecretRef": {"name": "alloy"}, "invalidUserPolicy": "Ignore",
		"users": [{"username": "a"}, {"username": "b"}]}`},
	{name: "users in another order", spec: `{"apiKeySecretRef": {"name": "alloy"}, "invalidUserPolicy": "Ignore",
		"users": [{"username": "b"}, {"username": "a", "fullName": "A"}]}`},
	{name: "a user removed", spec: `{"apiKeySecretRef": {"name": "alloy"}, "invalidUserPolicy": "Ignore",
		"users": [{"username": "a", "fullName": "A"}]}`},
}

// testChanged changes the manifest after it was applied.
func testChanged(c *cluster) {
	for i, change := range changes {
		for j, mode := range modes {
			name := fmt.Sprintf("changed-%d-%d", i, j)
			c.must(c.apply(c.target(batch(c.T, name, changes[0].spec)), mode.structured || mode.serverSide))
			want := v1alpha1.SyncStatusCodeOutOfSync
			if i == 0 || mode.name == change.unseen {
				want = v1alpha1.SyncStatusCodeSynced
			}
			if got := c.compare(c.target(batch(c.T, name, change.spec)), mode, c.settings); got != want {
				c.Errorf("%s, compared %s: %s, want %s", change.name, mode.name, got, want)
			}
		}
	}
}

// testTooLong shows why docs/gitops.md asks for ServerSideApply=true.
func testTooLong(c *cluster) {
	err := c.apply(c.target(batch(c.T, "long", listOf(5_000))), false)
	if err == nil || !strings.Contains(err.Error(), "Too long") {
		c.Errorf("a client-side apply of 5,000 users: %v", err)
	}
}

// testPatch runs the command in docs/gitops.md that installs the health check without Kustomize.
func testPatch(c *cluster) {
	const command = "kubectl -n argocd patch configmap argocd-cm --patch-file config/argocd/argocd-cm.yaml"
	if !strings.Contains(gitopstest.Document(c.T), "\n"+command+"\n") {
		c.Fatalf("docs/gitops.md does not have the command %s", command)
	}
	c.kubectl("", "create", "namespace", "argocd")
	c.kubectl(installed, "-n", "argocd", "create", "-f", "-")
	c.kubectl("", strings.Fields(command)[1:]...)
	var patched corev1.ConfigMap
	c.must(json.Unmarshal(c.kubectl("", "-n", "argocd", "get", "configmap", "argocd-cm", "-o", "json"), &patched))
	if diff := cmp.Diff(argocdCM(c.T).Data, patched.Data); diff != "" {
		c.Errorf("the patch differs from what Kustomize makes (-Kustomize +patch):\n%s", diff)
	}
}
