// SPDX-License-Identifier: Apache-2.0

// Package results is the command kubectl eub results: it lists what became of each user of a batch.
package results

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/access"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
)

// memoryLimit is where the garbage collector begins to work harder, so that a list of any length takes less than 100 MiB, of which the
// program itself takes 45.
const memoryLimit = 50 << 20

type options struct {
	*command.Options

	output    string
	delimiter string
	only      []string
	rows      bool // read the lists, and find the row of each user there
}

// NewCommand returns the command.
func NewCommand(shared *command.Options) *cobra.Command {
	o := &options{Options: shared}
	c := &cobra.Command{
		Use:   "results NAME",
		Short: "List what became of each user of a batch",
		Long: `List every user of a batch with its result, the reason, and what the API said.

  Created   an answer of the API proves that the operator created the user
  Existing  the user exists without that proof; the reason UnconfirmedAttempt
            says that the operator may have created it
  Invalid   the API rejected the user (RejectedByAPI), or its row is invalid by
            itself (InvalidRow, DuplicateUsername)
  Pending   the user has no result yet, or is sent again

Rows that are invalid by themselves come first, with the list, the row and the
line where they are known. The users follow in the order of the slices, not in
that of the list. The status of the batch names the first 100 invalid rows and
users; with --rows the command reads the lists again, as the operator does, and
so names all of them, and the row of every user. It streams: a million users
take less than 100 MiB, and without --rows a list of any length does.

The CSV is for spreadsheets: it is UTF-8 with a byte order mark. A field that a
spreadsheet would take for a formula, a number, a date or a truth value has an
apostrophe before it, and so has one that begins with an apostrophe itself.
Correct the file, save it as CSV, and give it to kubectl eub import: it takes
the apostrophes away, and ignores the columns that say what became of a user.
Scripts should read NDJSON, which has every value as it is.

The output has usernames. It goes to standard output, and nowhere else.

You need the right to list embeddeduserslices, which the role edit has, and the
ClusterRole slice-viewer; with --rows also that to get the ConfigMaps and
Secrets that spec.usersFrom names.`,
		Example: `  # Who was not taken, and why?
  kubectl eub results customers --result Invalid

  # A file for a spreadsheet, to be corrected and imported again
  kubectl eub results customers --rows -o csv > customers.csv

  # Usernames of all users that this batch created
  kubectl eub results customers --result Created -o ndjson | jq -r .username`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("delimiter") && o.output != formatCSV {
				return errors.New("--delimiter is for -o csv; add it")
			}
			return o.run(c.Context(), args[0])
		},
	}
	c.Flags().StringVarP(&o.output, "output", "o", formatTable, "table, csv, json or ndjson")
	c.Flags().StringVar(&o.delimiter, "delimiter", "comma",
		"comma, semicolon or tab between the fields of -o csv; Excel wants semicolons in countries that write 1,5 for one and a half")
	c.Flags().StringSliceVar(&o.only, "result", nil, "only users with one of these results: Created, Existing, Invalid, Pending")
	c.Flags().BoolVar(&o.rows, "rows", false, "read the lists too: name the row of every user, and all rows that are invalid by themselves")
	return c
}

// filter returns the results that are wanted.
func (o *options) filter() ([]Result, error) {
	if len(o.only) == 0 {
		return all, nil
	}
	var wanted []Result
	for _, name := range o.only {
		at := slices.IndexFunc(all, func(r Result) bool { return strings.EqualFold(string(r), strings.TrimSpace(name)) })
		if at < 0 {
			return nil, fmt.Errorf("--result %q is unknown; give Created, Existing, Invalid or Pending", name)
		}
		wanted = append(wanted, all[at])
	}
	return wanted, nil
}

func (o *options) run(ctx context.Context, name string) error {
	if !slices.Contains([]string{formatTable, formatCSV, formatJSON, formatNDJSON}, o.output) {
		return fmt.Errorf("--output %q is unknown; give table, csv, json or ndjson", o.output)
	}
	if delimiters[o.delimiter] == 0 {
		return fmt.Errorf("--delimiter %q is unknown; give comma, semicolon or tab", o.delimiter)
	}
	wanted, err := o.filter()
	if err != nil {
		return err
	}
	kube, namespace, err := o.Connect()
	if err != nil {
		return err //nolint:wrapcheck // says itself what failed
	}
	key := client.ObjectKey{Namespace: namespace, Name: name}
	batch, err := access.Batch(ctx, kube, key)
	if err != nil {
		return err //nolint:wrapcheck // says itself what failed
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(memoryLimit))
	if err := o.write(ctx, kube, batch, wanted); err != nil {
		return access.Explain(err, "list", access.Slices, key) //nolint:wrapcheck // wrapped
	}
	o.note(batch, wanted)
	return nil
}

func (o *options) write(ctx context.Context, reader client.Reader, batch *v1alpha1.EmbeddedUserBatch, wanted []Result) error {
	out := bufio.NewWriterSize(o.Out, 64<<10)
	to := newWriter(out, o.output, delimiters[o.delimiter], terminal.Is(o.Out))
	err := stream(ctx, reader, batch, o.rows, func(row Row) error {
		if !slices.Contains(wanted, row.Result) {
			return nil
		}
		if err := to.write(row); err != nil {
			return fmt.Errorf("writing the results: %w", err)
		}
		return nil
	})
	if err != nil {
		_ = out.Flush() // what was written before the error; that one matters more than another
		return err
	}
	if err := to.end(); err != nil {
		return fmt.Errorf("writing the results: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the results: %w", err)
	}
	return nil
}

// note says on standard error what the output does not have.
func (o *options) note(batch *v1alpha1.EmbeddedUserBatch, wanted []Result) {
	status := &batch.Status
	if status.ObservedGeneration != batch.Generation {
		terminal.Note(o.ErrOut, "The operator has not looked at the last change of this batch yet; these results are of the list before.")
	}
	if o.rows {
		return
	}
	named := int32(0)
	for _, user := range status.InvalidUsers {
		if user.Reason != v1alpha1.InvalidReasonRejectedByAPI {
			named++
		}
	}
	if status.Plan != nil && slices.Contains(wanted, Invalid) && status.Plan.InvalidRows > named {
		terminal.Note(o.ErrOut, "%s more rows are invalid by themselves; with --rows they are looked up in the lists.",
			terminal.Number(status.Plan.InvalidRows-named))
	}
}
