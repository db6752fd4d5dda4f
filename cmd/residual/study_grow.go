package main

import (
	"github.com/spf13/cobra"
)

func studyGrowCommand() *cobra.Command {
	var f trainFlags
	cmd := &cobra.Command{
		Use:   "grow",
		Short: "Compare a net that grows with one that is deep from the start",
		Long: `Train a net that grows on the schedule of --grow, as ` + "`residual train --grow`" + ` does, and
then the deepest net from the start for as many multiply-adds: those of the forward
pass, times images and epochs. The epochs are divided over the steps of the growth.
Other flags are those of ` + "`residual train`" + `.`,
		Example: `  residual study grow --model resnet18 --grow 18,26,34 --epochs 12
  residual study grow --data garments --model cifar-resnet8 --grow 1-1-1,2-2-2 --epochs 4
  residual study grow --resume runs/study-grow-1`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			return f.runGrowth(ctx, cmd, true)
		},
	}
	f.add(cmd)
	return cmd
}
