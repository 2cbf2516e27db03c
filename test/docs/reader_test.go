// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// commandPatience bounds one command. Some build a program.
const commandPatience = 10 * time.Minute

var (
	// fromScratch are the pages that create the Secret and the first batch themselves.
	fromScratch = map[string]bool{"README.md": true, "docs/quickstart.md": true, "docs/install.md": true}
	// before are scripts that make what the readers of a page have already.
	before = map[string]string{
		"docs/gitops.md":       "kubectl create namespace argocd; kubectl -n argocd create configmap argocd-cm",
		"docs/runbooks":        "kubectl apply --server-side -k config/default",
		"docs/metrics.md":      "kubectl apply --server-side -k config/default",
		"dist/chart/README.md": "kubectl create namespace alloy; kubectl create namespace team-a; kubectl create namespace team-b",
	}
	// withoutCRDs are the pages that begin on a cluster without the CRDs, because their commands refuse to take CRDs over. No operator
	// runs there.
	withoutCRDs = map[string]bool{"dist/chart/README.md": true}
)

// reader is somebody who follows a page, with a cluster whose namespace is "demo", a checkout of the repository and an account in
// the API. Nothing runs pods, so the operator runs beside the cluster.
type reader struct {
	*testenv.World

	folder string // the working folder, which looks like the repository
	env    []string
}

// newReader starts a cluster for a page or a folder of pages.
func newReader(t *testing.T, path string) *reader {
	t.Helper()
	var options testenv.Options
	if withoutCRDs[path] {
		options.Configure = func(e *envtest.Environment) { e.CRDDirectoryPaths = nil }
	}
	plane, err := testenv.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	r := &reader{folder: t.TempDir()}
	if withoutCRDs[path] {
		r.World = &testenv.World{TB: t, Client: plane.Client, Plane: plane, Namespace: "default"}
		r.checkout()
	} else {
		r.World = testenv.NewWorld(t, plane, "demo", simulator.Options{
			Keys:   []string{"simulator-key", "key-of-another-account"},
			Reject: func(username string) bool { return strings.HasPrefix(username, "rejected") },
		})
		r.checkout()
		t.Cleanup(func() { r.restoreCRDs(t) })
		r.StartOperator(testenv.OperatorOptions{Path: operator, Kubeconfig: r.Plane.Kubeconfig})
		if !fromScratch[path] {
			r.prepare(path)
		}
	}
	if out, err := r.run(t.Context(), before[path]); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return r
}

// restoreCRDs installs the CRDs again, because a page may say how to remove them, and the end of a test looks at batches.
func (r *reader) restoreCRDs(t *testing.T) {
	t.Helper()
	out, err := r.run(context.WithoutCancel(t.Context()),
		"kubectl apply --server-side --force-conflicts -k config/crd && kubectl wait --for=condition=Established crd --all")
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// checkout fills the working folder with the files of the repository, so that commands can name them, and with files that readers have. It
// puts kubectl and Helm onto the path, and bin, where readers build the plugin of kubectl.
func (r *reader) checkout() {
	r.Helper()
	root, err := filepath.Abs(testenv.Root())
	r.Must(err)
	entries, err := os.ReadDir(root)
	r.Must(err)
	for _, entry := range entries {
		if entry.Name() != ".git" {
			r.Must(os.Symlink(filepath.Join(root, entry.Name()), filepath.Join(r.folder, entry.Name())))
		}
	}
	r.write("key.txt", r.Key+"\n")
	r.write("customers.csv", "username,fullName\ndemo@runalloy.com,Gregg Mojica\nuser_12345,\n")
	config, err := clientcmd.LoadFromFile(r.Plane.Kubeconfig)
	r.Must(err)
	for _, settings := range config.Contexts {
		settings.Namespace = r.Namespace
	}
	kubeconfig := filepath.Join(r.Plane.Folder, "kubeconfig-of-the-reader")
	r.Must(clientcmd.WriteToFile(*config, kubeconfig))
	programs := r.TempDir()
	r.Must(os.Symlink(filepath.Join(root, "bin", "tools", "helm"), filepath.Join(programs, "helm")))
	r.Must(os.Symlink(r.Plane.Kubectl(r.Context()).Path, filepath.Join(programs, "kubectl")))
	path := strings.Join([]string{programs, filepath.Join(r.folder, "bin"), os.Getenv("PATH")}, string(os.PathListSeparator))
	r.env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "PATH="+path,
		"NAMESPACE="+r.Namespace, "BATCH=customers") // of an alert
}

// invalid are users of the batch customers on pages that speak of such users. That the API rejects one takes half a minute.
var invalid = map[string]v1alpha1.User{
	"docs/troubleshooting.md": {Username: "rejected@example.com"},
	"docs/runbooks":           {FullName: "Nobody"},
}

// prepare creates what a page speaks of: the Secret alloy, and the batch customers, which becomes Ready.
func (r *reader) prepare(path string) {
	r.Helper()
	r.SetKey(r.Key)
	users := []v1alpha1.User{{Username: "demo@runalloy.com", FullName: "Gregg Mojica"}, {Username: "user_12345"}}
	reason := v1alpha1.ReasonSucceeded
	if user, ok := invalid[path]; ok {
		users = append(users, user)
		reason = v1alpha1.ReasonSucceededWithInvalidUsers
	}
	batch := r.Batch("customers", users...)
	batch.Spec.InvalidUserPolicy = v1alpha1.InvalidUserPolicyIgnore
	r.MustCreate(batch)
	r.Await("customers", reason)
}

// write creates a file in the working folder.
func (r *reader) write(name, text string) {
	r.Helper()
	r.Must(os.WriteFile(filepath.Join(r.folder, name), []byte(text), 0o600))
}

// run runs a script and returns what it prints.
func (r *reader) run(ctx context.Context, script string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandPatience)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	command.Dir, command.Env = r.folder, r.env
	out, err := command.CombinedOutput()
	return string(out), err
}
