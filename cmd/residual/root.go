package main

import "github.com/spf13/cobra"

// newRoot builds the tree of commands. It has no global state, so that tests run many.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "residual",
		Short: "Train, examine and use residual networks",
		Long:  "Residual trains, examines and uses residual networks: one program, no Python.",
		Example: `  residual train --data garments
  residual eval last
  residual train --data photos/
  residual predict last photos/`,
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
		serveCommand(),
		embedCommand(),
		importCommand(),
		exportCommand(),
		growCommand(),
		pruneCommand(),
		quantizeCommand(),
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
	addHelp(root)
	root.Version = versionLine()
	root.Flags().BoolP("version", "v", false, "print the version")
	root.SetVersionTemplate("{{.Version}}\n")
	root.InitDefaultCompletionCmd()
	return root
}
