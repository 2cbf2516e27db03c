// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"fmt"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Manager returns the Deployment in config/manager. Its pod has one container.
func Manager() (*appsv1.Deployment, error) {
	manifest, err := os.ReadFile(Root("config", "manager", "manager.yaml"))
	if err != nil {
		return nil, fmt.Errorf("reading config/manager: %w", err)
	}
	manager := &appsv1.Deployment{}
	if err := yaml.Unmarshal(manifest, manager); err != nil {
		return nil, fmt.Errorf("decoding config/manager: %w", err)
	}
	if n := len(manager.Spec.Template.Spec.Containers); n != 1 {
		return nil, fmt.Errorf("the pod of config/manager has %d containers", n)
	}
	return manager, nil
}
