package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/train/settings"
)

// printJSON writes a result for programs: keys are lower_snake and stay as they are.
func printJSON(w io.Writer, v any) error { return number.Write(w, v, "  ") }

// jsonFlag adds --json.
func jsonFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "json", false, "print the result as JSON")
	inGroup(cmd.Flags(), settings.Run, "json")
}

// printf calls say for the standard output of a command.
func printf(cmd *cobra.Command, format string, args ...any) { say(cmd.OutOrStdout(), format, args...) }
