package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/shell"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/study"
	"github.com/residual-ml/residual/train/settings"
)

// blocksFlags are the settings of study blocks.
type blocksFlags struct {
	sourceFlags
	config study.BlocksConfig
}

func studyBlocksCommand() *cobra.Command {
	var f blocksFlags
	cmd := &cobra.Command{
		Use:   "blocks MODEL",
		Short: "Test a trained net without each of its blocks",
		Long: `Test a trained net without each of its residual blocks in turn, its shortcut alone,
and without random groups of them (Veit et al. 2016): accuracy and loss on the test
data. For every block it also measures the share of its branch: the norm of what its
layers add over the norm of what the shortcut hands on.

Blocks that change the shape, or that differ in form from those behind them, cannot be
left out; they are listed as such.`,
		Example: `  residual study blocks runs/train-1
  residual study blocks runs/train-1 --groups 10 --test-size 2000
  residual study blocks --resume runs/study-blocks-1`,
		Args:              f.modelOrResume,
		ValidArgsFunction: completeModelFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			return f.run(ctx, cmd, args)
		},
	}
	cmd.Flags().IntVar(&f.config.Groups, "groups", 3, "random groups of each size")
	cmd.Flags().Uint64Var(&f.config.Seed, "seed", 0, "random seed of the groups")
	inGroup(cmd.Flags(), settings.Run, "groups", "seed")
	common(cmd.Flags(), "groups")
	f.add(cmd, &f.config.Out)
	return cmd
}

func (f *blocksFlags) open(ctx context.Context, cmd *cobra.Command, args []string, dev engine.Device, cb study.BlocksCallbacks) (*study.Blocks, error) {
	if len(args) == 0 {
		if err := onlyWithResume(cmd, f.resume, "study-blocks-1"); err != nil {
			return nil, err
		}
		b, err := study.OpenBlocks(ctx, dev, f.resume, f.change, cb)
		if err != nil {
			return nil, fmt.Errorf("--resume: %w", err)
		}
		return b, nil
	}
	if err := f.take(args[0]); err != nil {
		return nil, err
	}
	if f.config.Groups < 1 {
		return nil, usagef("--groups %d: give a number of groups above 0", f.config.Groups)
	}
	f.config.Source = f.source
	return study.NewBlocks(ctx, dev, f.config, cb)
}

func (f *blocksFlags) run(ctx context.Context, cmd *cobra.Command, args []string) error {
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	v := newStudyView(cmd, f.plain, f.json)
	defer context.AfterFunc(ctx, v.interrupted)()
	lines := newSeldom(!v.plain && report.IsTerminal(v.w), time.Now)
	cb := study.BlocksCallbacks{
		OnData: showDownloads(v.w),
		OnMeasure: func(done, total int, m study.Measure) {
			what := "without " + m.LeftOut
			if m.Blocks == 0 {
				what = "the whole net"
			} else if m.Blocks > 4 {
				what = fmt.Sprintf("without %d blocks", m.Blocks)
			}
			if !lines.due() {
				return
			}
			v.printf("%d of %d: accuracy %.4f, loss %.4f, %s\n", done, total, float64(m.Accuracy), float64(m.Loss), what)
		},
	}
	b, err := f.open(ctx, cmd, args, dev, cb)
	if err != nil {
		return err
	}
	v.printf("%s\n", b.Dir)
	r, err := b.Run(ctx, dev, cb)
	if err != nil {
		return v.ended(err, "study blocks --resume "+shell.Quote(b.Dir))
	}
	right := func(title string) report.Column { return report.Column{Title: title, Align: report.Right} }
	t := report.NewTable(report.Column{Title: "block"}, right("share of the branch"), right("accuracy without"), right("points lost"), right("loss without"))
	for _, w := range r.Rows {
		if !w.CanBeLeftOut {
			t.Row(w.Block, fmt.Sprintf("%.3f", float64(w.Share)), "changes the shape")
			continue
		}
		t.Row(w.Block, fmt.Sprintf("%.3f", float64(w.Share)), fmt.Sprintf("%.4f", float64(w.Accuracy)), fmt.Sprintf("%.2f", 100*float64(w.Lost)), fmt.Sprintf("%.4f", float64(w.Loss)))
	}
	v.resultf("\nwhole: accuracy %.4f, loss %.4f\n", float64(r.Whole.Accuracy), float64(r.Whole.Loss))
	v.table(t)
	for _, line := range r.Findings {
		v.resultf("%s\n", line)
	}
	v.resultf("%s: table.csv, groups.csv, table.json, blocks.png, blocks.svg\n", r.Dir)
	if f.json {
		return printJSON(cmd.OutOrStdout(), r)
	}
	return nil
}
