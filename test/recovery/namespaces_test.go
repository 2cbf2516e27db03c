// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// rolesNamespace is that of an operator with Roles only.
const rolesNamespace = "roles-only-system"

// deploy applies a folder of config in a namespace, for an operator in rolesNamespace.
func (w *world) deploy(folder, namespace string) {
	w.Helper()
	w.Must(plane.Deploy(w.Context(), testenv.Deployment{Folder: folder, Namespace: namespace, System: rolesNamespace}))
}

// watched returns which namespaces an operator says that it watches.
func (w *world) watched(operator *testenv.Operator) map[string]string {
	w.Helper()
	var text bytes.Buffer
	w.Must(testenv.Fetch(w.Context(), operator.Metrics+"/metrics", &text))
	values := map[string]string{}
	for line := range strings.Lines(text.String()) {
		if after, ok := strings.CutPrefix(line, `embeddeduser_namespace_watched{namespace="`); ok {
			namespace, value, _ := strings.Cut(strings.TrimSpace(after), `"} `)
			values[namespace] = value
		}
	}
	return values
}

// names reports whether the log names a namespace that cannot be watched.
func (w *world) names(namespace string) bool {
	for line := range strings.Lines(string(w.ProcessLog.Bytes())) {
		if strings.Contains(line, "Cannot watch namespace") && strings.Contains(line, namespace) {
			return true
		}
	}
	return false
}

// loseAnAnswer kills an operator with more rights after a request with the users of another world was applied.
func (w *world) loseAnAnswer(of *testenv.World) {
	w.Helper()
	killed := w.start("--watch-namespaces", of.Namespace)
	w.Sim.OnApplied(func(simulator.Request) { killed.Kill() })
	defer w.Sim.OnApplied(nil)
	of.CreateBatch("b", testenv.Users("denied", 3)...)
	if err := killed.Wait(); err == nil {
		w.Fatal("the operator was not killed")
	}
}

// TestNamespaces_OneWithoutRightsDoesNotStopTheOthers runs the operator with Roles only: in a namespace with rights, in one that gets
// them later, and in one that does not exist yet.
func TestNamespaces_OneWithoutRightsDoesNotStopTheOthers(t *testing.T) {
	w := newWorld(t, "tenant-with-rights", simulator.Options{Keys: []string{"of-the-denied", "of-the-missing"}})
	w.Must(testenv.CreateNamespace(t.Context(), w, rolesNamespace))
	w.deploy("namespaced", rolesNamespace)
	w.deploy("tenant", w.Namespace)
	kubeconfig, err := plane.Impersonate(rolesNamespace)
	w.Must(err)

	const missing = "tenant-that-does-not-exist"
	denied := testenv.NewWorld(t, plane, "tenant-without-rights", simulator.Options{})
	denied.SetKey("of-the-denied")
	w.loseAnAnswer(denied)

	const lease = "of-the-tenants"
	operator := w.startWith(kubeconfig, "--watch-namespaces", strings.Join([]string{denied.Namespace, missing, w.Namespace}, ","),
		"--leader-elect", "--leader-election-namespace", rolesNamespace, "--leader-election-id", lease)
	w.createBatch("b", 3)
	w.Await("b", v1alpha1.ReasonSucceeded)
	w.Must(operator.AwaitReady(t.Context()))
	w.Equal("watched", map[string]string{w.Namespace: "1", denied.Namespace: "0", missing: "0"}, w.watched(operator))
	if !w.names(denied.Namespace) || !w.names(missing) || w.names(w.Namespace) {
		t.Error("the log does not name exactly the namespaces without rights")
	}
	w.Must(w.Get(t.Context(), client.ObjectKey{Namespace: rolesNamespace, Name: lease}, &coordinationv1.Lease{}))
	if out, err := w.Kubectl("", "get", "events", "-o", "name"); err != nil || out == "" {
		t.Errorf("events: %v: %s", err, out)
	}

	denied.SetDefaultEventuallyTimeout(time.Minute)
	w.deploy("tenant", denied.Namespace)
	denied.Await("b", v1alpha1.ReasonSucceeded)
	for username, result := range denied.Results() { // the killed operator may have sent them
		if result.Result != v1alpha1.ResultExisting || result.Reason != v1alpha1.ReasonUnconfirmedAttempt {
			t.Errorf("%s: %+v", username, result)
		}
	}
	w.createBatch("again", 3)
	w.Await("again", v1alpha1.ReasonSucceeded)

	created := testenv.NewWorld(t, plane, missing, simulator.Options{})
	created.SetDefaultEventuallyTimeout(time.Minute)
	created.SetKey("of-the-missing")
	created.CreateBatch("b", testenv.Users("created", 3)...)
	w.deploy("tenant", missing)
	created.Await("b", v1alpha1.ReasonSucceeded)
	w.Equal("watched", map[string]string{w.Namespace: "1", denied.Namespace: "1", missing: "1"}, w.watched(operator))
	w.Must(operator.AwaitReady(t.Context()))
	w.Equal("users of the denied", 3, len(w.Sim.Users("of-the-denied")))
	w.Equal("users of the missing", 3, len(w.Sim.Users("of-the-missing")))
}

