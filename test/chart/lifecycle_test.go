// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

const crd = "embeddeduserbatches.embedded.runalloy.com"

// manages is the name of the Deployment, and of what goes with it.
var manages = client.ObjectKey{Namespace: namespace, Name: release + "-manager"}

// TestLifecycle installs an older chart, upgrades it to this one, changes values, rolls back, uninstalls and installs again, with each
// version of Helm in turn. It does not wait for pods, because nothing runs them.
func TestLifecycle(t *testing.T) {
	for version, program := range helms {
		t.Run(version, func(t *testing.T) {
			r := releaseOf{t, gomega.NewWithT(t), program}
			r.SetDefaultEventuallyTimeout(testenv.Patience)
			t.Cleanup(r.cleanUp)

			r.helm("install", release, olderChart(t))
			r.eventuallyHasCRD()
			if n := r.columns(); n != 0 {
				t.Fatalf("the older CRD has %d columns", n)
			}
			r.createBatch()

			r.helm("upgrade", release, folder)
			if n := r.columns(); n == 0 {
				t.Error("the upgrade left the CRD as it was")
			}
			r.helm("upgrade", release, folder, "--set", "replicas=2,networkPolicy.enabled=true")
			if n := r.replicas(); n != 2 {
				t.Errorf("%d replicas after the upgrade", n)
			}
			r.must(plane.Client.Get(t.Context(), manages, &policyv1.PodDisruptionBudget{}))

			r.helm("rollback", release, "2")
			if n := r.replicas(); n != 1 {
				t.Errorf("%d replicas after the rollback", n)
			}
			r.gone(&policyv1.PodDisruptionBudget{})
			if notes := r.helm("get", "notes", release); !strings.Contains(notes, "create secret generic alloy") {
				t.Errorf("the notes:\n%s", notes)
			}
			t.Log(r.helm("history", release))
			r.helmTest()

			r.helm("uninstall", release)
			r.gone(&appsv1.Deployment{})
			r.hasBatch()
			r.helm("install", release, folder) // takes the CRDs over again
			r.hasBatch()
			r.helm("uninstall", release)
			removeCRDs(t, r)
		})
	}
}

// TestLifecycle_AfterTheBundle installs dist/install.yaml, and then the chart in its place.
func TestLifecycle_AfterTheBundle(t *testing.T) {
	for version, program := range helms {
		for _, apply := range []string{"--server-side", "--server-side=false"} {
			t.Run(version+" after apply "+apply, func(t *testing.T) {
				r := releaseOf{t, gomega.NewWithT(t), program}
				r.SetDefaultEventuallyTimeout(testenv.Patience)
				t.Cleanup(r.cleanUp)
				mustKubectl(t, "", "apply", apply, "-f", testenv.Root("dist", "install.yaml"))
				r.eventuallyHasCRD()
				r.createBatch()

				mustKubectl(t, "", "delete", "deployment", "--namespace", namespace, release+"-manager")
				flags := []string{"--take-ownership"}
				if version == "Helm 4" { // applies on the server: the Service selects other pods than kubectl says
					flags = append(flags, "--force-conflicts")
				}
				r.helm(append([]string{"install", release, folder}, flags...)...)
				r.helm("upgrade", release, folder, "--set", "replicas=2")
				if n := r.replicas(); n != 2 {
					t.Errorf("%d replicas", n)
				}
				r.hasBatch()
				r.helm("uninstall", release)
				r.hasBatch()
			})
		}
	}
}

// releaseOf is a release in the hands of a version of Helm. Its methods end the test if they fail.
type releaseOf struct {
	t *testing.T
	*gomega.WithT
	program string
}

func (r releaseOf) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r releaseOf) helm(args ...string) string {
	r.t.Helper()
	return mustHelm(r.t, r.program, append(args, "--namespace", namespace)...)
}

