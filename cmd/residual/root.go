package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/internal/promptly"
)

// newRoot builds the command tree anew: nothing of a run is kept in globals.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "residual",
		Short: "Train, examine and use residual networks",
		Long: `Residual trains, examines and uses residual networks: one program, no Python.

Start with

  residual train --data garments

which needs no file and no network, and takes a few minutes.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		trainCommand(),
		lrFindCommand(),
		evalCommand(),
		predictCommand(),
		embedCommand(),
		importCommand(),
		exportCommand(),
		growCommand(),
		pruneCommand(),
		studyCommand(),
		benchCommand(),
		summaryCommand(),
		doctorCommand(),
		modelsCommand(),
		dataCommand(),
		pullCommand(),
		versionCommand(),
	)
	root.SetHelpCommand(helpCommand())
	root.InitDefaultCompletionCmd()
	return root
}

// helpCommand shows the help of a command, and knows when there is no such one.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Show the help of a command",
		Example: "  residual help train\n  residual help data fetch",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil {
				return usageError{err}
			}
			if len(rest) > 0 {
				return unknownCommand(found, rest[0])
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

// flagError says which command does not take a flag, and where to look.
func flagError(cmd *cobra.Command, err error) error {
	return usagef("%s: %v; `%s --help` lists the flags", cmd.Name(), err, cmd.CommandPath())
}

// unknownCommand names the nearest commands.
func unknownCommand(cmd *cobra.Command, word string) error {
	next := fmt.Sprintf("`%s --help` lists the commands", cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		next = fmt.Sprintf("did you mean `%s %s`?", cmd.CommandPath(), strings.Join(near, "` or `"+cmd.CommandPath()+" "))
	}
	return usagef("%q is no command of %s; %s", word, cmd.CommandPath(), next)
}

// group runs a command that only has subcommands.
func group(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	return cmd.Help()
}

// exactly demands n arguments; what says what they are.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		if n == 0 {
			return usagef("%s takes no arguments, got %q; `%s --help` shows its flags", cmd.Name(), args, cmd.CommandPath())
		}
		return usagef("%s takes %s, got %d arguments; `%s --help` has examples", cmd.Name(), what, len(args), cmd.CommandPath())
	}
}

// interruptible returns a context that ends at the first Ctrl-C, for commands
// that leave something whole behind. The second Ctrl-C ends the program.
func interruptible(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// hearing runs a command that leaves nothing half done behind, so that it can be left where
// it is when the first Ctrl-C comes in the middle of something long.
func hearing(ctx context.Context, work func() error) error {
	err := promptly.Do(ctx, work)
	if err != nil && err == ctx.Err() {
		return errors.New("interrupted")
	}
	return err
}

// printJSON writes a result for programs: keys are lower_snake and stay as they are.
func printJSON(w io.Writer, v any) error { return number.Write(w, v, "  ") }

// jsonFlag adds --json.
func jsonFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "json", false, "print the result as JSON")
}

// printf writes to a command's standard output.
func printf(cmd *cobra.Command, format string, args ...any) {
	fmt.Fprintf(cmd.OutOrStdout(), format, args...)
}
