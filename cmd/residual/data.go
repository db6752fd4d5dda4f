package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/report"
)

func dataCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "data",
		Short: "List, fetch, make and check data sets",
		Long: `List, fetch, make and check data sets, those with a name and folders of pictures.

Files are looked for in --data-dir alone when it is given, else in the folder
that RESIDUAL_DATA names, else in the user's cache folder; what is missing is
downloaded. Every file is verified by the digest of its content.`,
		Example: `  residual data list
  residual data fetch fashion-mnist
  residual data check fashion-mnist --data-dir ~/data
  residual data make photos/
  residual data check photos/`,
		Args: cobra.ArbitraryArgs,
		RunE: group,
	}
	cmd.AddCommand(dataListCommand(), dataFetchCommand(), dataMakeCommand(), dataCheckCommand(), dataCacheCommand())
	return cmd
}

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

// someData demands names of data sets.
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

// knownData complains about a name that is no data set.
func knownData(name string) error {
	if slices.Contains(dataNames(), name) {
		return nil
	}
	return usagef("data set %q is not known, and there is no such folder; choose one of %s, or name a folder of pictures", name, strings.Join(dataNames(), ", "))
}

// dataOrFolder completes the name of a data set, or a path.
func dataOrFolder(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return dataNames(), cobra.ShellCompDirectiveDefault
}

func completeData(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return dataNames(), cobra.ShellCompDirectiveNoFileComp
}
