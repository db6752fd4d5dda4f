package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/shell"
	"github.com/residual-ml/residual/study"
	"github.com/residual-ml/residual/train/settings"
)

// pruneFlags are the settings of prune.
type pruneFlags struct {
	sourceFlags
	tuning tuningFlags
	config study.PruneConfig
}

func pruneCommand() *cobra.Command {
	var f pruneFlags
	cmd := &cobra.Command{
		Use:   "prune MODEL --drop 2",
		Short: "Remove the blocks of a trained net that matter least",
		Long: `Remove the residual blocks of a trained net that matter least, and write a smaller model
that every command takes. Blocks are removed one after the other: each time the one without
which the loss on --select-size images of the training part is lowest. The test part is not
used for the choice; it measures accuracy before and after. Speed is measured on batches of
64, in turns with the original net.

Blocks that change the shape, or that differ in form from those behind them, cannot be
taken out.`,
		Example: `  residual prune runs/train-1 --drop 2
  residual prune runs/train-1 --budget 0.7 --fine-tune 2
  residual prune --resume runs/prune-1`,
		Args:              f.modelOrResume,
		ValidArgsFunction: completeModelFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			return f.run(ctx, cmd, args)
		},
	}
	fs := cmd.Flags()
	fs.IntVar(&f.config.Drop, "drop", 0, "blocks to remove")
	fs.Float64Var(&f.config.Budget, "budget", 0, "remove blocks until this share of the multiply-adds is left, such as 0.7")
	fs.IntVar(&f.config.SelectSize, "select-size", 1000, "images of the training part by which blocks are chosen")
	inGroup(fs, settings.Model, "drop", "budget")
	inGroup(fs, settings.Data, "select-size")
	common(fs, "drop", "budget")
	f.tuning.add(cmd, "fine-tune", "epochs to train the smaller net (default: none)")
	f.add(cmd, &f.config.Out)
	return cmd
}

func (f *pruneFlags) open(ctx context.Context, cmd *cobra.Command, args []string, dev engine.Device, cb study.PruneCallbacks) (*study.Prune, error) {
	if len(args) == 0 {
		if err := onlyWithResume(cmd, f.resume, "prune-1"); err != nil {
			return nil, err
		}
		p, err := study.OpenPrune(ctx, dev, f.resume, f.change, cb)
		if err != nil {
			return nil, fmt.Errorf("--resume: %w", err)
		}
		return p, nil
	}
	if f.config.SelectSize < 1 {
		return nil, usagef("--select-size %d: give a number of images above 0", f.config.SelectSize)
	}
	if err := f.tuning.check("fine-tune"); err != nil {
		return nil, err
	}
	if err := f.take(args[0]); err != nil {
		return nil, err
	}
	f.config.Source, f.config.Train = f.source, f.tuning.config
	return study.NewPrune(ctx, dev, f.config, cb)
}

func (f *pruneFlags) run(ctx context.Context, cmd *cobra.Command, args []string) error {
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	v := newStudyView(cmd, f.plain, f.json)
	defer context.AfterFunc(ctx, v.interrupted)()
	cb := study.PruneCallbacks{
		Callbacks: v.training(),
		OnDrop: func(n int, block string, m study.Measure) {
			v.printf("%d: without %s, loss %.4f and accuracy %.4f on the images to choose by\n", n, block, float64(m.Loss), float64(m.Accuracy))
		},
	}
	p, err := f.open(ctx, cmd, args, dev, cb)
	if err != nil {
		return err
	}
	v.printf("%s\n", p.Dir)
	r, err := p.Run(ctx, dev, cb)
	if err != nil {
		return v.ended(err, "prune --resume "+shell.Quote(p.Dir))
	}
	v.close()
	showChanged(v, r, true)
	if f.json {
		return printJSON(cmd.OutOrStdout(), r)
	}
	return nil
}
