// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// operation is an operation of a JSON patch of a Deployment.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

const container = "/spec/template/spec/containers/0"

// withImage sets the image, and withArg and withEnv add to what the container has.
func withImage(name string) operation { return operation{"replace", container + "/image", name} }

func withArg(arg string) operation { return operation{"add", container + "/args/-", arg} }

func withEnv(name, value string) operation {
	return operation{"add", container + "/env/-", map[string]string{"name": name, "value": value}}
}

// soonReady has the kubelet notice sooner that a pod is ready, so that nothing but the wait for it takes less time.
var soonReady = operation{"add", container + "/readinessProbe/periodSeconds", 1}

// applyOverlay applies a kustomization of which the Deployment is changed, as people do it: with an overlay.
func (c *cluster) applyOverlay(base string, changes ...operation) {
	c.Helper()
	folder, err := filepath.EvalSymlinks(c.TempDir())
	c.must(err)
	base, err = filepath.EvalSymlinks(base)
	c.must(err)
	relative, err := filepath.Rel(folder, base)
	c.must(err)
	patch, err := json.Marshal(changes)
	c.must(err)
	kustomization, err := json.Marshal(map[string]any{
		"resources": []string{relative},
		"patches":   []any{map[string]any{"target": map[string]string{"kind": "Deployment"}, "patch": string(patch)}},
	})
	c.must(err)
	c.must(os.WriteFile(filepath.Join(folder, "kustomization.yaml"), kustomization, 0o600))
	c.kubectl("apply", "--server-side", "--force-conflicts", "-k", folder)
}

// deploy installs the operator of this source, or changes it, and waits until it runs.
func (c *cluster) deploy(changes ...operation) {
	c.Helper()
	c.applyBundle(append(changes, soonReady)...)
	c.rollOut()
}

// applyBundle applies the bundle of this source, and does not wait.
func (c *cluster) applyBundle(changes ...operation) {
	c.Helper()
	c.applyOverlay(testenv.Root("config", "simulator", "operator"), append([]operation{withImage(c.image(operatorImage))}, changes...)...)
}

// remove removes the operator, its CRDs and with them all batches, as people do it.
func (c *cluster) remove() {
	c.Helper()
	c.makeTarget("undeploy")
	c.makeTarget("uninstall")
}

// replicas returns how many pods the operator's Deployment wants.
func (c *cluster) replicas() int {
	c.Helper()
	var deployment appsv1.Deployment
	c.must(c.Get(c.Context(), client.ObjectKey{Namespace: system, Name: manager}, &deployment))
	return int(*deployment.Spec.Replicas)
}

// leader returns the name of the leading pod: the holder of the only lease, up to the underscore.
func (c *cluster) leader() string {
	c.Helper()
	holder := c.kubectl("get", "leases", "-n", system, "-o", "jsonpath={.items[*].spec.holderIdentity}")
	name, _, _ := strings.Cut(holder, "_")
	return name
}

// forward forwards a local port to one of a pod or service, and returns its address.
func (c *cluster) forward(namespace, target string, port int) string {
	c.Helper()
	command := c.kubectlCommand("port-forward", "-n", namespace, target, fmt.Sprintf(":%d", port))
	output, err := command.StdoutPipe()
	c.must(err)
	process, err := testenv.StartProcess(command)
	c.must(err)
	c.Cleanup(process.Kill)
	buffer := make([]byte, 4096)
	n, err := output.Read(buffer) // Forwarding from 127.0.0.1:40123 -> 8443
	c.must(err)
	return strings.Fields(string(buffer[:n]))[2]
}
