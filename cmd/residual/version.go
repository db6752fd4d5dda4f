package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
)

func versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  residual version\n  residual version --json",
		Args:    exactly(0, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON {
				version, goVersion := checkpoint.Versions()
				return printJSON(cmd.OutOrStdout(), map[string]string{
					"version": version, "go": goVersion, "os": runtime.GOOS, "arch": runtime.GOARCH,
				})
			}
			printf(cmd, "%s\n", versionLine())
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// versionLine is what `residual version` and --version print.
func versionLine() string {
	version, goVersion := checkpoint.Versions()
	return fmt.Sprintf("residual %s, %s %s/%s", version, goVersion, runtime.GOOS, runtime.GOARCH)
}
