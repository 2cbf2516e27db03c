// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// connection is one that somebody opens to the operator's pod, or that the pod opens to an address of which nothing is known.
type connection struct {
	direction networkingv1.PolicyType
	protocol  corev1.Protocol
	port      int32
}

// allows reports whether a policy allows a connection of a pod that it selects. Names of ports are those of the pod.
func allows(policy networkingv1.NetworkPolicySpec, pod corev1.PodSpec, c connection) bool {
	if !slices.Contains(policy.PolicyTypes, c.direction) {
		return true
	}
	matches := func(port networkingv1.NetworkPolicyPort) bool { return isOf(port, pod, c) }
	if c.direction == networkingv1.PolicyTypeIngress {
		return slices.ContainsFunc(policy.Ingress, func(rule networkingv1.NetworkPolicyIngressRule) bool {
			return len(rule.From) == 0 && (len(rule.Ports) == 0 || slices.ContainsFunc(rule.Ports, matches))
		})
	}
	return slices.ContainsFunc(policy.Egress, func(rule networkingv1.NetworkPolicyEgressRule) bool {
		return len(rule.To) == 0 && (len(rule.Ports) == 0 || slices.ContainsFunc(rule.Ports, matches))
	})
}

// isOf reports whether a port of a policy is that of a connection.
func isOf(port networkingv1.NetworkPolicyPort, pod corev1.PodSpec, c connection) bool {
	protocol := corev1.ProtocolTCP
	if port.Protocol != nil {
		protocol = *port.Protocol
	}
	switch {
	case protocol != c.protocol:
		return false
	case port.Port == nil:
		return true
	case port.Port.Type == intstr.Int:
		last := port.Port.IntVal
		if port.EndPort != nil {
			last = *port.EndPort
		}
		return port.Port.IntVal <= c.port && c.port <= last
	default:
		return slices.ContainsFunc(pod.Containers, func(container corev1.Container) bool {
			return slices.ContainsFunc(container.Ports, func(named corev1.ContainerPort) bool {
				return named.Name == port.Port.StrVal && named.ContainerPort == c.port
			})
		})
	}
}

// TestNetworkPolicy_WhatItAllows reads the rules. No network plugin enforces them here.
func TestNetworkPolicy_WhatItAllows(t *testing.T) {
	const in, out, tcp, udp = networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress, corev1.ProtocolTCP, corev1.ProtocolUDP
	both := []string{"default", "namespaced"}
	rows := map[string]struct {
		connection
		allowedBy []string // folders of config
	}{
		"to DNS":                                 {connection{out, udp, 53}, both},
		"to DNS, for long answers":               {connection{out, tcp, 53}, both},
		"to the Alloy API":                       {connection{out, tcp, 443}, both},
		"to the API server":                      {connection{out, tcp, 6443}, both},
		"to the metadata service of a cloud":     {connection{out, tcp, 80}, nil},
		"to a proxy":                             {connection{out, tcp, 3128}, nil},
		"to an API server on another port":       {connection{out, tcp, 8443}, nil},
		"to etcd":                                {connection{out, tcp, 2379}, nil},
		"to a kubelet":                           {connection{out, tcp, 10250}, nil},
		"to QUIC":                                {connection{out, udp, 443}, nil},
		"to the mail server of somebody":         {connection{out, tcp, 25}, nil},
		"from the kubelet, for the probes":       {connection{in, tcp, 8081}, both},
		"from Prometheus, with a token":          {connection{in, tcp, 8443}, both[:1]},
		"from Prometheus, over HTTP":             {connection{in, tcp, 8080}, both[1:]},
		"from somebody who looks for profiles":   {connection{in, tcp, 6060}, nil},
		"from somebody over another protocol":    {connection{in, udp, 8443}, nil},
		"from somebody to the port of a webhook": {connection{in, tcp, 9443}, nil},
	}
	for _, folder := range both {
		manifests := render(t, folder, "network-policy")
		policy := one[networkingv1.NetworkPolicy](t, manifests, "NetworkPolicy")
		pod := one[appsv1.Deployment](t, manifests, "Deployment").Spec.Template.Spec
		for name, row := range rows {
			if want, got := slices.Contains(row.allowedBy, folder), allows(policy.Spec, pod, row.connection); got != want {
				t.Errorf("config/%s, %s: allowed: %t", folder, name, got)
			}
		}
	}
}