// TestNamespaces_WithClusterWideRights names a namespace that does not exist although there are rights.
func TestNamespaces_WithClusterWideRights(t *testing.T) {
	w := newWorld(t, "tenant-that-exists", simulator.Options{})
	const missing = "tenant-that-comes-later"
	operator := w.start("--watch-namespaces", w.Namespace+","+missing)
	w.createBatch("b", 3)
	w.Await("b", v1alpha1.ReasonSucceeded)
	w.Must(operator.AwaitReady(t.Context()))
	w.Equal("watched", map[string]string{w.Namespace: "1", missing: "0"}, w.watched(operator))
	if !w.names(missing) {
		t.Error("the log does not name the namespace")
	}
	w.Must(testenv.CreateNamespace(t.Context(), w, missing))
	w.Eventually(func() map[string]string { return w.watched(operator) }).WithTimeout(time.Minute).
		Should(gomega.Equal(map[string]string{w.Namespace: "1", missing: "1"}))
}

// TestNamespaces_ReadyOnlyWithRights runs the operator for a namespace, and then for all, without any rights.
func TestNamespaces_ReadyOnlyWithRights(t *testing.T) {
	w := newWorld(t, "tenant-of-nobody", simulator.Options{})
	nobody, err := plane.Impersonate("of-nobody")
	w.Must(err)
	for name, args := range map[string][]string{"one namespace": {"--watch-namespaces", w.Namespace}, "all namespaces": nil} {
		operator := w.startWith(nobody, args...)
		w.Eventually(func() int { return status(operator.Health + "/healthz") }).Should(gomega.Equal(http.StatusOK))
		if got := status(operator.Health + "/readyz"); got == http.StatusOK {
			t.Errorf("%s: ready without rights", name)
		}
		operator.Kill()
	}
}

// status returns the status of an answer, or 0.
func status(url string) int {
	response, err := http.Get(url)
	if err != nil {
		return 0
	}
	defer response.Body.Close() //nolint:errcheck // not read
	return response.StatusCode
}

func TestNamespacedInstall_HasNothingClusterWide(t *testing.T) {
	w := newWorld(t, "namespaced-install", simulator.Options{})
	kinds := map[string]int{}
	for _, folder := range []string{"namespaced", "tenant"} {
		out, err := plane.Kubectl(t.Context(), "kustomize", testenv.Root("config", folder)).Output()
		w.Must(err)
		for line := range strings.Lines(string(out)) {
			if kind, ok := strings.CutPrefix(line, "kind: "); ok {
				kinds[strings.TrimSpace(kind)]++
			}
		}
	}
	w.Equal("kinds", map[string]int{"Deployment": 1, "ServiceAccount": 1, "Service": 1, "Role": 2, "RoleBinding": 2}, kinds)
}
