// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy/simulator"
	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

// finalizers is a right that no request needs: the admission plugin OwnerReferencesPermissionEnforcement asks for it when a slice gets an
// owner. TestRules_OwnersNeedTheRightToFinalizers shows that.
var finalizers = right{"update", v1alpha1.SchemeGroupVersion.Group, "embeddeduserbatches/finalizers"}

// TestRules_EachIsUsedAndNothingIsDenied runs the operator in each way in which config installs it.
func TestRules_EachIsUsedAndNothingIsDenied(t *testing.T) {
	const roles, polling, pollingRoles = "roles-only-system", "polling-system", "polling-roles-only-system"
	poll := []string{"secret-poll"}
	for name, install := range map[string]struct {
		system      string
		deployments []testenv.Deployment
		standby     []string // arguments of the second replica, in addition to those of the first
		args        []string
		isSecure    bool
	}{
		"in the whole cluster": {
			system: testenv.SystemNamespace, deployments: []testenv.Deployment{{Folder: "default"}},
			args: []string{"--metrics-secure=true"}, standby: []string{"--watch-namespaces=in-the-whole-cluster"}, isSecure: true,
		},
		"with roles only": {
			system: roles, args: []string{"--watch-namespaces=with-roles-only"},
			deployments: []testenv.Deployment{
				{Folder: "namespaced", System: roles, Namespace: roles}, {Folder: "tenant", System: roles, Namespace: "with-roles-only"},
			},
		},
		"polling secrets in the whole cluster": {
			system: polling, deployments: []testenv.Deployment{{Folder: "default", Components: poll, System: polling}},
			args:    []string{"--secret-poll=1s", "--metrics-secure=true"},
			standby: []string{"--watch-namespaces=polling-secrets-in-the-whole-cluster"}, isSecure: true,
		},
		"polling secrets with roles only": {
			system: pollingRoles, args: []string{"--watch-namespaces=polling-secrets-with-roles-only", "--secret-poll=1s"},
			deployments: []testenv.Deployment{
				{Folder: "namespaced", System: pollingRoles, Namespace: pollingRoles},
				{Folder: "tenant", Components: poll, System: pollingRoles, Namespace: "polling-secrets-with-roles-only"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, strings.ReplaceAll(name, " ", "-"), install.system, simulator.Options{})
			for _, deployment := range install.deployments {
				if deployment.Namespace == install.system {
					w.Must(testenv.CreateNamespace(t.Context(), w, install.system))
				}
				w.Must(plane.Deploy(t.Context(), deployment))
			}
			args := append([]string{"--leader-elect", "--leader-election-id=lease", "--leader-election-namespace", install.system}, install.args...)
			w.exercise(args, install.standby, install.isSecure)
			w.checkRules(install.system)
		})
	}
	for _, r := range append(requests(t, polling), requests(t, pollingRoles)...) {
		if r.ObjectRef.Resource == "secrets" && r.Verb != "get" {
			t.Errorf("an operator that polls Secrets: %s %s", r.Verb, r.RequestURI)
		}
	}
}

// checkRules checks that the operator in a namespace has used each of its rights, and was denied nothing.
func (w *world) checkRules(system string) {
	w.Helper()
	used := map[string][]right{} // by binding
	for _, r := range requests(w.TB.(*testing.T), system) {
		if r.isDenied() {
			w.Errorf("denied: %s %s: %d %s", r.Verb, r.RequestURI, r.ResponseStatus.Code, r.Annotations["authorization.k8s.io/reason"])
		}
		used[r.binding()] = append(used[r.binding()], r.right())
	}
	for binding, rules := range w.rulesOf(system) {
		for _, rule := range rules {
			for _, has := range rightsOf(rule) {
				if has != finalizers && !slices.Contains(used[binding], has) {
					w.Errorf("%s allows what the operator never does: %+v", binding, has)
				}
			}
		}
	}
}

// rulesOf returns the rules that the operator in a namespace has, by the name of the binding as in the audit log.
func (w *world) rulesOf(system string) map[string][]rbacv1.PolicyRule {
	w.Helper()
	isOurs := func(subject rbacv1.Subject) bool {
		return subject.Namespace == system && subject.Name == testenv.Account
	}
	rules := map[string][]rbacv1.PolicyRule{}
	var clusterWide rbacv1.ClusterRoleBindingList
	w.Must(w.List(w.Context(), &clusterWide))
	for _, binding := range clusterWide.Items {
		if slices.ContainsFunc(binding.Subjects, isOurs) {
			var role rbacv1.ClusterRole
			w.Must(w.Get(w.Context(), client.ObjectKey{Name: binding.RoleRef.Name}, &role))
			rules[binding.Name] = role.Rules
		}
	}
	var namespaced rbacv1.RoleBindingList
	w.Must(w.List(w.Context(), &namespaced))
	for _, binding := range namespaced.Items {
		if slices.ContainsFunc(binding.Subjects, isOurs) {
			var role rbacv1.Role
			w.Must(w.Get(w.Context(), client.ObjectKey{Namespace: binding.Namespace, Name: binding.RoleRef.Name}, &role))
			rules[binding.Name+"/"+binding.Namespace] = role.Rules
		}
	}
	if len(rules) == 0 {
		w.Fatal("the operator has no rights")
	}
	return rules
}

// rightsOf returns the rights that a rule gives.
func rightsOf(rule rbacv1.PolicyRule) []right {
	var all []right
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				all = append(all, right{verb, group, resource})
			}
		}
	}
	return all
}

// TestRules_OwnersNeedTheRightToFinalizers takes the right away.
func TestRules_OwnersNeedTheRightToFinalizers(t *testing.T) {
	const system = "no-finalizers-system"
	w := newWorld(t, "no-finalizers", system, simulator.Options{})
	w.Must(plane.Deploy(t.Context(), testenv.Deployment{Folder: "tenant", System: system, Namespace: w.Namespace}))
	role := &rbacv1.Role{}
	role.Namespace, role.Name = w.Namespace, testenv.Account
	change := func(from, to string) {
		w.Put(role, func() {
			for i := range role.Rules {
				for j, resource := range role.Rules[i].Resources {
					if resource == from {
						role.Rules[i].Resources[j] = to
					}
				}
			}
		})
	}
	change(finalizers.Resource, "nothing")
	w.start("--watch-namespaces", w.Namespace)
	w.CreateBatch("b", testenv.Users("user", 3)...)
	status := w.Await("b", v1alpha1.ReasonPlanRejected).Status
	if ready := testenv.Condition(status.Conditions, v1alpha1.ConditionReady); !strings.Contains(ready.Message, "blockOwnerDeletion") {
		t.Errorf("message: %s", ready.Message)
	}
	isDenied := func(r request) bool {
		return r.isDenied() && r.right() == right{"create", finalizers.Group, "embeddeduserslices"}
	}
	if !slices.ContainsFunc(requests(t, system), isDenied) {
		t.Errorf("no request was denied: %+v", requests(t, system))
	}
	change("nothing", finalizers.Resource)
	w.Edit("b", func(b *v1alpha1.EmbeddedUserBatch) { b.Spec.Users = b.Spec.Users[:2] }) // so that it is tried at once
	w.Await("b", v1alpha1.ReasonSucceeded)
}
