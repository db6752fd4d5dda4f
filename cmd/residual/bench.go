package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/roofline"
	"github.com/residual-ml/residual/measure"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/train/settings"
)

// The modes of bench besides those of measure.Mode, and the two views of a profile.
const (
	modeLoad    = "load"
	modeWeights = "weights"

	profileKinds = "kinds"
	profileSteps = "steps"
)

// benchFlags are the settings of bench.
type benchFlags struct {
	device    deviceFlags
	mode      string
	model     string
	resize    int
	batch     int
	repeat    int
	warmup    int
	feed      string // one of feeds
	data      string
	dir       string
	pixels    int64  // largest number of pixels of such an image
	photos    string // folder of images; empty: some are drawn
	weights   string // file of weights; empty: one is written
	profile   string // empty, or one of the two views
	peaks     string // TFLOP/s and GB/s; empty: measured, on a GPU
	dry       bool
	json      bool
	recompute bool // of training
}

var (
	modes = []string{string(measure.Train), string(measure.Infer), modeLoad, modeWeights}
	feeds = []string{string(measure.FeedMemory), string(measure.FeedLoader), string(measure.FeedPhotos), string(measure.FeedNone)}
)

func benchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure images/s in training or inference",
		Long: `Measure images/s in training or inference, on random images in memory.

A training step feeds a batch, runs forward and backward passes and updates the
weights; an inference step feeds a batch and reads the logits. The batch is in
memory, with --feed loader it comes from the loader as in training (images of
--data, opened, resized and scaled beside the steps), and with --feed none the same
batch stays on the device. --feed photos decodes, cuts and resizes JPEG photos beside
the steps: those in --photos, a folder with a folder for each class, or drawn ones of
500x375. --mode load measures that alone, on one core and without a model. --mode
weights measures how long it takes to make a net of a file of weights. Each of --repeat measurements takes steps for
at least a fifth of a second; the median is what counts. The device's own peak is
measured just before and after, by multiply-adds on registers alone on as many
threads, and the model's arithmetic is given as a share of it: multiply-adds count
as two operations, those of padding included, so that skipped work raises the share.

On a GPU the time includes the wait for it: the loss or the logits of every step are
read. The floor is what the steps of the program need at least: each the time of its
multiply-adds or that of reading its operands and writing its results once, whichever
is longer, at the rates that --peaks gives, or else on a GPU at those of a large 1x1
convolution and of a large ReLU through the same kernels. --dry runs nothing and says
what a step has to do.`,
		Example: `  residual bench --mode train --batch 64
  residual bench --mode infer --model d2l-resnet18 --resize 96 --batch 1 --json
  residual bench --mode train --profile
  residual bench --mode infer --batch 1 --profile=steps
  residual bench --mode train --feed loader --data garments
  residual bench --mode train --model resnet18 --batch 16 --feed photos
  residual bench --mode load --photos ~/photos
  residual bench --mode weights --model resnet50 --weights resnet50.safetensors
  residual bench --device cuda --batch 256 --feed none --profile=steps
  residual bench --batch 256 --precision bf16 --dry --profile --peaks 989,3350
  residual bench --kernels avx2 --threads 1`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			return hearing(ctx, func() error { return f.run(ctx, cmd) })
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.mode, "mode", "train", "what is measured: train, infer, load or weights")
	fs.StringVar(&f.model, "model", "d2l-resnet18", "name of the model")
	fs.IntVar(&f.resize, "resize", 0, "height and width of the images; 0 takes the model's own")
	fs.IntVar(&f.batch, "batch", 64, "images in a batch")
	fs.IntVar(&f.repeat, "repeat", 10, "measurements, of which the median is taken")
	fs.IntVar(&f.warmup, "warmup", 3, "steps before the first measurement")
	fs.StringVar(&f.feed, "feed", string(measure.FeedMemory), "where the batch of a step comes from: memory, loader, photos or none")
	fs.StringVar(&f.data, "data", "fashion-mnist", "data set of --feed loader; nothing is downloaded")
	fs.StringVar(&f.dir, "data-dir", "", "folder of the data; else RESIDUAL_DATA, else the user's cache folder")
	fs.StringVar(&f.photos, "photos", "", "folder of images for --feed photos and --mode load; else some are drawn")
	addMaxPixels(cmd, &f.pixels)
	fs.StringVar(&f.weights, "weights", "", "file of the model's weights for --mode weights; else one is written")
	fs.BoolVar(&f.recompute, "recompute", false, settings.Of("Recompute").Help)
	fs.StringVar(&f.profile, "profile", "", "also show the time that steps take: by kinds of step, or with --profile=steps of each one")
	fs.Lookup("profile").NoOptDefVal = profileKinds
	fs.StringVar(&f.peaks, "peaks", "", "TFLOP/s of products and GB/s of memory that the floor is computed by, such as 989,3350; else a GPU's are measured")
	fs.BoolVar(&f.dry, "dry", false, "run nothing: say what a step has to do")
	takes(fs, "NAME", "mode", "model", "feed", "data", "profile")
	takes(fs, "FILE|RUN", "weights")
	takes(fs, "X,X", "peaks")
	inGroup(fs, settings.Model, "model", "weights")
	inGroup(fs, settings.Data, "resize", "feed", "data", "data-dir", "photos")
	inGroup(fs, settings.Run, "mode", "batch", "repeat", "warmup", "profile", "peaks", "dry")
	inGroup(fs, settings.Device, "recompute")
	common(fs, "mode", "model", "weights", "resize", "batch", "feed", "data", "photos", "profile")
	f.device.add(cmd)
	jsonFlag(cmd, &f.json)
	_ = cmd.MarkFlagDirname("data-dir")
	_ = cmd.RegisterFlagCompletionFunc("mode", words(modes...))
	_ = cmd.MarkFlagDirname("photos")
	_ = cmd.RegisterFlagCompletionFunc("profile", words(profileKinds, profileSteps))
	_ = cmd.RegisterFlagCompletionFunc("feed", words(feeds...))
	_ = cmd.RegisterFlagCompletionFunc("data", words(dataNames()...))
	_ = cmd.RegisterFlagCompletionFunc("model", words(models.Names()...))
	return cmd
}

