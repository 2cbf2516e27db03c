// SPDX-License-Identifier: Apache-2.0

package argocd_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/embedded-user-operator/embedded-user-operator/test/gitops/gitopstest"
)

const (
	reconcileAt = "embedded.runalloy.com/reconcile-at"
	approve     = "embedded.runalloy.com/approve"
)

// actionsVM runs the scripts that our component puts into argocd-cm, as Argo CD does.
func actionsVM(t *testing.T) lua.VM {
	t.Helper()
	overrides, err := settingsOf(t, argocdCM(t)).GetResourceOverrides()
	if err != nil {
		t.Fatal(err)
	}
	return lua.VM{ResourceOverrides: overrides}
}

// offered returns the names of the actions that Argo CD lets people run on an object.
func offered(t *testing.T, vm lua.VM, object *unstructured.Unstructured) (names []string) {
	t.Helper()
	scripts, err := vm.GetResourceActionDiscovery(object)
	if err != nil {
		t.Fatal(err)
	}
	actions, err := vm.ExecuteResourceActionDiscovery(object, scripts)
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range actions {
		if !action.Disabled {
			names = append(names, action.Name)
		}
	}
	slices.Sort(names)
	return names
}

// run runs an action, and returns the object as Argo CD patches it to be.
func run(t *testing.T, vm lua.VM, object *unstructured.Unstructured, name string) *unstructured.Unstructured {
	t.Helper()
	action, err := vm.GetResourceAction(object, name)
	if err != nil {
		t.Fatal(err)
	}
	impacted, err := vm.ExecuteResourceAction(object, action.ActionLua, nil)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(impacted) != 1 || impacted[0].K8SOperation != lua.PatchOperation {
		t.Fatalf("%s: %+v", name, impacted)
	}
	return impacted[0].UnstructuredObj
}

// TestActions_WhatIsOffered lists the actions for each situation in docs/gitops.md.
func TestActions_WhatIsOffered(t *testing.T) {
	vm := actionsVM(t)
	var rows [][]string
	for _, situation := range gitopstest.Situations(t) {
		if situation.Kind != "EmbeddedUserBatch" {
			continue
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(situation.Object); err != nil {
			t.Fatal(err)
		}
		want := []string{"reconcile", "suspend"}
		if suspended, _, _ := unstructured.NestedBool(object.Object, "spec", "suspend"); suspended {
			want = []string{"resume"}
		}
		if approval, _, _ := unstructured.NestedString(object.Object, "status", "approval"); approval != "" {
			want = append([]string{"approve"}, want...)
		}
		got := offered(t, vm, object)
		rows = append(rows, []string{situation.Name, strings.Join(got, ", ")})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", situation, diff)
		}
	}
	t.Log(gitopstest.Table([]string{"situation", "actions"}, rows))
}

// TestActions_WhatTheyChange runs each action on a batch, and compares it with what it was.
func TestActions_WhatTheyChange(t *testing.T) {
	vm := actionsVM(t)
	const manifest = `
apiVersion: embedded.runalloy.com/v1alpha1
kind: EmbeddedUserBatch
metadata: {name: customers, namespace: team-a}
spec: {apiKeySecretRef: {name: alloy}, users: [{username: a}]}
status: {approval: 0123abcd}
`
	for name, tc := range map[string]struct {
		before, want func(*unstructured.Unstructured)
	}{
		"suspend": {nil, func(o *unstructured.Unstructured) { set(o, true, "spec", "suspend") }},
		"resume":  {func(o *unstructured.Unstructured) { set(o, true, "spec", "suspend") }, nil},
		"approve": {nil, func(o *unstructured.Unstructured) { o.SetAnnotations(map[string]string{approve: "0123abcd"}) }},
	} {
		before, want := parse(t, manifest), parse(t, manifest)
		if tc.before != nil {
			tc.before(before)
		}
		if tc.want != nil {
			tc.want(want)
		}
		if diff := cmp.Diff(want, run(t, vm, before, name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	annotated := parse(t, manifest)
	annotated.SetAnnotations(map[string]string{"another": "x", reconcileAt: "before"})
	for what, before := range map[string]*unstructured.Unstructured{"the first": parse(t, manifest), "another": annotated} {
		after := run(t, vm, before, "reconcile")
		at, err := time.Parse(time.RFC3339, after.GetAnnotations()[reconcileAt])
		if err != nil || time.Since(at) > time.Minute || time.Since(at) < 0 {
			t.Errorf("%s: reconcile at %v, %v", what, at, err)
		}
		want := before.DeepCopy()
		annotations := map[string]string{reconcileAt: after.GetAnnotations()[reconcileAt]}
		if another := before.GetAnnotations()["another"]; another != "" {
			annotations["another"] = another
		}
		want.SetAnnotations(annotations)
		if diff := cmp.Diff(want, after); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

func set(object *unstructured.Unstructured, value any, fields ...string) {
	if err := unstructured.SetNestedField(object.Object, value, fields...); err != nil {
		panic(err)
	}
}

func TestActions_TheConfigMapHasTheScripts(t *testing.T) {
	vm := actionsVM(t)
	batch := parse(t, "{apiVersion: embedded.runalloy.com/v1alpha1, kind: EmbeddedUserBatch}")
	check := func(path, got string) {
		t.Helper()
		if script, err := os.ReadFile(gitopstest.Root("config", "argocd", "actions", path)); err != nil || string(script) != got {
			t.Errorf("the script in argocd-cm is not %s (%v); run make argocd-cm", path, err)
		}
	}
	scripts, err := vm.GetResourceActionDiscovery(batch)
	if err != nil || len(scripts) != 1 {
		t.Fatal(scripts, err)
	}
	check("discovery.lua", scripts[0])
	for _, name := range []string{"reconcile", "suspend", "resume", "approve"} {
		action, err := vm.GetResourceAction(batch, name)
		if err != nil {
			t.Fatal(err)
		}
		check(name+"/action.lua", action.ActionLua)
	}
}
