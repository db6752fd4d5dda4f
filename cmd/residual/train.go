package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/host"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/train/settings"
)

// trainFlags are the settings of train. Those that are not given take what suits
// the data set and the model.
type trainFlags struct {
	config train.Config
	device deviceFlags
	files  dataFlags
	report reportFlags
	grow   []string // depths or blocks of a growth
	resume string   // a run folder
	named  bool     // the data, on the command line
	plain  bool
	json   bool
	ahead  forecastFlags
}

// These helps are those of other commands, too.
var (
	recomputeHelp = settings.Of("Recompute").Usage()
	blocksHelp    = settings.Of("Blocks").Usage()
)

func trainCommand() *cobra.Command {
	var f trainFlags
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train a model and leave a run folder",
		Long: `Train a model and leave a numbered run folder: the settings, the metrics as CSV and
JSON lines, the curves as PNG and SVG, the weights of the best and of the last epoch,
the state that --resume goes on from, and report.html: one page, which needs no
network, with the curves, the confusion matrix and the surest mistakes of the best
epoch (` + "`residual eval --help`" + ` says more).

Without flags it is ResNet-18 on Fashion-MNIST resized to 96x96, in batches of 256
at the learning rate 0.05 for 10 epochs, from Xavier-uniform weights, without
momentum. Other models and data sets have defaults of their own, which are printed:
--data garments trains the batch-normalised LeNet at 28x28 in batches of 64 for 10
epochs, the rate falling from 1 along a cosine; --data cifar10 and --data cifar100 train
cifar-resnet20 as its paper does, on random crops and flips (--augment none leaves them
out). A flag that is given wins.

` + photosTrainHelp() + `

--weights starts from the weights in a file instead of new ones. Of a model file it
takes the model, the blocks, the data set and the size of the images, too, unless they
are given. A file of another program, such as a .pth, holds weights alone: its model
is found by their names and shapes, or given with --model. A last layer for other
classes is drawn anew, and so is one that is missing, of a backbone; a first layer for
colours is made one for grey or the other way round. Each is said; whatever else is
missing or does not fit is an error.

` + optimisationHelp + `

--grow trains a net that becomes deeper on a schedule: each step begins with the
function that the one before it ended with, and is a training of its own, with the rate's schedule from its
beginning and new momentum. ` + "`residual study grow`" + ` also trains the deepest net from the
start, for as many multiply-adds. Of a growth the report is of the deepest net, in the
folder of its step.

What does not fit into memory may fit with --recompute: it keeps only some of the
activations and computes the others again for the gradients.

` + forecastHelp + `

Ctrl-C finishes the step and saves last.safetensors; a second one quits at once.

--resume goes on with a run that was interrupted or killed, in its folder and with
its settings, from the end of its last whole epoch. On the same kind of processor
it ends with the weights, to the last bit, of a run that was never stopped. Of the
flags that decide what is trained only --epochs may be given with it, to make more
of them; a rate that falls over the training then falls by the new number. Images
that were moved since are found with --data: their content tells that they are those
of the run.`,
		Example: `  residual train --data garments
  residual train --data garments --model d2l-resnet18
  residual train --data-dir ~/fashion-mnist --epochs 2
  residual train --lr 0.1 --momentum 0.9 --schedule cosine,warmup=0.05 --json
  residual train --model resnet18 --grow 18,26,34 --epochs 12
  residual train --model resnet18 --weights resnet18.pth --lr 0.01
  residual train --data photos/
  residual train --data photos/ --dry-run
  residual train --data photos/ --budget 10m
  residual train --data photos/ --weights resnet18.safetensors --augment trivial --mixup 0.2
  residual train --resume runs/train-3`,
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
	fs, c, shown := cmd.Flags(), &f.config, tableDefaults()
	fs.SortFlags = false
	addSettings(fs, c, shown, nil, settings.In(settings.Model)...)
	fs.StringSliceVar(&f.grow, "grow", nil, "grow on a schedule, such as 18,26,34 or 1-1-1,2-2-2: blocks are added that change nothing at first, and the epochs are divided over the depths")
	addSettings(fs, c, shown, nil, settings.In(settings.Recipe, settings.Learning, settings.Images, settings.Run)...)
	fs.StringVar(&f.resume, "resume", "", "go on with the interrupted run in this folder, with its settings")
	f.ahead.add(cmd)
	fs.BoolVar(&f.plain, "plain", false, "plain lines in place of the bar and the curves, as where the output is no terminal: one an epoch, and in a long epoch one a minute")
	f.report.addNone(cmd)
	f.files.add(cmd)
	f.device.add(cmd)
	jsonFlag(cmd, &f.json)
	_ = cmd.MarkFlagDirname("out")
	_ = cmd.MarkFlagDirname("resume")
	completeSettings(cmd)
}

