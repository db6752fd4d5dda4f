package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/shell"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/study"
	"github.com/residual-ml/residual/train/settings"
)

// growFlags are the settings of grow.
type growFlags struct {
	sourceFlags
	tuning tuningFlags
	config study.GrowConfig
}

func growCommand() *cobra.Command {
	var f growFlags
	cmd := &cobra.Command{
		Use:   "grow MODEL --blocks 3,4,6,3",
		Short: "Deepen a trained net without changing what it computes",
		Long: `Deepen a trained net without changing what it computes: new residual blocks, whose last
batch norm or convolution is zero, come last in their stages. That the outputs are the
same to the last bit, in fp32 and in bf16, is checked on the test data; a net that
gives others is refused. With --epochs training goes on from there; the optimiser
starts again.`,
		Example: `  residual grow runs/train-1 --blocks 3,4,6,3
  residual grow runs/train-1 --blocks 3,3,3 --epochs 5 --lr 0.02
  residual grow --resume runs/grow-1`,
		Args:              f.modelOrResume,
		ValidArgsFunction: completeModelFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			return f.run(ctx, cmd, args)
		},
	}
	cmd.Flags().IntSliceVar(&f.config.Blocks, "blocks", nil, "blocks in each stage of the deeper net, such as 3,4,6,3")
	inGroup(cmd.Flags(), settings.Model, "blocks")
	common(cmd.Flags(), "blocks")
	f.tuning.add(cmd, "epochs", "epochs to train the deeper net (default: none)")
	f.add(cmd, &f.config.Out)
	return cmd
}

func (f *growFlags) open(ctx context.Context, cmd *cobra.Command, args []string, dev engine.Device, v *studyView) (*study.Grow, error) {
	if len(args) == 0 {
		if err := onlyWithResume(cmd, f.resume, "grow-1"); err != nil {
			return nil, err
		}
		g, err := study.OpenGrow(ctx, dev, f.resume, f.change, v.training())
		if err != nil {
			return nil, fmt.Errorf("--resume: %w", err)
		}
		return g, nil
	}
	if len(f.config.Blocks) == 0 {
		return nil, usagef("grow: give the blocks in each stage of the deeper net with --blocks, such as --blocks 3,4,6,3")
	}
	if err := f.tuning.check("epochs"); err != nil {
		return nil, err
	}
	if err := f.take(args[0]); err != nil {
		return nil, err
	}
	f.config.Source, f.config.Train, f.config.Seed = f.source, f.tuning.config, f.tuning.config.Seed
	return study.NewGrow(ctx, dev, f.config, v.training())
}

func (f *growFlags) run(ctx context.Context, cmd *cobra.Command, args []string) error {
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	v := newStudyView(cmd, f.plain, f.json)
	defer context.AfterFunc(ctx, v.interrupted)()
	g, err := f.open(ctx, cmd, args, dev, v)
	if err != nil {
		return err
	}
	v.printf("%s\n", g.Dir)
	r, err := g.Run(ctx, dev, v.training())
	if err != nil {
		return v.ended(err, "grow --resume "+shell.Quote(g.Dir))
	}
	v.close()
	v.resultf("the same bits before and after, in fp32 and in bf16, on %s images\n", report.Count(int64(r.Checked)))
	showChanged(v, r, false)
	if f.json {
		return printJSON(cmd.OutOrStdout(), r)
	}
	return nil
}
