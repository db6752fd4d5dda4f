package main

import (
	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/report"
)

func dataListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the data sets that have a name",
		Example: "  residual data list\n  residual data list --json",
		Args:    exactly(0, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON {
				return printJSON(cmd.OutOrStdout(), data.Names())
			}
			t := report.NewTable(report.Column{Title: "data set"}, report.Column{Title: "what it is"}, report.Column{Title: "what it needs"})
			for _, s := range data.Names() {
				t.Row(s.Name, s.About, s.Needs)
			}
			return t.Write(cmd.OutOrStdout())
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}
