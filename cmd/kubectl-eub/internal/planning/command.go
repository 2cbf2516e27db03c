// SPDX-License-Identifier: Apache-2.0

// Package planning is the command kubectl eub plan: it says what the operator would do for a list, without doing anything.
package planning

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/access"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/importing"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/pages"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/parts"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/tally"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
	"github.com/embedded-user-operator/embedded-user-operator/internal/usersource"
)

const (
	// memoryLimit is where the garbage collector begins to work harder.
	memoryLimit = 160 << 20
	// exitWork is the exit code if there is something to do.
	exitWork = 2
)

type options struct {
	*command.Options

	name     string
	format   string
	manifest string
	output   string
}

// NewCommand returns the command.
func NewCommand(shared *command.Options) *cobra.Command {
	o := &options{Options: shared}
	c := &cobra.Command{
		Use:   "plan NAME | -f BATCH | FILE... --name NAME",
		Short: "Say what the operator would do for a list, and change nothing",
		Long: `Compare a list with the results that the cluster has, and say how many users
would be sent, which are settled, how many rows are invalid by themselves, and
how many users would leave the list; and how many requests that takes at least,
and how long.

The list is that of a batch in the cluster (NAME), that of a manifest (-f with a
file, a folder, or - for standard input; lists that the manifest does not have
are read from the cluster), or lists that kubectl eub import would take for a
batch (FILE... with --name).

The shortest time is that of an operator with its defaults, if the API answers
at once: 1000 users a request, 20 requests and then 10 a second, one at a time.
Users that leave the list stay in Alloy. A user that the API has rejected once
is sent a second time.

The exit code is 0 if there is nothing to do, 2 if there is, and 1 after an
error.

You need the rights of view, the ClusterRole slice-viewer, and that to get the
Secrets that the list is in.`,
		Example: `  # What is still to be done for a batch?
  kubectl eub plan customers

  # What would happen if this list was imported?
  kubectl eub plan customers.csv --name customers

  # In continuous integration, before a folder is merged
  kubectl eub plan -f clusters/production/customers`,
		ValidArgsFunction: func(c *cobra.Command, args []string, begin string) ([]cobra.Completion, cobra.ShellCompDirective) {
			found, _ := shared.CompleteBatch(c, args, begin)
			return found, cobra.ShellCompDirectiveDefault // or files
		},
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), args) },
	}
	flags := c.Flags()
	flags.StringVar(&o.name, "name", "", "name of the batch that files are for, or of one of several in a manifest")
	flags.StringVar(&o.format, "format", "", "CSV, JSON, NDJSON or YAML; by default what the name or the text of each list shows")
	flags.StringVarP(&o.manifest, "filename", "f", "", "manifest with the batch: a file, a folder, or - for standard input")
	flags.StringVarP(&o.output, "output", "o", "text", "text, json or yaml")
	return c
}

// list is what the batch is to have.
type list struct {
	namespace string
	batch     *v1alpha1.EmbeddedUserBatch
	add       func(context.Context, *tally.Tally) error
}

func (o *options) run(ctx context.Context, args []string) error {
	show := printers[o.output]
	if show == nil {
		return fmt.Errorf("--output %q is unknown; give text, json or yaml", o.output)
	}
	kube, namespace, err := o.Connect()
	if err != nil {
		return err //nolint:wrapcheck // says itself what failed
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memoryLimit))
	wanted, stored, err := o.load(ctx, kube, namespace, args)
	if err != nil {
		return err
	}
	plan := &Plan{Name: wanted.batch.Name, Namespace: wanted.namespace, AwaitsApproval: awaitsApproval(stored, wanted.batch)}
	comparison := newComparison(plan, wanted.batch.Spec.UpdatePolicy)
	if stored.UID != "" { // else it has no slices
		err := pages.EachSlice(ctx, kube, stored, func(slice *v1alpha1.EmbeddedUserSlice) error {
			comparison.addSlice(slice)
			plan.AnotherKey = plan.AnotherKey ||
				slice.Spec.APIKeySecretRef.WithDefaultKey() != wanted.batch.Spec.APIKeySecretRef.WithDefaultKey()
			return nil
		})
		if err != nil {
			return access.Explain(err, "list", access.Slices, client.ObjectKeyFromObject(stored)) //nolint:wrapcheck // says what failed
		}
	}
	t := tally.New(comparison.addUser)
	if err := wanted.add(ctx, t); err != nil {
		return err
	}
	comparison.end()
	plan.InvalidRows, plan.RepeatedRows = t.Invalid, t.Repeats
	_, _ = io.WriteString(o.ErrOut, terminal.Fit(o.ErrOut, t.Excess())) // the plan matters more
	if err := show(o.Out, plan, t.Findings, &wanted.batch.Spec); err != nil {
		return fmt.Errorf("writing the plan: %w", err)
	}
	if plan.HasWork() {
		return &command.ExitError{Code: exitWork}
	}
	return nil
}

