package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/host"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/train/settings"
)

func trainCommand() *cobra.Command {
	var f trainFlags
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train a model and leave a run folder",
		Long: `Train a model and leave a numbered run folder, with its weights, metrics, curves and a report.

The folder holds the settings, the metrics as CSV and JSON lines, the curves as PNG and SVG,
the weights of the best and of the last epoch, the state that --resume goes on from, and
report.html: one page, which needs no network, with the curves, the confusion matrix and the
surest mistakes of the best epoch (` + "`residual eval --help-all`" + ` says more). recipe.txt says in
words what was chosen and why. Pictures show the first batch as the network gets it (batch.png),
the learning rate, the confusion matrix, and predictions for some of the test images.

After every epoch a temperature is fitted to the images that are tested on, and kept in the model
file: --calibrated of predict and eval divides the logits by it.

Without flags it is ResNet-18 on Fashion-MNIST resized to 96x96, in batches of 256 at the
learning rate 0.05 for 10 epochs, from Xavier-uniform weights, without momentum. Other models
and data sets have recipes of their own, which are printed: --data garments trains the
batch-normalised LeNet at 28x28 in batches of 64 for 10 epochs, the rate falling from 1 along a
cosine; --data cifar10 and --data cifar100 train cifar-resnet20 as its paper does, on random
crops and flips (--augment none leaves them out). A flag that is given wins.

Before the first epoch some steps are tried, which changes no bit of what follows, and the time
and the memory that all will take are printed; not for a training of a few seconds. --dry-run
ends there and writes nothing (a data set that is not here yet is downloaded). --budget 10m
makes a training that ends in that time, its report included. settings.yaml keeps what it chose,
so that --resume goes on with that.

--grow trains a net that becomes deeper on a schedule: each step begins with the function that
the one before it ended with, and is a training of its own, with the rate's schedule from its
beginning and new momentum. ` + "`residual study grow`" + ` also trains the deepest net from the start,
for as many multiply-adds. The report of a growth is of the deepest net, in the folder of its
step.

Progress goes to standard error, and the result to standard output.`,
		Example: `  residual train --data garments
  residual train --data photos/ --weights last
  residual train --model resnet18 --weights resnet18.pth --lr 0.01
  residual train --resume last
  residual train --data garments --model d2l-resnet18
  residual train --data-dir ~/fashion-mnist --epochs 2
  residual train --lr 0.1 --momentum 0.9 --schedule cosine,warmup=0.05 --json
  residual train --model resnet18 --grow 18,26,34 --epochs 12
  residual train --data photos/ --dry-run
  residual train --data photos/ --budget 10m
  residual train --data photos/ --weights resnet18.safetensors --augment trivial --mixup 0.2
  residual train --config runs/train-3 --lr 0.1`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			return f.run(ctx, cmd)
		},
	}
	f.add(cmd)
	return cmd
}

func (f *trainFlags) run(ctx context.Context, cmd *cobra.Command) error {
	if cmd.Flags().Changed("grow") {
		return f.runGrowth(ctx, cmd, false)
	}
	var c train.Config
	var work trainer
	err := hearing(ctx, func() (err error) { // it counts the images
		c, work, err = f.prepare(cmd)
		return err
	})
	if err != nil {
		return err
	}
	if f.file.print {
		c.Threads = f.device.threads
		return printConfig(cmd, c)
	}
	f.device.precision = c.Precision
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	if c.Threads = threadsOf(dev); c.Threads > 0 { // the CPU, whose memory is the machine's
		c.Forecast.Memory = host.ReadMemory().Free
	}
	v := newTrainView(cmd, f, f.device.describe(dev))
	defer context.AfterFunc(ctx, v.interrupted)()
	s, err := work(ctx, dev, c, v.callbacks())
	v.close()
	switch {
	case err == nil && f.ahead.dryRun:
		return v.rehearsed()
	case err == nil:
		v.report, v.reported = f.report.trained(ctx, cmd.ErrOrStderr(), dev, measuring{f.device.on(dev), v.device}, s.Best, s.Test)
		return v.result(s)
	case s.Stopped != nil && errors.Is(err, context.Canceled):
		return v.stopped(s)
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted before the first step; nothing was written")
	}
	return memoryHint(err)
}

// memoryHint adds the flags that save memory to an error about memory.
func memoryHint(err error) error {
	var memory *engine.MemoryError
	if errors.As(err, &memory) {
		return fmt.Errorf("%w (--batch, --resize, --recompute)", err)
	}
	return err
}

// prepare returns the checked settings of a new or a resumed run, and the function that trains
// by them.
func (f *trainFlags) prepare(cmd *cobra.Command) (c train.Config, work trainer, err error) {
	changed := cmd.Flags().Changed
	if err := f.ahead.check(changed); err != nil {
		return c, nil, err
	}
	forecast := f.ahead.forecast(&f.report)
	if !changed("resume") {
		if c, err = f.given(train.Config{Precision: f.device.precision, Forecast: forecast}, changed); err != nil {
			return c, nil, err
		}
		return c, f.ahead.instead(train.Run, train.Rehearse), f.check(c)
	}
	if changed("config") {
		return c, nil, usagef("--config and --resume: a run that goes on keeps its settings; give one of them")
	}
	if f.resume == "" {
		return c, nil, usagef("--resume is empty; give a run folder, such as runs/train-1")
	}
	run, err := train.OpenRun(f.resume)
	if err != nil {
		return c, nil, fmt.Errorf("--resume: %w", err)
	}
	run.Config.Forecast = forecast
	if c, err = f.given(run.Config, changed); err != nil {
		return c, nil, err
	}
	if err := run.Check(c); err != nil {
		return c, nil, usageError{fmt.Errorf("--resume: %w", err)}
	}
	return c, f.ahead.instead(run.Resume, run.Rehearse), nil
}

// printConfig prints settings as a file that --config takes.
func printConfig(cmd *cobra.Command, c train.Config) error {
	text, err := settings.Write(c)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "# for residual train --config FILE\n%s", text)
	return err
}
