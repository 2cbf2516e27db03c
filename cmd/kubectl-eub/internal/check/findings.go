// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/access"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
)

// Level says how bad a finding is.
type Level string

// Levels. Only Fail is an error.
const (
	OK      Level = "ok"
	Unknown Level = "unknown" // it cannot be told, for example without a right
	Warn    Level = "warning"
	Fail    Level = "fail"
)

// Finding is what a check found out, in a sentence, and what to do about it.
type Finding struct {
	Subject string `json:"subject"`
	Level   Level  `json:"level"`
	Says    string `json:"says"`
	Do      string `json:"do,omitempty"`
}

// Operator is a Deployment of the operator.
type Operator struct {
	Namespace, Name string
	Version         string // of its image; empty if that has no tag
	Ready, Wanted   int32
}

// right is something that a command must be allowed to do.
type right struct{ verb, resource string }

// rights are those that each command needs, besides those of the command that it extends.
var rights = []struct {
	command string
	needs   []right
}{
	{"status", slices.Concat(to(access.Batches, "get", "list", "watch"), to(access.Slices, "list"), to(access.Events, "list"))},
	{"results", slices.Concat(to(access.Batches, "get"), to(access.Slices, "list"))},
	{"plan", slices.Concat(to(access.Batches, "get"), to(access.Slices, "list"), to(access.ConfigMaps, "get"))},
	{"results --rows", slices.Concat(to(access.ConfigMaps, "get"), to(access.Secrets, "get"))},
	{"import --apply", slices.Concat(to(access.Batches, "get", "create", "patch"),
		to(access.ConfigMaps, "list", "create", "patch", "delete"), to(access.Secrets, "list"))},
	{"import --apply --secret", to(access.Secrets, "create", "patch", "delete")},
	{"retry, suspend, resume, approve", to(access.Batches, "get", "patch", "watch")},
}

// to returns the rights to use a resource with some verbs.
func to(resource string, verbs ...string) []right {
	needs := make([]right, len(verbs))
	for i, verb := range verbs {
		needs[i] = right{verb, resource}
	}
	return needs
}

// facts are what was found out about a cluster. The findings are a function of them.
type facts struct {
	namespace string
	now       time.Time

	plugin     string // version of this plugin
	kubernetes string // version of the API server

	hasGroup  bool                // whether the API server has the operator's API
	served    map[string][]string // fields by kind; nil if the schema could not be read
	schemaErr error

	operators    []Operator
	operatorsErr error // why they could not be listed

	denied map[right]bool

	batches []batchFacts
	quotas  []quota
}

// quota is a limit on the number of slices of a namespace.
type quota struct {
	name       string
	used, hard int64
}

// findings returns everything that was found out.
func findings(f *facts) []Finding {
	found := []Finding{{"API server", OK, fmt.Sprintf("Kubernetes %s answers.", f.kubernetes), ""}, crds(f)}
	if !f.hasGroup {
		return found // nothing else can be told
	}
	found = append(found, operators(f)...)
	found = append(found, rules(f)...)
	found = append(found, permissions(f)...)
	for i := range f.batches {
		found = append(found, f.batches[i].findings(f.now)...)
	}
	switch {
	case len(f.batches) > 0:
	case f.denied[right{"list", access.Batches}]:
		found = append(found, Finding{"Batches", Unknown, "They cannot be listed; give the name of one.", ""})
	default:
		found = append(found, Finding{"Batches", OK, fmt.Sprintf("Namespace %s has no batch.", f.namespace), ""})
	}
	for _, q := range f.quotas {
		found = append(found, q.finding())
	}
	return found
}

const (
	updateCRDs   = "Update the CRDs to the operator's version: kubectl apply --server-side -k config/crd, or the CRDs of the chart."
	updatePlugin = "Install the plugin of the operator's version."
)

// crds compares the fields that the API server knows with those of this plugin.
func crds(f *facts) Finding {
	const subject = "CRDs"
	switch {
	case !f.hasGroup:
		return Finding{subject, Fail,
			"The API server has no " + v1alpha1.SchemeGroupVersion.String() + ": the operator's CRDs are not installed.",
			"Ask a cluster administrator to install the operator; see docs/install.md."}
	case f.served == nil:
		return Finding{subject, Unknown, fmt.Sprintf("The schema of the CRDs cannot be read: %v.", f.schemaErr), ""}
	}
	var lacks, has []string
	for _, kind := range []string{v1alpha1.EmbeddedUserBatchKind, v1alpha1.EmbeddedUserSliceKind} {
		known := knownFields(kind)
		for _, field := range without(known, f.served[kind]) {
			lacks = append(lacks, kind+"."+field)
		}
		for _, field := range without(f.served[kind], known) {
			has = append(has, kind+"."+field)
		}
	}
	switch {
	case len(lacks) > 0:
		return Finding{subject, Warn, "The CRDs are older than this plugin: they lack " + some(lacks) + ".", updateCRDs}
	case len(has) > 0:
		return Finding{subject, Warn, "The CRDs are newer than this plugin, which does not know " + some(has) + ".", updatePlugin}
	default:
		return Finding{subject, OK, "The CRDs have the fields that this plugin knows, and no others.", ""}
	}
}