// completeSettings adds the completions of the flags of settings.
func completeSettings(cmd *cobra.Command) {
	for _, s := range settings.In(settings.Model, settings.Recipe, settings.Learning, settings.Images, settings.Run) {
		if s.Range.Words != nil {
			_ = cmd.RegisterFlagCompletionFunc(s.Flag(), words(s.Range.Words...))
		}
	}
	for flag, complete := range map[string]cobra.CompletionFunc{
		"data": dataOrFolder, "schedule": words(optim.ScheduleNames()...), "freeze": words(train.FreezeStem, train.FreezeBackbone),
		"class-weights": words(train.Balanced),
		"cache":         cobra.FixedCompletions([]cobra.Completion{train.CacheAuto, train.CacheOff}, cobra.ShellCompDirectiveDefault),
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, complete)
	}
}

// given is c with what the flags that were given say.
func (f *trainFlags) given(c train.Config, changed func(flag string) bool) (train.Config, error) {
	g := f.config
	g.DataDir, g.Offline, g.Precision = f.files.dir, f.files.offline, f.device.precision
	f.named = changed("data")
	if changed("weights") { // taken first: the others win
		c = startFrom(c, g.Weights)
	}
	rows := slices.DeleteFunc(settings.Table(), func(s settings.Setting) bool {
		return s.Field == "Threads" // of the device, once it is open
	})
	if err := takeSettings(&c, g, changed, rows...); err != nil {
		return c, err
	}
	return settled(c, g, changed)
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

// memoryHint adds the flags by which a training takes less memory.
func memoryHint(err error) error {
	var memory *engine.MemoryError
	if errors.As(err, &memory) {
		return fmt.Errorf("%w (--batch, --resize, --recompute)", err)
	}
	return err
}

// prepare returns the settings of a new run or of one that is resumed, checked,
// and what trains by them.
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

type trainer func(context.Context, engine.Device, train.Config, train.Callbacks) (train.Summary, error)

// startFrom takes the size and the data from a model file with the first weights; the library
// takes the model. A file of weights alone says nothing, and an error in the file is reported
// when the weights are read.
func startFrom(c train.Config, path string) train.Config {
	c.Weights = path
	about, err := modelfile.Describe(path)
	if err != nil {
		return c
	}
	c.Resize = about.Height
	if folder.IsPath(about.Dataset) || slices.Contains(dataNames(), about.Dataset) {
		c.Data = about.Dataset
	}
	return c
}

// check says what is wrong with the command line, before anything is opened.
func (f *trainFlags) check(c train.Config) error {
	r := c.Resolved()
	e, err := lookupModel(r.Model)
	if err != nil {
		return err
	}
	if err := knownSource(r.Data); err != nil {
		return err
	}
	if _, err := os.Stat(r.Data); r.IsPhotos() && err != nil && c.Weights != "" && !f.named {
		return usagef("%s was trained on %s, which is not here; name the images to train on with --data", c.Weights, filepath.Base(r.Data))
	}
	if err := c.Check(); err != nil {
		return usageError{fmt.Errorf("%w; `residual train --help` describes the flags", err)}
	}
	if err := room(8 * e.Count(models.Config{Blocks: r.Blocks})); err != nil { // weights and their gradients
		return usagef("--model %s: %w; choose a smaller net", r.Model, err)
	}
	return nil
}
