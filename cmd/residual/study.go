package main

import (
	"github.com/spf13/cobra"
)

func studyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "study",
		Short: "Run experiments on what residual networks are said to do",
		Long: `Run experiments on what residual networks are said to do. Each leaves a numbered run
folder with its table as CSV and JSON and its figure as PNG and SVG, can be
interrupted or killed, and goes on with --resume, to the same numbers.`,
		Example: `  residual study depth
  residual study blocks runs/train-1
  residual study grow --model cifar-resnet8 --grow 8,14,20 --data garments`,
		Args: cobra.ArbitraryArgs,
		RunE: group,
	}
	cmd.AddCommand(studyDepthCommand(), studyBlocksCommand(), studyGrowCommand())
	return cmd
}
