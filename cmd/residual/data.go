package main

import "github.com/spf13/cobra"

func dataCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "data",
		Short: "List, fetch, make and check data sets",
		Long: `List, fetch, make and check data sets, those with a name and folders of images.

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
