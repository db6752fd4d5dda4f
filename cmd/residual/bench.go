package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/report"
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
	feed      string
	data      string
	dir       string
	pixels    int64  // most of one of them
	photos    string // folder of them; empty means that some are drawn
	weights   string // file of them; empty means that one is written
	profile   string // empty, or one of the two views
	peaks     string // TFLOP/s and GB/s; empty means measured, on a GPU
	dry       bool
	json      bool
	recompute bool // of training
}

func benchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure images a second, in training or inference",
		Long: `Measure images a second, in training or inference, on random images in memory.

A training step feeds a batch, runs forward and backward passes and updates the
weights; an inference step feeds a batch and reads the logits. The batch is in
memory, with --feed loader it comes from the loader as in training (pictures of
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
  residual bench --mode load --photos ~/pictures
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
	fs.StringVar(&f.feed, "feed", feedMemory, "where the batch of a step comes from: memory, loader, photos or none")
	fs.StringVar(&f.data, "data", "fashion-mnist", "data set of --feed loader; nothing is downloaded")
	fs.StringVar(&f.dir, "data-dir", "", "folder of the data; else RESIDUAL_DATA, else the user's cache folder")
	fs.StringVar(&f.photos, "photos", "", "folder of pictures for --feed photos and --mode load; else some are drawn")
	addMaxPixels(cmd, &f.pixels)
	fs.StringVar(&f.weights, "weights", "", "file of the model's weights for --mode weights; else one is written")
	fs.BoolVar(&f.recompute, "recompute", false, recomputeHelp)
	fs.StringVar(&f.profile, "profile", "", "also show the time that steps take: by kinds of step, or with --profile=steps of each one")
	fs.Lookup("profile").NoOptDefVal = profileKinds
	fs.StringVar(&f.peaks, "peaks", "", "TFLOP/s of products and GB/s of memory that the floor is computed by, such as 989,3350; else a GPU's are measured")
	fs.BoolVar(&f.dry, "dry", false, "run nothing: say what a step has to do")
	f.device.add(cmd)
	jsonFlag(cmd, &f.json)
	_ = cmd.MarkFlagDirname("data-dir")
	_ = cmd.RegisterFlagCompletionFunc("mode", words("train", "infer", modeLoad, modeWeights))
	_ = cmd.MarkFlagDirname("photos")
	_ = cmd.RegisterFlagCompletionFunc("profile", words(profileKinds, profileSteps))
	_ = cmd.RegisterFlagCompletionFunc("feed", words(feedMemory, feedLoader, feedPhotos, feedNone))
	_ = cmd.RegisterFlagCompletionFunc("data", words(dataNames()...))
	_ = cmd.RegisterFlagCompletionFunc("model", words(models.Names()...))
	return cmd
}

func (f *benchFlags) check() error {
	switch {
	case !slices.Contains([]string{"train", "infer", modeLoad, modeWeights}, f.mode):
		return usagef("--mode %s is not known; choose train, infer, load or weights", f.mode)
	case f.weights != "" && f.mode != modeWeights:
		return usagef("--weights is about --mode weights; speed does not depend on them")
	case f.feed != feedMemory && f.feed != feedLoader && f.feed != feedPhotos && f.feed != feedNone:
		return usagef("--feed %s is not known; choose memory, loader, photos or none", f.feed)
	case f.pixels < 0:
		return checkMaxPixels(f.pixels)
	case f.pixels > 0 && f.photos == "":
		return usagef("--max-pixels is about --photos")
	case f.photos != "" && f.feed != feedPhotos && f.mode != modeLoad:
		return usagef("--photos is about --feed photos and --mode load")
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

func (f *benchFlags) run(ctx context.Context, cmd *cobra.Command) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.mode == modeLoad {
		return f.load(ctx, cmd)
	}
	if f.mode == modeWeights {
		return f.loadWeights(ctx, cmd)
	}
	entry, err := lookupModel(f.model)
	if err != nil {
		return err
	}
	dev, err := f.device.openSaying(cmd)
	if err != nil {
		return err
	}
	defer dev.Close()
	w, err := newWorkload(entry, f, dev)
	if err != nil {
		return err
	}
	r, err := f.look(ctx, w, entry, dev)
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), r)
	}
	printf(cmd, "%s", r.text())
	return nil
}

// look measures, or with --dry only counts.
func (f *benchFlags) look(ctx context.Context, w *workload, e models.Entry, dev engine.Device) (*benchResult, error) {
	if f.dry {
		return f.dryRun(w, dev)
	}
	done, err := f.feedBy(ctx, w, e)
	if err != nil {
		return nil, err
	}
	defer done()
	return f.measure(ctx, w, dev)
}

// text is the result for people.
func (r *benchResult) text() string {
	var b strings.Builder
	by := r.Kernels
	if r.Threads > 0 {
		by = fmt.Sprintf("%s, %s kernels", threadCount(r.Threads), r.Kernels)
	}
	fmt.Fprintf(&b, "%s, %s, batch %d of %dx%dx%d, on %s, %s, %s%s\n\n",
		r.Model, r.Mode, r.Batch, r.Channels, r.Height, r.Width, r.Device, by, r.Precision, recomputing(r.Recompute))
	t := report.NewTable(report.Column{}, report.Column{Align: report.Right}, report.Column{})
	if len(r.Measurements) > 0 {
		r.speedRows(t)
	}
	r.floorResult.rows(t, r.StepMilliseconds)
	t.Row("planned memory", report.Bytes(r.PlannedBytes), fmt.Sprintf("activations %s, scratch %s, weights %s, inputs and the rest %s",
		report.Bytes(r.ArenaBytes), report.Bytes(r.ScratchBytes), report.Bytes(r.VariableBytes), report.Bytes(r.OwnBytes)))
	if r.PeakRSSBytes > 0 {
		t.Row("peak resident memory", report.Bytes(r.PeakRSSBytes), "of the whole program")
	}
	if len(r.Measurements) > 0 {
		t.Row("allocations a step", fmt.Sprintf("%.4g", r.AllocationsPerStep), "")
	}
	b.WriteString(t.String())
	if len(r.Profile) > 0 {
		b.WriteString("\n" + profileText(r.Profile))
	}
	if len(r.Steps) > 0 {
		b.WriteString("\n" + stepsText(r.Steps))
	}
	return b.String()
}

// speedRows says what was measured.
func (r *benchResult) speedRows(t *report.Table) {
	t.Row("images/s", rate(r.ImagesPerSecond), fmt.Sprintf("median of %d, from %s to %s", r.Repeat, rate(r.ImagesPerSecondMin), rate(r.ImagesPerSecondMax)))
	fed := map[string]string{
		feedMemory: "feeding included", feedLoader: "fed by the loader from " + r.Data, feedPhotos: "fed by the loader from " + r.Data, feedNone: "the batch stays on the device",
	}[r.Feed]
	t.Row("time of a step", fmt.Sprintf("%.3f ms", r.StepMilliseconds), fed)
	if r.LoaderImagesPerSecond > 0 {
		t.Row("loader alone", rate(r.LoaderImagesPerSecond)+" images/s", "on one core")
	}
	t.Row("arithmetic", report.SI(r.GFLOPPerSecond*1e9, "FLOP/s"), fmt.Sprintf("%.3f GFLOP an image, counted as plain sums", r.GFLOPPerImage))
	if r.PeakGFLOPPerSecond > 0 {
		t.Row("peak beside it", report.SI(r.PeakGFLOPPerSecond*1e9, "FLOP/s"), fmt.Sprintf("%s before, %s after",
			report.SI(r.PeakBefore*1e9, "FLOP/s"), report.SI(r.PeakAfter*1e9, "FLOP/s")))
		t.Row("share of peak", fmt.Sprintf("%.1f %%", 100*r.FractionOfPeak), "over 100 % where an algorithm multiplies less than the sums do")
	}
}

// recomputing says that activations are computed again; nothing where they are kept.
func recomputing(on bool) string {
	if on {
		return ", activations computed again"
	}
	return ""
}

// rate writes images a second with as many digits as mean something.
func rate(v float64) string {
	if v < 100 {
		return fmt.Sprintf("%.2f", v)
	}
	return report.Count(int64(v + 0.5))
}
