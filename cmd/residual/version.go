package main

import (
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
			version, goVersion := checkpoint.Versions()
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]string{
					"version": version, "go": goVersion, "os": runtime.GOOS, "arch": runtime.GOARCH,
				})
			}
			printf(cmd, "residual %s, %s %s/%s\n", version, goVersion, runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}
