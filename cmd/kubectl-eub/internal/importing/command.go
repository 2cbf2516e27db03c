// SPDX-License-Identifier: Apache-2.0

// Package importing is the command kubectl eub import: it makes ConfigMaps or Secrets, and a batch, of lists of users.
package importing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/lists"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/parts"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/tally"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users/decode"
)

// memoryLimit is where the garbage collector begins to work harder, so that a million users take less than 200 MiB.
const memoryLimit = 128 << 20

// maxBatchName is the maximum length of the name of a batch.
const maxBatchName = 63

type options struct {
	*command.Options

	name      string
	format    string
	apiKey    string
	folder    string
	output    string
	secret    bool
	apply     bool
	conflicts bool // force them
}

// NewCommand returns the command.
func NewCommand(shared *command.Options) *cobra.Command {
	o := &options{Options: shared}
	c := &cobra.Command{
		Use:   "import FILE... --name NAME",
		Short: "Make a batch of lists of users in files",
		Long: `Read lists of users, check every row as the operator does, and write ConfigMaps
and the batch that names them.

A list is a CSV with the columns username and, optionally, fullName, a JSON
array or lines of JSON of objects with these fields, or a YAML sequence of them,
plain or compressed with gzip; - is standard input. Fields of a CSV may be
separated by commas, semicolons, tabs or vertical bars, and text may be UTF-8,
UTF-16 or Windows-1252. The command says on standard error what it found, how
many users there are, how many rows repeat others, and which rows are invalid,
with the line and the cure. Invalid rows are kept, and the operator reports them
with the same words. A CSV of kubectl eub results is read as it was written.

The ConfigMaps have compressed lists of less than 1 MiB each. Their names depend
on the rows: when some rows change, so do the ConfigMaps with these rows, and
the others stay. The order of rows is kept.

The output goes to standard output, to be applied with kubectl apply
--server-side (a list is too long for kubectl apply without that), or with
--directory into a folder of its own with a kustomization.yaml. With --apply the
command applies it itself, the lists first, then the batch, and then deletes the
lists that earlier imports of this batch left. Importing the same lists again
changes nothing.

You need the role edit, for --apply only.`,
		Example: `  # See what is in a list, and what would be applied
  kubectl eub import customers.csv --name customers

  # Apply it
  kubectl eub import customers.csv --name customers --apply

  # Two lists, in Secrets, into a folder for Git
  kubectl eub import customers.csv more.json.gz --name customers --secret -d git`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), args) },
	}
	flags := c.Flags()
	flags.StringVar(&o.name, "name", "", "name of the batch")
	flags.StringVar(&o.format, "format", "", "CSV, JSON, NDJSON or YAML; by default what the name or the text of each list shows")
	flags.StringVar(&o.apiKey, "api-key-secret", "",
		"Secret with the API key, or SECRET/KEY; by default that of the batch in the cluster with --apply, else alloy")
	flags.StringVarP(&o.folder, "directory", "d", "", "write into this folder, which is for this batch only, with a kustomization.yaml")
	flags.StringVarP(&o.output, "output", "o", "yaml", "yaml, json, or name")
	flags.BoolVar(&o.secret, "secret", false, "write Secrets instead of ConfigMaps")
	flags.BoolVar(&o.apply, "apply", false, "apply to the cluster, and delete what earlier imports of this batch left")
	flags.BoolVar(&o.conflicts, "force-conflicts", false, "with --apply, take over fields of the batch that somebody else manages")
	_ = c.MarkFlagRequired("name") // it was just added
	c.MarkFlagsMutuallyExclusive("apply", "directory")
	return c
}

// defaultAPIKeySecret is the name of the Secret that the documentation uses.
const defaultAPIKeySecret = "alloy"

// apiKeyOf returns the reference that a flag gives.
func apiKeyOf(flag string) v1alpha1.APIKeySecretReference {
	name, key, _ := strings.Cut(flag, "/")
	return v1alpha1.APIKeySecretReference{Name: name, Key: key}
}

func (o *options) run(ctx context.Context, paths []string) error {
	if wrong := validation.IsDNS1123Subdomain(o.name); len(wrong) > 0 || len(o.name) > maxBatchName {
		return fmt.Errorf("--name %q cannot be the name of a batch: at most %d lower-case letters, digits, hyphens and periods",
			o.name, maxBatchName)
	}
	show := printers[o.output]
	if show == nil {
		return fmt.Errorf("--output %q is unknown; give yaml, json or name", o.output)
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memoryLimit))
	list, err := o.read(ctx, paths)
	if err != nil {
		return err
	}
	to := target{name: o.name, secret: o.secret, apiKey: apiKeyOf(o.apiKey)}
	if o.apply {
		return o.applyAll(ctx, to, list)
	}
	if to.apiKey.Name == "" {
		to.apiKey.Name = defaultAPIKeySecret
	}
	if o.ConfigFlags.Namespace != nil {
		to.namespace = *o.ConfigFlags.Namespace
	}
	if o.folder != "" {
		return o.writeFolder(to, list)
	}
	for _, part := range distinct(list) {
		if err := show(o.Out, to.objectOf(part)); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
	}
	if err := show(o.Out, to.batch(list)); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

// read cuts lists into parts, checks these as the operator does, and says what it found.
func (o *options) read(ctx context.Context, paths []string) ([]parts.Part, error) {
	list, names, err := Pack(ctx, o.Options, paths, o.format)
	if err != nil {
		return nil, err
	}
	t := tally.New(nil)
	for i := range list {
		if err := t.Part(ctx, list[i], names); err != nil {
			return nil, err //nolint:wrapcheck // names the list
		}
		list[i].Origins = nil // not needed any more
	}
	summarize(o.ErrOut, t, list, target{secret: o.secret}.kind())
	return list, CheckCount(list)
}

// CheckCount returns an error for more parts than a batch can name.
func CheckCount(list []parts.Part) error {
	if len(list) > v1alpha1.MaxUsersFrom {
		return fmt.Errorf("this needs %d ConfigMaps or Secrets, and a batch can name %d; import the lists as several batches",
			len(list), v1alpha1.MaxUsersFrom)
	}
	return nil
}

// Pack cuts lists into parts, and says what each list is. It returns the names of the lists.
func Pack(ctx context.Context, o *command.Options, paths []string, format string) (list []parts.Part, names []string, err error) {
	var packer parts.Packer
	if first := slices.Index(paths, lists.Stdin); first >= 0 && slices.Contains(paths[first+1:], lists.Stdin) {
		return nil, nil, errors.New("standard input can be read once; give - only once")
	}
	for i, path := range paths {
		input, err := lists.Open(ctx, path, o.In)
		if err != nil {
			return nil, nil, err //nolint:wrapcheck // names the list
		}
		about, err := input.Read(ctx, decode.Format(strings.ToUpper(format)), func(row lists.Row) error {
			if err := packer.Add(row, i); err != nil {
				return fmt.Errorf("%s: %w", input.Name, err)
			}
			return nil
		})
		if err != nil {
			return nil, nil, err //nolint:wrapcheck // names the list
		}
		_, _ = io.WriteString(o.ErrOut, terminal.Fit(o.ErrOut, fmt.Sprintf("%s: %s\n", input.Name, about))) // the output matters more
		names = append(names, input.Name)
	}
	list, err = packer.Parts()
	return list, names, err //nolint:wrapcheck // says itself what failed
}
