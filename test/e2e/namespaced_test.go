// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// installNamespaced installs config/namespaced for two namespaces, of which one has no rights for it.
func installNamespaced(c *cluster) {
	const users = 3_000
	c.remove()
	c.makeTarget("install")
	served, elsewhere := c.namespace("served"), c.namespace("elsewhere")
	c.kubectl("create", "namespace", system)
	c.kubectl("label", "namespace", system, "pod-security.kubernetes.io/enforce=restricted")
	c.kubectl("apply", "--server-side", "-n", served, "-k", testenv.Root("config", "tenant"))
	c.applyOverlay(testenv.Root("config", "namespaced"), withImage(c.image(operatorImage)),
		withArg("--watch-namespaces="+served+","+elsewhere), // added to those of the bundle, which do not exist
		withArg("--alloy-url=http://alloy-simulator.alloy-simulator.svc"), withArg("--allow-insecure-alloy-url"))
	c.rollOut()
	c.create(served, "served", users)
	c.create(elsewhere, "elsewhere", users)
	c.awaitCreated(served, "served", users)
	c.checkSentOnce("served-", users)
	if held := c.held("elsewhere-"); len(held) > 0 {
		c.Errorf("%d users of a namespace without rights were sent", len(held))
	}
	if out := c.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name"); strings.Contains(out, "embedded-user-operator") {
		c.Errorf("the install is not namespaced: %s", out)
	}

	account := "system:serviceaccount:" + system + ":" + manager
	pod := c.asPod()
	for namespace, want := range map[string]bool{served: true, elsewhere: false, system: false, "kube-system": false} {
		for _, verb := range []string{"get", "list", "watch"} {
			if out, _ := c.tryKubectl("auth", "can-i", verb, "secrets", "-n", namespace, "--as="+account); (out == "yes") != want {
				c.Errorf("may the operator %s Secrets in %s: %s", verb, namespace, out)
			}
		}
		var secret corev1.Secret
		err := pod.Get(c.Context(), client.ObjectKey{Namespace: namespace, Name: testenv.SecretName}, &secret)
		if want && err != nil || !want && !apierrors.IsForbidden(err) {
			c.Errorf("reading the Secret in %s with the pod's token: %v", namespace, err)
		}
	}
	c.checkNoRestarts()
}

// asPod returns a client with a token of the operator's pod, like the one that the kubelet gives it.
func (c *cluster) asPod() client.Client {
	c.Helper()
	token := strings.TrimSpace(c.kubectl("create", "token", manager, "-n", system, "--bound-object-kind=Pod",
		"--bound-object-name="+c.pods()[0].Name))
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig())
	c.must(err)
	anonymous := rest.AnonymousClientConfig(config)
	anonymous.BearerToken = token
	as, err := client.New(anonymous, client.Options{})
	c.must(err)
	return as
}
