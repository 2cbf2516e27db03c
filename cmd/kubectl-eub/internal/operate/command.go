// SPDX-License-Identifier: Apache-2.0

// Package operate has the commands that change what a batch does: kubectl eub retry, suspend, resume and approve.
package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/access"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/follow"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/status"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/terminal"
)

type options struct {
	*command.Options

	decide  func(*v1alpha1.EmbeddedUserBatch, time.Time) (change, error)
	mayStop bool // whether a batch that needs a person is what was waited for
	wait    bool
	timeout time.Duration
	output  string
}

const waiting = `

With --wait the command ends when that has happened, and prints the batch as it
is then. Its exit code is 0 if the batch is Ready, 1 if it needs a person or
somebody undoes the change, 3 if --timeout has passed, and 130 after Ctrl-C.

You need the right to patch embeddeduserbatches, which the role edit has.`

// NewRetryCommand returns the command retry.
func NewRetryCommand(shared *command.Options) *cobra.Command {
	return newCommand(&options{Options: shared, decide: retry}, &cobra.Command{
		Use:   "retry NAME",
		Short: "Look all users up, and send those again that the API rejected",
		Long: `Have the operator look up every user of a batch once: it creates those again
that were deleted in Alloy, and sends those once more that the API rejected, for
example after a plan or a setting of the account has changed. Rows that are
invalid by themselves have to be corrected.

It sets the annotation embedded.runalloy.com/reconcile-at to the time. The
operator does it once, and then status.lastHandledReconcileAt has that time. It
costs one list of the account's users, and a request for each thousand users
that are sent. A user that the API rejects again, where it creates nobody else,
is looked up for three minutes before that counts.

You need not call it after an outage or with another key: the operator goes on
by itself.` + waiting,
		Example: `  # After the account has got more seats
  kubectl eub retry customers --wait

  # In a script that restores an account
  kubectl eub retry customers --wait --timeout 10m`,
	})
}

// NewSuspendCommand returns the command suspend.
func NewSuspendCommand(shared *command.Options) *cobra.Command {
	return newCommand(&options{Options: shared, decide: suspend, mayStop: true}, &cobra.Command{
		Use:   "suspend NAME",
		Short: "Stop the requests of a batch",
		Long: `Stop the requests of a batch, by setting spec.suspend. A request that is running
ends, and its results are recorded. The list is still read and may be changed
meanwhile.

If a manifest in Git sets spec.suspend, change it there too. Otherwise the next
sync sets it back, or reports a conflict about the field.

With --wait the command ends when the operator has seen it, with exit code 0;
with 1 if somebody undoes the change, 3 if --timeout has passed, and 130 after
Ctrl-C.

You need the right to patch embeddeduserbatches, which the role edit has.`,
		Example: `  kubectl eub suspend customers

  # Go on only once the operator sends nothing more
  kubectl eub suspend customers --wait`,
	})
}

// NewResumeCommand returns the command resume.
func NewResumeCommand(shared *command.Options) *cobra.Command {
	return newCommand(&options{Options: shared, decide: resume}, &cobra.Command{
		Use:   "resume NAME",
		Short: "Have a suspended batch go on",
		Long: `Have a suspended batch go on, by removing spec.suspend.

If a manifest in Git sets spec.suspend, remove it there too. Otherwise the next
sync suspends the batch again.` + waiting,
		Example: `  kubectl eub resume customers

  kubectl eub resume customers --wait --timeout 10m`,
	})
}

// NewApproveCommand returns the command approve.
func NewApproveCommand(shared *command.Options) *cobra.Command {
	return newCommand(&options{Options: shared, decide: approve}, &cobra.Command{
		Use:   "approve NAME",
		Short: "Have the missing users created under another API key",
		Long: `Have the missing users of a batch created under the API key that the Secret has
now.

When the Secret gets a key under which more than half of the users are missing,
the batch is stalled with reason AccountChanged: the key may be that of another
account, where nobody wants these users. If it is the wrong key, put the right
one into the Secret instead.

It sets the annotation embedded.runalloy.com/approve to status.approval, and
prints what that approves. The approval is good for this key and these users
only, and for once.` + waiting,
		Example: `  # What would be approved?
  kubectl eub status customers

  kubectl eub approve customers --wait`,
	})
}

func newCommand(o *options, c *cobra.Command) *cobra.Command {
	c.Args = cobra.ExactArgs(1)
	c.RunE = func(c *cobra.Command, args []string) error { return o.run(c.Context(), args[0]) }
	c.Flags().BoolVar(&o.wait, "wait", false, "wait until it has happened; the exit code says how it ended")
	c.Flags().DurationVar(&o.timeout, "timeout", 0, "give up waiting after this time, such as 10m, with exit code 3; 0 for never")
	c.Flags().StringVarP(&o.output, "output", "o", "", "name, to print only the name of the batch")
	return c
}

