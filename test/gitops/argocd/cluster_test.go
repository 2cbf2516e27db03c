// SPDX-License-Identifier: Apache-2.0

package argocd_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v3/common"
	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/argo"
	argodiff "github.com/argoproj/argo-cd/v3/util/argo/diff"
	"github.com/argoproj/argo-cd/v3/util/argo/normalizers"
	"github.com/argoproj/gitops-engine/pkg/diff"
	"github.com/argoproj/gitops-engine/pkg/utils/kube"
	"github.com/argoproj/gitops-engine/pkg/utils/tracing"
	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/util/openapi"

	"github.com/embedded-user-operator/embedded-user-operator/test/gitops/gitopstest"
)

const (
	namespace  = "team-a"
	patience   = 90 * time.Second
	trackLabel = "app.kubernetes.io/instance"
)

// argoKubectl is what Argo CD has instead of kubectl.
var argoKubectl = &kube.KubectlCmd{Log: logr.Discard(), Tracer: tracing.NopTracer{}}

// cluster is a cluster with the operator, and what Argo CD uses to apply to it and to compare with it.
type cluster struct {
	*testing.T
	config     *rest.Config
	kubeconfig string

	schema     openapi.Resources
	operations kube.ResourceOperations
	dryRunner  diff.ServerSideDryRunner
	parser     *managedfields.GvkParser
	settings   comparison // Argo CD's defaults
	strict     comparison // statuses are compared too
}

// comparison is what Argo CD ignores when it compares.
type comparison = map[string]v1alpha1.ResourceOverride

// newCluster starts a cluster with the namespace team-a and an API key in it.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{T: t, kubeconfig: gitopstest.StartWorld(t)}
	var err error
	c.config, err = clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	c.must(err)
	c.schema, c.parser, err = argoKubectl.LoadOpenAPISchema(c.config)
	c.must(err)
	operations, cleanup, err := argoKubectl.ManageResources(c.config, c.schema)
	c.must(err)
	t.Cleanup(cleanup)
	c.operations = operations
	applier, cleanup, err := kube.ManageServerSideDiffDryRuns(c.config, c.schema, tracing.NopTracer{}, logr.Discard(), nil)
	c.must(err)
	t.Cleanup(cleanup)
	c.dryRunner = diff.NewK8sServerSideDryRunner(applier)

	argocdCM := argocdCM(t)
	c.settings, err = settingsOf(t, argocdCM).GetResourceOverrides()
	c.must(err)
	argocdCM.Data["resource.compareoptions"] = "ignoreResourceStatusField: none"
	c.strict, err = settingsOf(t, argocdCM).GetResourceOverrides()
	c.must(err)

	c.kubectl("", "create", "namespace", namespace)
	c.kubectl("", "create", "secret", "generic", "alloy", "--from-literal=apiKey="+gitopstest.Key)
	return c
}

func TestCluster(t *testing.T) {
	c := newCluster(t)
	t.Run("unchanged", func(t *testing.T) { testUnchanged(c.in(t)) })
	t.Run("changed", func(t *testing.T) { testChanged(c.in(t)) })
	t.Run("too long", func(t *testing.T) { testTooLong(c.in(t)) })
	t.Run("waves", func(t *testing.T) { testWaves(c.in(t)) })
	t.Run("patch", func(t *testing.T) { testPatch(c.in(t)) })
	t.Run("actions", func(t *testing.T) { testActions(c.in(t)) })
}

// in returns the cluster for a subtest.
func (c *cluster) in(t *testing.T) *cluster {
	with := *c
	with.T = t
	return &with
}

func (c *cluster) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// kubectl runs kubectl, in the namespace team-a unless the arguments name another, and returns what it prints.
func (c *cluster) kubectl(stdin string, args ...string) (printed []byte) {
	c.Helper()
	path := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl")
	command := exec.CommandContext(c.Context(), path, append([]string{"--kubeconfig", c.kubeconfig, "-n", namespace}, args...)...)
	command.Dir = gitopstest.Root()
	command.Stdin = strings.NewReader(stdin)
	printed, err := command.Output()
	if err != nil {
		c.Fatalf("kubectl %v: %v", args, err)
	}
	return printed
}

// target returns a manifest as Argo CD prepares it: in the namespace of the Application, with the annotation by which Argo CD tracks it.
func (c *cluster) target(manifest *unstructured.Unstructured) *unstructured.Unstructured {
	c.Helper()
	target := manifest.DeepCopy()
	target.SetNamespace(namespace)
	c.must(argo.NewResourceTracking().SetAppInstance(target, trackLabel, "customers", namespace, v1alpha1.TrackingMethodAnnotation, ""))
	return target
}

// apply applies an object as Argo CD does in a sync.
func (c *cluster) apply(target *unstructured.Unstructured, serverSide bool) error {
	_, err := c.operations.ApplyResource(c.Context(), target, cmdutil.DryRunNone, false, true, serverSide, common.ArgoCDSSAManager)
	return err
}

// live returns the object that is stored; nil if there is none.
func (c *cluster) live(target *unstructured.Unstructured) *unstructured.Unstructured {
	c.Helper()
	live, err := argoKubectl.GetResource(c.Context(), c.config, target.GroupVersionKind(), target.GetName(), namespace)
	if apierrors.IsNotFound(err) {
		return nil
	}
	c.must(err)
	return live
}

// awaitStatus waits until the operator has nothing left to do for a batch.
func (c *cluster) awaitStatus(target *unstructured.Unstructured) {
	c.Helper()
	var live *unstructured.Unstructured
	err := wait.PollUntilContextTimeout(c.Context(), 100*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		live = c.live(target)
		conditions, _, _ := unstructured.NestedSlice(live.Object, "status", "conditions")
		observed, _, _ := unstructured.NestedInt64(live.Object, "status", "observedGeneration")
		for _, condition := range conditions {
			if condition.(map[string]any)["type"] == "Reconciling" {
				return false, nil
			}
		}
		return observed == live.GetGeneration(), nil
	})
	if err != nil {
		c.Fatalf("the operator is not done: %v, status: %v", err, live.Object["status"])
	}
}

// mode is a way in which Argo CD compares manifests with what is stored.
type mode struct {
	name       string
	structured bool // the Application has the sync option ServerSideApply=true
	serverSide bool // the Application has the annotation argocd.argoproj.io/compare-options: ServerSideDiff=true
}

var modes = []mode{{name: "client-side"}, {name: "ServerSideApply=true", structured: true}, {name: "ServerSideDiff=true", serverSide: true}}

// compare returns what Argo CD says of a target in a mode: Synced or OutOfSync.
func (c *cluster) compare(target *unstructured.Unstructured, m mode, ignored comparison) v1alpha1.SyncStatusCode {
	c.Helper()
	config, err := argodiff.NewDiffConfigBuilder().
		WithDiffSettings(nil, ignored, false, normalizers.IgnoreNormalizerOpts{}).
		WithTracking(trackLabel, string(v1alpha1.TrackingMethodAnnotation)).
		WithNoCache().
		WithGVKParser(c.parser).
		WithManager(common.ArgoCDSSAManager).
		WithStructuredMergeDiff(m.structured).
		WithServerSideDiff(m.serverSide).
		WithServerSideDryRunner(c.dryRunner).
		Build()
	c.must(err)
	result, err := argodiff.StateDiff(c.live(target), target, config)
	c.must(err)
	if result.Modified {
		return v1alpha1.SyncStatusCodeOutOfSync
	}
	return v1alpha1.SyncStatusCodeSynced
}