func (f *benchFlags) check(changed func(flag string) bool) error {
	switch {
	case !slices.Contains(modes, f.mode):
		return usagef("--mode %s is not known; choose train, infer, load or weights", f.mode)
	case f.weights != "" && f.mode != modeWeights:
		return usagef("--weights is about --mode weights; speed does not depend on them")
	case !slices.Contains(feeds, f.feed):
		return usagef("--feed %s is not known; choose memory, loader, photos or none", f.feed)
	case f.pixels < 0:
		return checkMaxPixels(f.pixels)
	case f.pixels > 0 && f.photos == "":
		return usagef("--max-pixels is about --photos")
	case f.photos != "" && f.feed != string(measure.FeedPhotos) && f.mode != modeLoad:
		return usagef("--photos is about --feed photos and --mode load")
	case changed("data") && f.feed != string(measure.FeedLoader):
		return usagef("--data is about --feed loader")
	case f.profile != "" && f.profile != profileKinds && f.profile != profileSteps:
		return usagef("--profile=%s is not known; choose kinds or steps", f.profile)
	case f.batch < 1 || f.batch > 1<<16:
		return usagef("--batch %d: give a number of images from 1 to %d", f.batch, 1<<16)
	case f.recompute && f.mode != "train":
		return usagef("--recompute is about training; inference keeps nothing that it could compute again")
	case f.resize < 0 || f.resize > 1<<12:
		return usagef("--resize %d: give the pixels of a side from 1 to %d, or 0 for the model's own", f.resize, 1<<12)
	case f.repeat < 1 || f.repeat > 1<<16:
		return usagef("--repeat %d: give a number of measurements from 1 to %d", f.repeat, 1<<16)
	case (f.dry || f.peaks != "") && f.mode != "train" && f.mode != "infer":
		return usagef("--dry and --peaks are about --mode train and infer")
	case f.warmup < 0 || f.warmup > 1<<16:
		return usagef("--warmup %d: give a number of steps up to %d, 0 for none", f.warmup, 1<<16)
	}
	_, err := parsePeaks(f.peaks)
	return err
}

// parsePeaks reads TFLOP/s and GB/s, as in 989,3350. It returns nil for an empty text.
func parsePeaks(text string) (*roofline.Peaks, error) {
	if text == "" {
		return nil, nil
	}
	words := strings.Split(text, ",")
	values := make([]float64, len(words))
	for i, w := range words {
		v, err := strconv.ParseFloat(w, 64)
		if err != nil || !(v > 0) {
			return nil, usagef("--peaks %s: give TFLOP/s and GB/s, such as 989,3350", text)
		}
		values[i] = v
	}
	if len(values) != 2 {
		return nil, usagef("--peaks %s: give two numbers, TFLOP/s and GB/s, such as 989,3350", text)
	}
	return &roofline.Peaks{GFLOPPerSecond: 1e3 * values[0], GBPerSecond: values[1]}, nil
}

