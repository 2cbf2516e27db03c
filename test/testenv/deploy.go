// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
)

const (
	// SystemNamespace is the operator's namespace in config/default.
	SystemNamespace = "embedded-user-operator-system"
	// Account is the operator's service account.
	Account = "embedded-user-operator-manager"
)

// Deployment is what Deploy applies.
type Deployment struct {
	Folder     string   // of config
	Components []string // folders of config/components
	System     string   // the operator's namespace; SystemNamespace if empty
	Namespace  string   // of objects without one
}

// Render returns the manifests of a folder of config with components, as Kustomize renders them.
func (c *ControlPlane) Render(ctx context.Context, folder string, components ...string) ([]byte, error) {
	path := Root("config", folder)
	if len(components) > 0 {
		overlay, err := overlay(c.Folder, folder, components)
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(overlay) //nolint:errcheck // it is in the folder of the control plane
		path = overlay
	}
	var errors bytes.Buffer
	command := c.Kubectl(ctx, "kustomize", path)
	command.Stderr = &errors
	manifests, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("rendering config/%s: %w: %s", folder, err, errors.String())
	}
	return manifests, nil
}

// overlay writes a kustomization with components into a new folder.
func overlay(parent, folder string, components []string) (string, error) {
	path, err := os.MkdirTemp(parent, "kustomization-")
	if err != nil {
		return "", fmt.Errorf("creating a folder: %w", err)
	}
	config, err := filepath.Rel(path, Root("config")) // Kustomize refuses absolute paths
	if err != nil {
		return "", fmt.Errorf("finding config: %w", err)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "resources:\n- %s\ncomponents:\n", filepath.Join(config, folder))
	for _, component := range components {
		fmt.Fprintf(&text, "- %s\n", filepath.Join(config, "components", component))
	}
	if err := os.WriteFile(filepath.Join(path, "kustomization.yaml"), []byte(text.String()), 0o600); err != nil {
		return "", fmt.Errorf("writing a kustomization: %w", err)
	}
	return path, nil
}

// Deploy applies manifests of the operator.
func (c *ControlPlane) Deploy(ctx context.Context, d Deployment) error {
	manifests, err := c.Render(ctx, d.Folder, d.Components...)
	if err != nil {
		return err
	}
	text := string(manifests)
	if d.System != "" {
		text = strings.ReplaceAll(text, SystemNamespace, d.System)
	}
	args := []string{"apply", "--server-side", "--force-conflicts", "-f", "-"}
	if d.Namespace != "" {
		args = append(args, "-n", d.Namespace)
	}
	apply := c.Kubectl(ctx, args...)
	apply.Stdin = strings.NewReader(text)
	if out, err := apply.CombinedOutput(); err != nil {
		return fmt.Errorf("applying config/%s: %w: %s", d.Folder, err, out)
	}
	return nil
}

// Impersonate returns the path of a kubeconfig with the rights of the operator's service account in a namespace.
func (c *ControlPlane) Impersonate(namespace string) (string, error) {
	config, err := clientcmd.LoadFromFile(c.Kubeconfig)
	if err != nil {
		return "", fmt.Errorf("reading the kubeconfig: %w", err)
	}
	for _, user := range config.AuthInfos {
		user.Impersonate = "system:serviceaccount:" + namespace + ":" + Account
	}
	path := filepath.Join(c.Folder, namespace+"-kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return "", fmt.Errorf("writing a kubeconfig: %w", err)
	}
	return path, nil
}
