package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/train"
)

// trainFlags are the settings of train. Those that are not given take what suits
// the data set and the model.
type trainFlags struct {
	config train.Config
	device deviceFlags
	files  dataFlags
	plain  bool
	json   bool
}

// recomputeHelp says what it costs and what it gives.
const recomputeHelp = "keep only some activations and compute the rest again for the gradients: the same result to the last bit in less memory, half or less in deep nets, for at most one more forward pass a step"

func trainCommand() *cobra.Command {
	var f trainFlags
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train a model and leave a run folder",
		Long: `Train a model and leave a numbered run folder: the settings, the metrics as CSV and
JSON lines, the curves as PNG and SVG, and the weights of the best and of the
last epoch.

Without flags it is ResNet-18 on Fashion-MNIST resized to 96x96, in batches of 256
at the learning rate 0.05 for 10 epochs, from Xavier-uniform weights, without
momentum. Other models and data sets have defaults of their own, which are printed:
--data garments trains the batch-normalised LeNet at 28x28 in batches of 64 for 10
epochs, the rate falling from 1 along a cosine. A flag that is given wins.

What does not fit into memory may fit with --recompute: it keeps only some of the
activations and computes the others again for the gradients.

Ctrl-C finishes the step and saves last.safetensors; a second one quits at once.`,
		Example: `  residual train --data garments
  residual train --data garments --model d2l-resnet18
  residual train --data-dir ~/fashion-mnist --epochs 2
  residual train --lr 0.1 --momentum 0.9 --schedule cosine,warmup=0.05 --json`,
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

// add shows the defaults of the notes' recipe; only what is given is taken.
func (f *trainFlags) add(cmd *cobra.Command) {
	fs, c, d := cmd.Flags(), &f.config, train.Config{}.Resolved()
	fs.SortFlags = false
	fs.StringVar(&c.Model, "model", d.Model, "model to train; the command models lists them")
	fs.StringVar(&c.Data, "data", d.Data, "data set; the command data list lists them")
	fs.IntVar(&c.Resize, "resize", d.Resize, "pixels of both sides that images are resized to")
	fs.IntVar(&c.Batch, "batch", d.Batch, "images in a batch")
	fs.Float32Var(&c.LR, "lr", d.LR, "learning rate")
	fs.IntVar(&c.Epochs, "epochs", d.Epochs, "epochs to train")
	fs.StringVar(&c.Optimizer, "optimizer", d.Optimizer, "optimiser: sgd")
	fs.Float32Var(&c.Momentum, "momentum", 0, "momentum of sgd")
	fs.Float32Var(&c.WeightDecay, "weight-decay", 0, "L2 penalty")
	fs.BoolVar(&c.Nesterov, "nesterov", false, "look ahead along the momentum")
	fs.StringVar(&c.Schedule, "schedule", d.Schedule, "of the learning rate: constant, cosine,warmup=0.05,min=0.0001 or step,gamma=0.1,at=0.5")
	fs.StringVar(&c.Init, "init", d.Init, "first weights: xavier-uniform, kaiming-normal or pytorch")
	fs.Uint64Var(&c.Seed, "seed", 0, "of the first weights and of the order of the images")
	fs.IntVar(&c.TrainSize, "train-size", 0, "train on this many images only (default: all)")
	fs.IntVar(&c.TestSize, "test-size", 0, "test on this many images only (default: all)")
	fs.BoolVar(&c.Recompute, "recompute", false, recomputeHelp)
	fs.IntVar(&c.Workers, "workers", 0, "goroutines that prepare batches (default: chosen); the result does not depend on it")
	fs.StringVar(&c.Out, "out", d.Out, "folder of the numbered run folders")
	fs.BoolVar(&f.plain, "plain", false, "plain lines in place of the bar and the curves")
	f.files.add(cmd)
	f.device.add(cmd)
	jsonFlag(cmd, &f.json)
	_ = cmd.MarkFlagDirname("out")
	_ = cmd.RegisterFlagCompletionFunc("data", words(dataNames()...))
	_ = cmd.RegisterFlagCompletionFunc("optimizer", words(optim.Names()...))
	_ = cmd.RegisterFlagCompletionFunc("schedule", words(optim.ScheduleNames()...))
	_ = cmd.RegisterFlagCompletionFunc("init", words(nn.XavierUniform.String(), nn.KaimingNormal.String(), nn.PyTorchDefault.String()))
}

// given is the config of the flags that were given, the rest zero.
func (f *trainFlags) given(changed func(flag string) bool) (train.Config, error) {
	c := f.config
	for name, clear := range map[string]func(){
		"model": func() { c.Model = "" }, "data": func() { c.Data = "" }, "resize": func() { c.Resize = 0 },
		"batch": func() { c.Batch = 0 }, "lr": func() { c.LR = 0 }, "epochs": func() { c.Epochs = 0 },
		"optimizer": func() { c.Optimizer = "" }, "schedule": func() { c.Schedule = "" }, "init": func() { c.Init = "" },
	} {
		if !changed(name) {
			clear()
		}
	}
	// In a Config zero is the default, on the command line it is a mistake.
	for name, zero := range map[string]bool{
		"resize": c.Resize == 0, "batch": c.Batch == 0, "epochs": c.Epochs == 0, "lr": c.LR == 0,
		"train-size": c.TrainSize == 0, "test-size": c.TestSize == 0,
	} {
		if zero && changed(name) {
			return c, usagef("--%s 0: must be above 0; leave the flag out for the default", name)
		}
	}
	for name, empty := range map[string]bool{
		"model": c.Model == "", "data": c.Data == "", "optimizer": c.Optimizer == "", "schedule": c.Schedule == "", "init": c.Init == "", "out": c.Out == "",
	} {
		if empty && changed(name) {
			return c, usagef("--%s is empty; give a value or leave the flag out", name)
		}
	}
	c.DataDir, c.Offline, c.Precision = f.files.dir, f.files.offline, f.device.precision
	return c, nil
}

func (f *trainFlags) run(ctx context.Context, cmd *cobra.Command) error {
	c, err := f.given(cmd.Flags().Changed)
	if err != nil {
		return err
	}
	if err := f.check(c); err != nil {
		return err
	}
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	c.Threads = dev.Threads()
	v := newTrainView(cmd, f, f.device.describe(dev))
	defer context.AfterFunc(ctx, v.interrupted)()
	s, err := train.Run(ctx, dev, c, v.callbacks())
	v.close()
	switch {
	case err == nil:
		return v.result(s)
	case s.Stopped != nil && errors.Is(err, context.Canceled):
		return v.stopped(s)
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted before the first step; nothing was written")
	}
	return err
}

// check says what is wrong with the command line, before anything is opened.
func (f *trainFlags) check(c train.Config) error {
	r := c.Resolved()
	if _, err := lookupModel(r.Model); err != nil {
		return err
	}
	if err := knownData(r.Data); err != nil {
		return err
	}
	if err := c.Check(); err != nil {
		return usageError{fmt.Errorf("%w; `residual train --help` describes the flags", err)}
	}
	return nil
}