func (f *benchFlags) run(ctx context.Context, cmd *cobra.Command) error {
	if err := f.check(cmd.Flags().Changed); err != nil {
		return err
	}
	if f.mode == modeLoad {
		return f.load(ctx, cmd)
	}
	entry, err := lookupModel(f.model)
	if err != nil {
		return err
	}
	if f.mode == modeWeights {
		return f.loadWeights(ctx, cmd, entry)
	}
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	r, err := f.measure(ctx, entry, dev)
	if err != nil {
		return f.explain(err, entry)
	}
	switch f.profile {
	case profileKinds:
		r.Profile, r.Steps = roofline.ByKind(r.Steps), nil
	case "":
		r.Steps = nil
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), r)
	}
	printf(cmd, "%s", benchText(r, report.Columns(cmd.OutOrStdout())))
	return nil
}

// measure measures training or inference. With --dry it only counts operations and bytes.
func (f *benchFlags) measure(ctx context.Context, e models.Entry, dev engine.Device) (*measure.Result, error) {
	peaks, err := parsePeaks(f.peaks)
	if err != nil {
		return nil, err
	}
	if measure.Mode(f.mode) == measure.Train {
		f.device.purpose = engine.Training
	}
	w, err := measure.New(measure.Config{
		Model: e, Mode: measure.Mode(f.mode), Batch: f.batch, Size: f.resize, Precision: f.device.on(dev), Recompute: f.recompute,
		Repeat: f.repeat, Warmup: f.warmup, Profile: f.profile != "", Peaks: peaks,
	}, dev)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	switch measure.Feed(f.feed) {
	case measure.FeedNone:
		w.FeedNone()
	case measure.FeedPhotos:
		if !f.dry {
			err = w.FeedPhotos(ctx, f.photos, f.pixels)
		}
	case measure.FeedLoader:
		if !f.dry {
			err = f.feedLoader(ctx, w)
		}
	}
	if err != nil {
		return nil, err
	}
	if f.dry {
		r := w.Describe()
		r.Feed, r.Data = measure.Feed(f.feed), f.fedFrom()
		return r, nil
	}
	return w.Measure(ctx)
}

// feedLoader opens the data set of --data. A measurement does not wait for a download.
func (f *benchFlags) feedLoader(ctx context.Context, w *measure.Workload) error {
	if err := knownData(f.data); err != nil {
		return err
	}
	ds, err := data.Open(ctx, f.data, data.Options{Dir: f.dir, Offline: true})
	if err != nil {
		return err
	}
	return w.FeedLoader(ctx, ds, f.data)
}

// fedFrom names the data of --feed for --dry, which does not open it.
func (f *benchFlags) fedFrom() string {
	switch measure.Feed(f.feed) {
	case measure.FeedLoader:
		return f.data
	case measure.FeedPhotos:
		return cmp.Or(f.photos, measure.DrawnPhotos)
	}
	return ""
}

// benchFlag is the flag for a field of measure.Config.
var benchFlag = map[string]string{
	"Model": "model", "Mode": "mode", "Batch": "batch", "Size": "resize", "Precision": "precision", "Recompute": "recompute", "Repeat": "repeat", "Data": "data",
}

// explain names the flags that an error is about.
func (f *benchFlags) explain(err error, e models.Entry) error {
	if c := (*measure.ConfigError)(nil); errors.As(err, &c) {
		return usagef("--%s: %w", benchFlag[c.Field], c.Err)
	}
	if m := (*engine.MemoryError)(nil); errors.As(err, &m) {
		advice := "choose a smaller --batch or --resize"
		if f.mode == string(measure.Train) && !f.recompute {
			advice += ", or --recompute"
		}
		return usagef("--batch %d of %dx%d: %w; %s", f.batch, cmp.Or(f.resize, e.Height), cmp.Or(f.resize, e.Width), m.Err, advice)
	}
	return err
}

// load runs bench --mode load: the images/s that one core decodes and prepares.
func (f *benchFlags) load(ctx context.Context, cmd *cobra.Command) error {
	r, err := measure.Photos(ctx, measure.PhotosConfig{Path: f.photos, MaxPixels: f.pixels, Size: f.resize, Repeat: f.repeat, Warmup: f.warmup})
	switch {
	case err != nil:
		return err
	case f.json:
		return printJSON(cmd.OutOrStdout(), r)
	}
	printf(cmd, "%s", photosText(r, report.Columns(cmd.OutOrStdout())))
	return nil
}

// loadWeights runs bench --mode weights: the time from a file of weights to a network.
func (f *benchFlags) loadWeights(ctx context.Context, cmd *cobra.Command, e models.Entry) error {
	r, err := measure.Weights(ctx, measure.WeightsConfig{Model: e, Path: f.weights, Threads: f.device.threads, Repeat: f.repeat, Warmup: f.warmup})
	switch {
	case err != nil && f.weights != "":
		return fmt.Errorf("--weights: %w", err)
	case err != nil:
		return err
	case f.json:
		return printJSON(cmd.OutOrStdout(), r)
	}
	printf(cmd, "%s", weightsText(r, report.Columns(cmd.OutOrStdout())))
	return nil
}
