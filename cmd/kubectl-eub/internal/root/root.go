// SPDX-License-Identifier: Apache-2.0

// Package root is the command kubectl eub, which has the others.
package root

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/check"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/command"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/importing"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/operate"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/planning"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/results"
	"github.com/embedded-user-operator/embedded-user-operator/cmd/kubectl-eub/internal/status"
)

// Groups of commands, in the order of the help.
const (
	importGroup  = "import"
	watchGroup   = "watch"
	operateGroup = "operate"
)

// New returns the command with all others.
func New(o *command.Options) *cobra.Command {
	c := &cobra.Command{
		Use:   "kubectl-eub",
		Short: "Import, watch and operate lists of users in Alloy Embedded",
		Long: `Work with EmbeddedUserBatches, the lists of users that must exist in an Alloy
Embedded account. The operator creates the users; this plugin talks to the
Kubernetes API server only, and never prints an API key.`,
		Version:           o.Version,
		Annotations:       map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl eub"},
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true}, // kubectl's own calls kubectl_complete-eub
		SilenceErrors:     true,                                             // main tells them
		SilenceUsage:      true,
		DisableAutoGenTag: true, // pages do not change every day
	}
	c.SetIn(o.In)
	c.SetOut(o.Out)
	c.SetErr(o.ErrOut)
	c.AddGroup(&cobra.Group{ID: importGroup, Title: "Begin:"}, &cobra.Group{ID: watchGroup, Title: "See:"},
		&cobra.Group{ID: operateGroup, Title: "Act:"})
	add(c, importGroup, importing.NewCommand(o), planning.NewCommand(o))
	add(c, watchGroup, status.NewCommand(o), results.NewCommand(o), check.NewCommand(o))
	add(c, operateGroup, operate.NewRetryCommand(o), operate.NewSuspendCommand(o), operate.NewResumeCommand(o), operate.NewApproveCommand(o))
	addFlags(c, o)
	for _, child := range c.Commands() {
		if name := child.Flags().Lookup("name"); name == nil {
			child.ValidArgsFunction = o.CompleteBatch
		} else { // the arguments are files, of which the shell knows the names
			complete(child, name.Name, o.CompleteBatch)
		}
		child.Args = withHelp(child.Args)
		for flag, of := range values[child.Name()] {
			complete(child, flag, cobra.FixedCompletions(strings.Fields(of), cobra.ShellCompDirectiveNoFileComp))
		}
	}
	c.SetFlagErrorFunc(seeHelp)
	c.SetUsageTemplate(strings.ReplaceAll(c.UsageTemplate(), "Flags.FlagUsages ", "Flags.FlagUsagesWrapped 80 "))
	return c
}

const output = "output" // a flag

var onlyName = map[string]string{output: "name"}

// values are the values of flags, by command.
var values = map[string]map[string]string{
	"import":  {output: "yaml json name", "format": "CSV JSON NDJSON YAML"},
	"plan":    {output: "text json yaml", "format": "CSV JSON NDJSON YAML"},
	"status":  {output: "json yaml name"},
	"results": {output: "table csv json ndjson", "delimiter": "comma semicolon tab", "result": "Created Existing Invalid Pending"},
	"check":   {output: "json yaml"},
	"retry":   onlyName, "suspend": onlyName, "resume": onlyName, "approve": onlyName,
}

func add(c *cobra.Command, group string, children ...*cobra.Command) {
	for _, child := range children {
		child.GroupID = group
	}
	c.AddCommand(children...)
}

// addFlags adds the flags of kubectl.
func addFlags(c *cobra.Command, o *command.Options) {
	flags := c.PersistentFlags()
	o.ConfigFlags.AddFlags(flags)
	if cache := flags.Lookup("cache-dir"); cache != nil {
		cache.DefValue = "$HOME/.kube/cache" // as kubectl shows it, whoever asks
	}
	complete(c, "namespace", o.CompleteNamespace)
	complete(c, "context", o.CompleteContext)
}

// complete has the value of a flag completed.
func complete(c *cobra.Command, flag string, with cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, with); err != nil {
		panic(fmt.Sprintf("--%s of %s cannot be completed: %v", flag, c.Name(), err)) // there is no such flag
	}
}

// withHelp has an error about arguments say where to look.
func withHelp(check cobra.PositionalArgs) cobra.PositionalArgs {
	if check == nil {
		return nil
	}
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return seeHelp(c, err)
		}
		return nil
	}
}

func seeHelp(c *cobra.Command, err error) error {
	return fmt.Errorf("%w; see %s --help", err, c.CommandPath())
}

// Commands returns the commands that people run, in the order of the help.
func Commands(root *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(root.Commands()), func(c *cobra.Command) bool {
		return !c.IsAvailableCommand() || c.Name() == "help"
	})
}