func (o *options) check() error {
	switch {
	case o.output != "" && o.output != "name":
		return fmt.Errorf("--output %q is unknown; give name, or leave it out; kubectl eub status has json and yaml", o.output)
	case o.timeout != 0 && !o.wait:
		return errors.New("--timeout is for --wait; add it")
	case o.timeout < 0:
		return errors.New("--timeout is negative; give a duration such as 10m")
	default:
		return nil
	}
}

func (o *options) run(ctx context.Context, name string) error {
	if err := o.check(); err != nil {
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
	c, err := o.decide(batch, time.Now())
	switch {
	case err != nil:
		return err
	case o.wait && c.cannotWait != "":
		return fmt.Errorf("batch %s cannot be waited for: %s; nothing was changed", name, c.cannotWait)
	}
	if c.patch != nil {
		err := kube.Patch(ctx, batch, client.RawPatch(types.MergePatchType, c.patch), client.FieldOwner(command.FieldManager))
		if err != nil {
			return access.Explain(fmt.Errorf("changing batch %s: %w", name, err), "patch", access.Batches, key) //nolint:wrapcheck // wrapped
		}
	}
	if _, err := io.WriteString(o.Out, o.words(name, c)); err != nil {
		return fmt.Errorf("writing what was done: %w", err)
	}
	if !o.wait {
		return nil
	}
	return o.await(ctx, kube, batch, c)
}

// settle waits a moment for a batch to go on whose Secret may have been mended just now. It returns the batch as it is then; nil if it
// was not read.
func settle(ctx context.Context, kube client.WithWatch, key client.ObjectKey) (last *v1alpha1.EmbeddedUserBatch) {
	ctx, stop := context.WithTimeout(ctx, status.Settling)
	defer stop()
	isSettled := func(batch *v1alpha1.EmbeddedUserBatch) bool {
		last = batch
		return !status.WaitsForKey(batch)
	}
	_ = follow.Batch(ctx, kube, key, isSettled, func(error) {}) // whoever waits next sees the error
	return last
}

// words returns what was done, in lines.
func (o *options) words(name string, c change) string {
	id := command.BatchName(name)
	if o.output == "name" {
		return id + "\n"
	}
	lines := append([]string{id + " " + c.said}, c.notes...)
	if c.cannotWait != "" {
		lines = append(lines, fmt.Sprintf("Nothing happens now: %s.", c.cannotWait))
	}
	return strings.Join(lines, "\n") + "\n"
}

// await waits until a change of a batch has happened.
func (o *options) await(ctx context.Context, kube client.WithWatch, batch *v1alpha1.EmbeddedUserBatch, c change) error {
	if o.timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, o.timeout)
		defer stop()
	}
	key := client.ObjectKeyFromObject(batch)
	var last *v1alpha1.EmbeddedUserBatch
	if status.WaitsForKey(batch) {
		last = settle(ctx, kube, key)
	}
	err := follow.Batch(ctx, kube, key, func(batch *v1alpha1.EmbeddedUserBatch) bool {
		last = batch
		return c.isDone(batch) || !c.holds(batch)
	}, func(err error) { terminal.Note(o.ErrOut, "Lost the batch, and trying again: %v", err) })
	switch {
	case errors.Is(err, context.Canceled):
		return &command.ExitError{Code: command.ExitInterrupted, Err: errors.New("interrupted; what was changed stays changed")}
	case errors.Is(err, context.DeadlineExceeded) && last != nil && c.isDone(last): // it would have settled soon
		return o.happened(last)
	case errors.Is(err, context.DeadlineExceeded) && last == nil:
		return &command.ExitError{Code: command.ExitTimeout, Err: fmt.Errorf("nothing was heard of the batch in %s", o.timeout)}
	case errors.Is(err, context.DeadlineExceeded):
		r := status.New(last, nil, nil, nil)
		return &command.ExitError{Code: command.ExitTimeout, Err: fmt.Errorf("it has not happened after %s: %s", o.timeout, status.Late(&r))}
	case err != nil:
		return access.Explain(err, "watch", access.Batches, key) //nolint:wrapcheck // wrapped
	case !c.isDone(last):
		return fmt.Errorf("somebody undid the change of batch %s, or suspended it, before the change had an effect; "+
			"if the batch comes from Git, change it there", key.Name)
	default:
		return o.happened(last)
	}
}

// happened prints a batch after the change, and returns the error with the exit code.
func (o *options) happened(batch *v1alpha1.EmbeddedUserBatch) error {
	r := status.New(batch, nil, nil, nil)
	if o.output == "" {
		terminal.Note(o.Out, "%s", status.Line(&r))
	}
	switch {
	case o.mayStop:
		return nil
	case r.State.NeedsPerson():
		ending := terminal.Clean(status.Ending(&r))
		return &command.ExitError{Code: command.ExitStalled, Err: fmt.Errorf("batch %s is %s: %s", r.Name, r.State, ending)}
	case status.WaitsForKey(batch):
		return &command.ExitError{Code: command.ExitStalled, Err: fmt.Errorf("the users of batch %s are looked up once the Secret has an "+
			"API key that is valid; see kubectl eub status %s", r.Name, target(batch))}
	default:
		return nil
	}
}
