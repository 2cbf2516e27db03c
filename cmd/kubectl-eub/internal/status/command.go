// SPDX-License-Identifier: Apache-2.0

// Package status is the command kubectl eub status: it shows how far a batch is, and what to do next.
package status

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/access"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/follow"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
)

type options struct {
	*command.Options

	watch         bool
	timeout       time.Duration
	allNamespaces bool
	output        string
}

// NewCommand returns the command.
func NewCommand(shared *command.Options) *cobra.Command {
	o := &options{Options: shared}
	c := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show how far a batch is, and what to do next",
		Long: `Show a batch on one screen: how many of its users exist, how fast the others are
being sent and how long that takes, what keeps it from being Ready, in words,
with what to do next, and the slices and the last events that matter.

Without a name it lists the batches of the namespace, and with -A those of all
namespaces: first those that need a person.

With --watch the screen is drawn anew until nothing more happens to the batch by
itself. The exit code then says how it ended:

  0    the batch is Ready: every user exists that must
  1    a person is needed: the batch is stalled or suspended, or only observes;
       or it was deleted
  3    --timeout has passed
  130  Ctrl-C

A batch that is stalled because of its Secret or a list is watched for five
seconds before that counts: the operator may not have seen yet that somebody has
just mended it.

Where standard output is no terminal, as in CI, --watch prints one line for each
change instead.

You need the rights of the role view. The slices that are held up are shown to
those who may also list embeddeduserslices (the role edit, or the ClusterRole
slice-viewer), and that a list has changed since the operator read it to those
who may get the ConfigMaps and Secrets of the batch; the command says what it
could not see. It only reads, and never talks to Alloy.`,
		Example: `  # How far is it?
  kubectl eub status customers

  # Which batches need me?
  kubectl eub status -A

  # Wait in CI until all users exist, for at most ten minutes
  kubectl eub status customers --watch --timeout 10m

  # The same for a script
  kubectl eub status customers -o json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), args) },
	}
	c.Flags().BoolVarP(&o.watch, "watch", "w", false,
		"follow the batch until nothing more happens to it by itself; the exit code says how it ended")
	c.Flags().DurationVar(&o.timeout, "timeout", 0, "give up watching after this time, such as 10m, with exit code 3; 0 for never")
	c.Flags().BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "list the batches of all namespaces")
	c.Flags().StringVarP(&o.output, "output", "o", "", "json, yaml or name; for --watch it is written at the end")
	return c
}

// check returns an error for flags that do not go together.
func (o *options) check(args []string) error {
	switch {
	case o.output != "" && o.output != "json" && o.output != "yaml" && o.output != "name":
		return fmt.Errorf("--output %q is unknown; give json, yaml or name, or leave it out", o.output)
	case o.allNamespaces && len(args) > 0:
		return errors.New("a name and --all-namespaces do not go together; give -n NAMESPACE for one batch")
	case o.watch && len(args) == 0:
		return errors.New("--watch follows one batch; give its name")
	case o.timeout != 0 && !o.watch:
		return errors.New("--timeout is for --watch; add it")
	case o.timeout < 0:
		return errors.New("--timeout is negative; give a duration such as 10m")
	default:
		return nil
	}
}

func (o *options) run(ctx context.Context, args []string) error {
	if err := o.check(args); err != nil {
		return err
	}
	kube, namespace, err := o.Connect()
	if err != nil {
		return err //nolint:wrapcheck // says itself what failed
	}
	config, err := o.Config()
	if err != nil {
		return err //nolint:wrapcheck // says itself what failed
	}
	from, err := newCluster(kube, config)
	switch {
	case err != nil:
		return err
	case len(args) == 0:
		if o.allNamespaces {
			namespace = ""
		}
		return o.printFleet(ctx, from, namespace)
	case o.watch:
		return o.follow(ctx, from, client.ObjectKey{Namespace: namespace, Name: args[0]})
	default:
		return o.printOne(ctx, from, client.ObjectKey{Namespace: namespace, Name: args[0]})
	}
}

func (o *options) printFleet(ctx context.Context, from *cluster, namespace string) error {
	reports, err := from.fleet(ctx, namespace, o.output == "json" || o.output == "yaml")
	if err != nil {
		return err
	}
	if o.output != "" {
		return o.write(struct {
			Batches []Report `json:"batches"`
		}{reports}, reports)
	}
	columns, rows := terminal.Size(o.Out)
	if rows == 0 {
		columns = math.MaxInt32 // a file has room for a long line
	}
	_, err = io.WriteString(o.Out, Fleet(reports, columns, terminal.PaletteFor(o.Out)))
	return err //nolint:wrapcheck // says itself what failed
}

// sampling is how long the rate is measured for a person who does not watch. The operator writes the status of a batch that is being
// sent once a second.
const sampling = 2500 * time.Millisecond

func (o *options) printOne(ctx context.Context, from *cluster, key client.ObjectKey) error {
	batch, err := access.Batch(ctx, from.client, key)
	if err != nil {
		return err //nolint:wrapcheck // says itself what failed
	}
	var m meter
	if o.output == "" && terminal.Is(o.Out) && StateOf(batch) == Working && batch.Status.Counts.Pending > 0 {
		batch = measured(ctx, from, key, batch, &m)
	}
	seen, err := from.look(ctx, batch)
	if err != nil {
		return err
	}
	read, err := from.load(ctx, batch)
	if err != nil {
		return err
	}
	r := seen.report(read.slices, read.events, read.missing)
	r.Pace = m.pace(time.Now())
	return o.print(&r)
}

// measured follows a batch for a moment to see how fast it is, and returns it as it is then.
func measured(
	ctx context.Context, from *cluster, key client.ObjectKey, batch *v1alpha1.EmbeddedUserBatch, m *meter,
) *v1alpha1.EmbeddedUserBatch {
	ctx, stop := context.WithTimeout(ctx, sampling)
	defer stop()
	// It ends with the context; if the API server is away, the batch that was read has to do.
	_ = follow.Batch(ctx, from.client, key, func(b *v1alpha1.EmbeddedUserBatch) bool {
		batch = b
		m.add(time.Now(), b.Status.Counts.Total-b.Status.Counts.Pending, b.Status.Counts.Total)
		return StateOf(b) != Working
	}, func(error) {})
	return batch
}

func (o *options) print(r *Report) error {
	if o.output != "" {
		return o.write(r, []Report{*r})
	}
	columns, _ := terminal.Size(o.Out)
	_, err := io.WriteString(o.Out, Screen(r, columns, terminal.PaletteFor(o.Out), time.Now()))
	return err //nolint:wrapcheck // says itself what failed
}

func (o *options) follow(ctx context.Context, from *cluster, key client.ObjectKey) error {
	if o.timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, o.timeout)
		defer stop()
	}
	w := &watcher{cluster: from, key: key, warn: o.ErrOut}
	switch {
	case o.output != "":
		w.display = silence{}
	case terminal.CanDraw(o.Out):
		w.display = newScreens(o.Out)
	default:
		w.display = &lines{out: o.Out}
	}
	last, err := w.run(ctx)
	if o.output != "" && last.Name != "" {
		err = errors.Join(err, o.print(&last))
	}
	return o.ended(&last, err)
}

// ended returns the error with the exit code for the end of a watch.
func (o *options) ended(last *Report, err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		if last.Name == "" {
			return &command.ExitError{Code: command.ExitTimeout, Err: fmt.Errorf("nothing was heard of the batch in %s", o.timeout)}
		}
		return &command.ExitError{Code: command.ExitTimeout, Err: fmt.Errorf("the batch is %s after %s: %s", last.State, o.timeout, Late(last))}
	case errors.Is(err, context.Canceled):
		return &command.ExitError{Code: command.ExitInterrupted, Err: errors.New("interrupted; the batch goes on without being watched")}
	case err != nil:
		return err
	case !last.State.NeedsPerson():
		return nil
	}
	if !terminal.CanDraw(o.Out) { // a screen has it
		terminal.Note(o.ErrOut, "%s", Ending(last))
	}
	return &command.ExitError{Code: command.ExitStalled, Err: fmt.Errorf("batch %s is %s and does not go on by itself", last.Name, last.State)}
}

// write writes a value as JSON or YAML, or the names of the reports.
func (o *options) write(value any, reports []Report) error {
	if o.output != "name" {
		return o.Print(o.output, value) //nolint:wrapcheck // says itself what failed
	}
	for i := range reports {
		if _, err := fmt.Fprintln(o.Out, command.BatchName(reports[i].Name)); err != nil {
			return fmt.Errorf("writing the names: %w", err)
		}
	}
	return nil
}