// awaitsApproval reports whether somebody has to approve the API key of a stored batch before anything is sent, once it is as wanted.
func awaitsApproval(stored, wanted *v1alpha1.EmbeddedUserBatch) bool {
	approval := stored.Status.Approval
	isApproved := stored.Annotations[v1alpha1.AnnotationApprove] == approval || wanted.Annotations[v1alpha1.AnnotationApprove] == approval
	return approval != "" && !isApproved && stored.Spec.APIKeySecretRef.WithDefaultKey() == wanted.Spec.APIKeySecretRef.WithDefaultKey()
}

// load returns the list, and the batch as it is in the cluster, which is empty if there is none.
func (o *options) load(
	ctx context.Context, kube client.Reader, namespace string, args []string,
) (wanted list, stored *v1alpha1.EmbeddedUserBatch, err error) {
	name, files, err := o.meant(args)
	if err != nil {
		return list{}, nil, err
	}
	ofFile := &manifests{}
	if o.manifest != "" {
		if ofFile, err = readManifests(o.manifest, o.In); err != nil {
			return list{}, nil, err
		}
		if wanted.batch, err = ofFile.batch(name); err != nil {
			return list{}, nil, err
		}
		name, namespace = wanted.batch.Name, cmp.Or(*o.ConfigFlags.Namespace, wanted.batch.Namespace, namespace)
	}
	wanted.namespace = namespace
	key := client.ObjectKey{Namespace: namespace, Name: name}
	stored, err = access.Batch(ctx, kube, key)
	if mustExist := o.manifest == "" && len(files) == 0; err != nil && (mustExist || !apierrors.IsNotFound(err)) {
		return list{}, nil, err //nolint:wrapcheck // says itself what failed
	}
	if wanted.batch == nil {
		wanted.batch = stored.DeepCopy()
		wanted.batch.Name = name
	}
	wanted.add = func(ctx context.Context, t *tally.Tally) error {
		return o.addList(ctx, t, wanted.batch, files, func(source *v1alpha1.UsersSource) ([]byte, error) {
			return ofFile.source(ctx, kube, namespace, source)
		})
	}
	return wanted, stored, nil
}

// meant returns the name of the batch, which may be empty with a manifest, and the files that the arguments mean.
func (o *options) meant(args []string) (name string, files []string, err error) {
	switch {
	case o.manifest != "" && len(args) > 0:
		return "", nil, errors.New("give -f, or files, or the name of a batch")
	case o.manifest != "":
		return o.name, nil, nil
	case len(args) == 0:
		return "", nil, errors.New("give the name of a batch, a manifest with -f, or files with --name")
	case o.name != "":
		return o.name, args, nil
	case len(args) == 1 && !isFile(args[0]):
		return args[0], nil, nil
	default:
		return "", nil, errors.New("give the name of the batch that the files are for with --name")
	}
}

// isFile reports whether an argument means a file rather than a batch.
func isFile(arg string) bool {
	info, err := os.Stat(arg)
	_, hasFormat := decode.FormatOf(arg)
	return err == nil && !info.IsDir() || hasFormat || arg == "-"
}

// addList adds the rows of a batch to a tally: spec.users, and files or, without any, spec.usersFrom.
func (o *options) addList(
	ctx context.Context, t *tally.Tally, batch *v1alpha1.EmbeddedUserBatch, files []string,
	read func(*v1alpha1.UsersSource) ([]byte, error),
) error {
	for i, row := range batch.Spec.Users {
		user := users.User(row)
		if err := t.Add(user, users.Problem(user), func() string { return fmt.Sprintf("spec.users row %d", i) }); err != nil {
			return err //nolint:wrapcheck // never happens
		}
	}
	if len(files) > 0 {
		list, names, err := importing.Pack(ctx, o.Options, files, o.format)
		if err == nil {
			err = importing.CheckCount(list)
		}
		for i := 0; err == nil && i < len(list); i++ {
			err = t.Part(ctx, list[i], names)
			list[i] = parts.Part{} // not needed any more
		}
		return err //nolint:wrapcheck // names the list
	}
	for i := range batch.Spec.UsersFrom {
		source := &batch.Spec.UsersFrom[i]
		data, err := read(source)
		if err != nil {
			return err
		}
		kind, ref := usersource.Reference(source)
		_, err = usersource.Rows(ctx, source, data, tally.Limits, func(row decode.Row) error {
			return t.Add(row.User, row.Problem, func() string { return fmt.Sprintf("%s %s row %d", kind, ref.Name, row.Index) })
		})
		if err != nil {
			return fmt.Errorf("reading the list of the batch: %w", err)
		}
	}
	return nil
}
