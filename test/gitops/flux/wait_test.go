// SPDX-License-Identifier: Apache-2.0

package flux_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	"github.com/fluxcd/cli-utils/pkg/object"
	"github.com/fluxcd/pkg/ssa"
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"github.com/embedded-user-operator/embedded-user-operator/test/gitops/gitopstest"
)

const (
	namespace = "team-a"
	// patienceOfTheOperator is how long a batch waits for its Secret before it is stalled.
	patienceOfTheOperator = 2 * time.Minute
)

// cluster is a cluster with the operator, and what Flux uses to apply to it.
type cluster struct {
	*testing.T
	client.Client
	manager *ssa.ResourceManager
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	log.SetLogger(logr.Discard())
	config, err := clientcmd.BuildConfigFromFlags("", gitopstest.StartWorld(t))
	c := &cluster{T: t}
	c.must(err)
	config.QPS = -1 // no limit, which would end a wait with an error of its own
	httpClient, err := rest.HTTPClientFor(config)
	c.must(err)
	mapper, err := apiutil.NewDynamicRESTMapper(config, httpClient)
	c.must(err)
	c.Client, err = client.New(config, client.Options{HTTPClient: httpClient, Mapper: mapper})
	c.must(err)
	// The owner is that of Flux's kustomize-controller.
	owner := ssa.Owner{Field: "kustomize-controller", Group: "kustomize.toolkit.fluxcd.io"}
	c.manager = ssa.NewResourceManager(c.Client, polling.NewStatusPoller(c.Client, mapper, polling.Options{}), owner)
	c.apply(parse(t, "{apiVersion: v1, kind: Namespace, metadata: {name: "+namespace+"}}"))
	return c
}

// in returns the cluster for a subtest.
func (c *cluster) in(t *testing.T) *cluster { return &cluster{t, c.Client, c.manager} }

func (c *cluster) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func parse(t *testing.T, manifest string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(manifest), &object.Object); err != nil {
		t.Fatal(err)
	}
	return object
}

// apply applies objects as Flux does, and returns what that did to each.
func (c *cluster) apply(objects ...*unstructured.Unstructured) (actions []ssa.Action) {
	c.Helper()
	c.manager.SetOwnerLabels(objects, "customers", namespace)
	set, err := c.manager.ApplyAllStaged(c.Context(), objects, ssa.DefaultApplyOptions())
	c.must(err)
	for _, entry := range set.Entries {
		actions = append(actions, entry.Action)
	}
	return actions
}

// wait waits for an object as Flux does with wait: true.
func (c *cluster) wait(timeout time.Duration, of *unstructured.Unstructured) error {
	options := ssa.WaitOptions{Interval: 100 * time.Millisecond, Timeout: timeout, FailFast: true}
	return c.manager.WaitForSet(object.UnstructuredSetToObjMetadataSet([]*unstructured.Unstructured{of}), options)
}

// batch returns a batch that uses the key in a Secret of its own name.
func (c *cluster) batch(name, users string) *unstructured.Unstructured {
	c.Helper()
	return parse(c.T, fmt.Sprintf(`
apiVersion: embedded.runalloy.com/v1alpha1
kind: EmbeddedUserBatch
metadata: {name: %s, namespace: %s}
spec: {apiKeySecretRef: {name: %[1]s}, users: [%[3]s]}`, name, namespace, users))
}

// secret returns a Secret with an API key.
func (c *cluster) secret(name, key string) *unstructured.Unstructured {
	c.Helper()
	return parse(c.T, fmt.Sprintf(`
apiVersion: v1
kind: Secret
metadata: {name: %s, namespace: %s}
stringData: {apiKey: %s}`, name, namespace, key))
}

func TestWait(t *testing.T) {
	c := newCluster(t)
	t.Run("ready", func(t *testing.T) { testReady(c.in(t)) })
	t.Run("Secret comes later", func(t *testing.T) { testLater(c.in(t)) })
	t.Run("stalled", func(t *testing.T) { testStalled(c.in(t)) })
	t.Run("long list", func(t *testing.T) { testLong(c.in(t)) })
	t.Run("slices", func(t *testing.T) { testSlices(c.in(t)) })
	t.Run("document", func(t *testing.T) { testManifests(c.in(t)) })
}

