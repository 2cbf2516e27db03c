// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// TestSelectors_SelectTheOperator checks everything that selects pods, with all components.
func TestSelectors_SelectTheOperator(t *testing.T) {
	manifests := render(t, "default", "ha", "network-policy")
	deployment := one[appsv1.Deployment](t, manifests, "Deployment")
	template := deployment.Spec.Template
	service := one[corev1.Service](t, manifests, "Service")
	budget := one[policyv1.PodDisruptionBudget](t, manifests, "PodDisruptionBudget")
	policy := one[networkingv1.NetworkPolicy](t, manifests, "NetworkPolicy")
	selectors := map[string]*metav1.LabelSelector{
		"Deployment": deployment.Spec.Selector, "Service": {MatchLabels: service.Spec.Selector},
		"PodDisruptionBudget": budget.Spec.Selector, "NetworkPolicy": &policy.Spec.PodSelector,
	}
	for _, spread := range template.Spec.TopologySpreadConstraints {
		selectors["spread over "+spread.TopologyKey] = spread.LabelSelector
	}
	if len(selectors) != 6 {
		t.Errorf("there are %d selectors", len(selectors))
	}
	for name, selector := range selectors {
		parsed, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil {
			t.Fatal(err)
		}
		if parsed.Empty() || !parsed.Matches(labels.Set(template.Labels)) {
			t.Errorf("%s selects %s", name, parsed)
		}
	}
	for _, namespace := range []string{service.Namespace, budget.Namespace, policy.Namespace} {
		if namespace != deployment.Namespace {
			t.Errorf("one of them is in namespace %s", namespace)
		}
	}
	if *deployment.Spec.Replicas != 2 || budget.Spec.MaxUnavailable.IntValue() != 1 {
		t.Errorf("of %d replicas %s may be down", *deployment.Spec.Replicas, budget.Spec.MaxUnavailable)
	}
}
