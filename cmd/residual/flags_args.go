package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/internal/shell"
)

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
		if n == 0 && cmd.Flags().Lookup("data") != nil && (folder.IsPath(args[0]) || slices.Contains(dataNames(), args[0])) {
			return usagef("%s takes no arguments; did you mean --data %s?", cmd.CommandPath(), shell.Quote(args[0]))
		}
		if n == 0 {
			return usagef("%s takes no arguments, got %q; `%s --help` shows its flags", cmd.Name(), args, cmd.CommandPath())
		}
		return usagef("%s takes %s, got %d arguments; `%s --help` has examples", cmd.Name(), what, len(args), cmd.CommandPath())
	}
}