// cleanUp removes what a test that failed has left, which the next one must not see.
func (r releaseOf) cleanUp() {
	ctx := context.WithoutCancel(r.t.Context())
	for _, args := range [][]string{
		{"delete", "--namespace", namespace, "--ignore-not-found", "secret", "--selector", "owner=helm"},
		{"delete", "--namespace", namespace, "--ignore-not-found", "deployment,service,serviceaccount,role,rolebinding,pdb,networkpolicy",
			"--all"},
		{"delete", "crd,clusterrole,clusterrolebinding", "--selector", "app.kubernetes.io/name=embedded-user-operator"},
	} {
		if out, err := plane.Kubectl(ctx, args...).CombinedOutput(); err != nil {
			r.t.Errorf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

func (r releaseOf) eventuallyHasCRD() {
	r.t.Helper()
	r.Eventually(func() string {
		return mustKubectl(r.t, "", "get", "crd", crd, "-o", `jsonpath={.status.conditions[?(@.type=="Established")].status}`)
	}).Should(gomega.Equal("True"))
}

// columns counts the columns that kubectl prints for a batch.
func (r releaseOf) columns() int {
	r.t.Helper()
	return len(strings.Fields(mustKubectl(r.t, "", "get", "crd", crd, "-o", "jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}")))
}

func (r releaseOf) replicas() int32 {
	r.t.Helper()
	deployment := &appsv1.Deployment{}
	r.must(plane.Client.Get(r.t.Context(), manages, deployment))
	return *deployment.Spec.Replicas
}

// gone checks that there is no object of this kind with the release's name.
func (r releaseOf) gone(object client.Object) {
	r.t.Helper()
	r.Eventually(func() bool {
		return apierrors.IsNotFound(plane.Client.Get(r.t.Context(), manages, object))
	}).Should(gomega.BeTrue(), "it is still there")
}

func (r releaseOf) createBatch() {
	r.t.Helper()
	r.must(testenv.Create(r.t.Context(), plane.Client, testenv.Batch("team-a", "customers", testenv.Users("user", 3)...)))
}

func (r releaseOf) hasBatch() {
	r.t.Helper()
	batch := testenv.Batch("team-a", "customers")
	r.must(plane.Client.Get(r.t.Context(), client.ObjectKeyFromObject(batch), batch))
}

// helmTest runs helm test, and says in place of the kubelet how the pod ended.
func (r releaseOf) helmTest() {
	r.t.Helper()
	key := client.ObjectKey{Namespace: namespace, Name: release + "-test"}
	for _, phase := range []corev1.PodPhase{corev1.PodFailed, corev1.PodSucceeded} {
		var out string
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			out, err = helm(r.t, r.program, "test", release, "--namespace", namespace)
		}()
		r.must(testenv.Await(r.t.Context(), func(ctx context.Context) error {
			var pod corev1.Pod
			if err := plane.Client.Get(ctx, key, &pod); err != nil {
				return err
			}
			if pod.Status.Phase == corev1.PodFailed { // of the last test
				return errors.New("the pod is that of the last test")
			}
			if err := plane.Client.Get(ctx, key, &corev1.Service{}); err != nil {
				return err
			}
			pod.Status.Phase = phase
			return plane.Client.Status().Update(ctx, &pod)
		}))
		<-done
		if (err == nil) != (phase == corev1.PodSucceeded) {
			r.t.Errorf("helm test, after the pod %s: %v\n%s", phase, err, out)
		}
	}
	for _, object := range []client.Object{&corev1.Pod{}, &corev1.Service{}} {
		if err := plane.Client.Get(r.t.Context(), key, object); !apierrors.IsNotFound(err) {
			r.t.Errorf("helm test left a %T: %v", object, err)
		}
	}
}

// removeCRDs runs the command that the notes give for that.
func removeCRDs(t *testing.T, r releaseOf) {
	t.Helper()
	notes := mustHelm(t, r.program, "install", release, folder, "--namespace", namespace, "--dry-run=client")
	_, after, found := strings.Cut(notes, "kubectl delete crd")
	if !found {
		t.Fatalf("the notes do not say how to remove the CRDs:\n%s", notes)
	}
	line, _, _ := strings.Cut(after, "\n")
	mustKubectl(t, "", append([]string{"delete", "crd", "--wait"}, strings.Fields(line)...)...)
	if out := mustKubectl(t, "", "get", "crd"); strings.Contains(out, "runalloy") {
		t.Errorf("there are still CRDs:\n%s", out)
	}
}

// olderChart returns a chart as it could have been before: its CRDs print no columns.
func olderChart(t *testing.T) string {
	t.Helper()
	older := t.TempDir()
	if err := os.CopyFS(older, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	change := func(path string, change func(string) string) {
		text, err := os.ReadFile(path)
		if err == nil {
			changed := change(string(text))
			if changed == string(text) {
				t.Fatalf("%s has nothing to change", path)
			}
			err = os.WriteFile(path, []byte(changed), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	change(filepath.Join(older, "Chart.yaml"), func(text string) string {
		return strings.Replace(text, "\nversion: ", "\nversion: 0.0.9 # ", 1)
	})
	err := fs.WalkDir(os.DirFS(older), "files/crds", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			change(filepath.Join(older, path), withoutColumns)
		}
		return err
	})
	if err := errors.Join(err); err != nil {
		t.Fatal(err)
	}
	return older
}

func withoutColumns(crd string) string {
	before, after, _ := strings.Cut(crd, "  - additionalPrinterColumns:\n")
	_, rest, _ := strings.Cut(after, "\n    name: v1alpha1\n")
	return before + "  - name: v1alpha1\n" + rest
}