// some names the first of several things, and counts the others.
func some(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// operators says which operators run, or what follows from the batches for somebody who may not see them.
func operators(f *facts) []Finding {
	const subject = "Operator"
	switch {
	case f.operatorsErr != nil && !apierrors.IsForbidden(f.operatorsErr):
		return []Finding{{subject, Unknown, fmt.Sprintf("The Deployments cannot be listed: %v.", f.operatorsErr), ""}}
	case f.operatorsErr != nil:
		return []Finding{{subject, Unknown, "You may not list deployments.apps in all namespaces, so that the operator's version " +
			"cannot be told; whether it works shows in the batches below.", ""}}
	case len(f.operators) == 0:
		return []Finding{{subject, Warn, "No Deployment has the label " + operatorLabel + ".",
			"Ignore this if the operator runs in another way; else install it, see docs/install.md."}}
	}
	var found []Finding
	for _, o := range f.operators {
		name := o.Namespace + "/" + o.Name
		switch {
		case o.Wanted == 0:
			found = append(found, Finding{subject, Fail, name + " is scaled to 0, so that nothing is sent.", "Scale it up."})
		case o.Ready == 0:
			found = append(found, Finding{subject, Fail, name + " has no ready pod.",
				fmt.Sprintf("See why: kubectl -n %s describe deployment %s.", o.Namespace, o.Name)})
		case skewed(f.plugin, o.Version):
			says := fmt.Sprintf("%s is version %s, and this plugin %s.", name, o.Version, f.plugin)
			found = append(found, Finding{subject, Warn, says, updatePlugin})
		default:
			version := ""
			if o.Version != "" {
				version = " with version " + o.Version
			}
			found = append(found, Finding{subject, OK, fmt.Sprintf("%s runs%s.", name, version), ""})
		}
	}
	return found
}

// pseudo matches the version that the Go toolchain gives to a commit without a tag.
var pseudo = regexp.MustCompile(`[-.]\d{14}-[0-9a-f]{12}`)

// skewed reports whether two versions differ in more than the patch version. Versions that are not semantic, such as latest or that of a
// build without a tag, cannot be compared.
func skewed(plugin, operator string) bool {
	minor := func(version string) string {
		parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
		if len(parts) < 3 || pseudo.MatchString(version) {
			return ""
		}
		return parts[0] + "." + parts[1]
	}
	a, b := minor(plugin), minor(operator)
	return a != "" && b != "" && a != b
}

// knownRules is the version of the rules by which the operator of this version reads and distributes lists. A test compares it with the
// operator's.
const knownRules = 2

// rules compares the rules by which lists were distributed with those of this plugin. Everybody who sees a batch sees them.
func rules(f *facts) []Finding {
	for i := range f.batches {
		plan := f.batches[i].batch.Status.Plan
		if plan != nil && plan.Version > knownRules {
			return []Finding{{"Operator", Warn, fmt.Sprintf("The operator reads lists by rules %d, and this plugin by rules %d: "+
				"what import and plan say of a row may differ.", plan.Version, knownRules), updatePlugin}}
		}
	}
	return nil
}

// permissions says which commands lack a right.
func permissions(f *facts) []Finding {
	var found []Finding
	for _, c := range rights {
		for _, need := range c.needs {
			if f.denied[need] {
				says := fmt.Sprintf("%s: %s.", c.command, access.Missing(need.verb, need.resource, f.namespace))
				found = append(found, Finding{"Rights", Warn, says, ""})
			}
		}
	}
	if len(found) == 0 {
		found = append(found, Finding{"Rights", OK, fmt.Sprintf("You may use every command in namespace %s.", f.namespace), ""})
	}
	return found
}

func (q quota) finding() Finding {
	subject, left := "Quota "+q.name, q.hard-q.used
	says := fmt.Sprintf("It allows %d slices, of which %d are used: room for about %s more users.",
		q.hard, q.used, terminal.Number(max(left, 0)*v1alpha1.MaxSliceUsers))
	if left <= 0 {
		return Finding{subject, Warn, says, "Raise " + slicesQuota + ", or longer lists are not planned (PlanRejected)."}
	}
	return Finding{subject, OK, says, ""}
}

// failed reports whether something is wrong.
func failed(found []Finding) bool {
	return slices.ContainsFunc(found, func(f Finding) bool { return f.Level == Fail })
}
