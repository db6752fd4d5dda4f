package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/data"
)

func dataFetchCommand() *cobra.Command {
	var flags dataFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "fetch NAME...",
		Short: "Download the files of a data set",
		Long: `Download the files of a data set that are missing or damaged, into --data-dir,
or the folder that RESIDUAL_DATA names, or the user's cache folder.`,
		Example: `  residual data fetch fashion-mnist
  residual data fetch fashion-mnist --data-dir ~/data`,
		Args:              someData,
		ValidArgsFunction: completeData,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			type fetched struct {
				Name   string `json:"name"`
				Folder string `json:"folder"` // empty where no files are needed
			}
			var all []fetched
			for _, name := range args {
				dir, err := data.Fetch(ctx, name, flags.options(cmd, data.Train))
				if err != nil {
					return err
				}
				all = append(all, fetched{name, dir})
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), all)
			}
			for _, f := range all {
				if f.Folder == "" {
					printf(cmd, "%s: nothing to fetch, the program draws it\n", f.Name)
					continue
				}
				printf(cmd, "%s: all files are in %s\n", f.Name, f.Folder)
			}
			return nil
		},
	}
	flags.add(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// someData checks that the arguments are names of data sets.
func someData(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("%s takes the name of a data set: one of %s", cmd.CommandPath(), strings.Join(dataNames(), ", "))
	}
	for _, name := range args {
		if err := knownData(name); err != nil {
			return err
		}
	}
	return nil
}

func completeData(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return dataNames(), cobra.ShellCompDirectiveNoFileComp
}