// testReady waits for a batch that is applied together with its Secret, and applies both again.
func testReady(c *cluster) {
	objects := func() []*unstructured.Unstructured {
		return []*unstructured.Unstructured{c.batch("ready", "{username: a, fullName: A}, {username: b}"), c.secret("ready", gitopstest.Key)}
	}
	applied := objects()
	c.apply(applied...)
	if err := c.wait(time.Minute, applied[0]); err != nil {
		c.Error(err)
	}
	for _, action := range c.apply(objects()...) {
		if action != ssa.UnchangedAction {
			c.Errorf("applied again: %s", action)
		}
	}
}

// testLater waits for a batch whose Secret is not there: while it is missing the batch is in progress, and does not fail.
func testLater(c *cluster) {
	batch := c.batch("later", "{username: c}")
	c.apply(batch)
	err := c.wait(5*time.Second, batch)
	if err == nil || !strings.Contains(err.Error(), "timeout waiting for: [EmbeddedUserBatch/team-a/later status: 'InProgress'") {
		c.Errorf("without the Secret: %v", err)
	}
	c.apply(c.secret("later", gitopstest.Key))
	if err := c.wait(time.Minute, batch); err != nil {
		c.Error(err)
	}
}

// testStalled waits for batches that somebody has to mend. Waiting ends long before its timeout.
func testStalled(c *cluster) {
	for name, tc := range map[string]struct{ key, users string }{
		"wrong-key":     {"wrong", "{username: d}"},
		"unusable-key":  {`'"quoted"'`, "{username: d}"},
		"invalid-users": {gitopstest.Key, "{username: d}, {username: d, fullName: D}"},
	} {
		batch := c.batch(name, tc.users)
		c.apply(c.secret(name, tc.key), batch)
		err := c.wait(time.Hour, batch)
		want := "failed early due to stalled resources: [EmbeddedUserBatch/team-a/" + name + " status: 'Failed'"
		if err == nil || !strings.Contains(err.Error(), want) {
			c.Errorf("%s: %v", name, err)
		}
	}
}

// testLong applies 10,000 users, and again after the operator has written the status.
func testLong(c *cluster) {
	var users strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&users, "{username: customer-%05d@example.com, fullName: Customer number %d},", i, i)
	}
	batch := c.batch("long", users.String())
	c.apply(c.secret("long", gitopstest.Key), batch)
	if err := c.wait(5*time.Minute, batch); err != nil {
		c.Error(err)
	}
	if again := c.apply(c.batch("long", users.String())); again[0] != ssa.UnchangedAction {
		c.Errorf("applied again: %s", again)
	}
}

// testSlices checks that slices do not carry the labels by which Flux recognizes what it applied.
func testSlices(c *cluster) {
	slices := &unstructured.UnstructuredList{}
	slices.SetAPIVersion("embedded.runalloy.com/v1alpha1")
	slices.SetKind("EmbeddedUserSliceList")
	c.must(c.List(c.Context(), slices, client.InNamespace(namespace)))
	if len(slices.Items) < 10 {
		c.Errorf("%d slices", len(slices.Items))
	}
	for _, slice := range slices.Items {
		if owner, found := slice.GetLabels()["kustomize.toolkit.fluxcd.io/name"]; found {
			c.Errorf("slice %s has the label of Kustomization %s", slice.GetName(), owner)
		}
	}
}

// testManifests has the API server validate the batches in docs/gitops.md.
func testManifests(c *cluster) {
	for _, manifest := range gitopstest.Manifests(c.T, "embedded.runalloy.com/v1alpha1", "EmbeddedUserBatch") {
		batch := parse(c.T, manifest)
		batch.SetNamespace(namespace)
		c.must(client.WithFieldValidation(c.Client, "Strict").Create(c.Context(), batch, client.DryRunAll))
	}
}
