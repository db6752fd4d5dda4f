package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/internal/shell"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/quant/ptq"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/train/settings"
	"github.com/residual-ml/residual/weights"
)

// quantizeFlags are the settings of quantize.
type quantizeFlags struct {
	out    string
	source ptq.Source
	config ptq.Config
	method string
	device deviceFlags
	files  dataFlags
	force  bool
	json   bool
}

// quantizeResult is what quantize --json prints.
type quantizeResult struct {
	Path       string   `json:"path"`
	Bytes      int64    `json:"bytes"`
	Model      string   `json:"model"` // that was quantised
	ModelBytes int64    `json:"model_bytes"`
	Notes      []string `json:"notes,omitempty"`
	*ptq.Result
	Device string `json:"device"`
}

func quantizeCommand() *cobra.Command {
	var f quantizeFlags
	cmd := &cobra.Command{
		Use:   "quantize MODEL -o MODEL",
		Short: "Make a model compute with integers of 8 bits: a quarter of the size, and faster",
		Long: `Make a model file of a trained convolutional net whose layers compute with integers of 8
bits. It has about a quarter of the size and is faster, and eval, predict, summary and
export take it. Nothing is trained. The net is run on --images of the training part of the
data set that it was trained on, to find the range of every layer's input.

--method says how a range follows from what was observed: minmax takes all of it,
percentile leaves out the largest of ten thousand, entropy and mse look for the range that
changes the distribution or the numbers least. auto tries all, and takes the one that
changes the outputs of the net least on images that were not observed.

The first and the last layer stay in floating point (bf16). Accuracy is then measured on
the test part. If it is lower than in fp32 by more than --max-drop points, further layers
stay in bf16, one after the other, first the one that changes the outputs most, until it is
not. On a few test images a difference of one image is allowed.

--data may be another data set, or a folder or a list of images. A folder without classes
serves as well, but then no accuracy is measured. --random takes random images: the ranges
are then a guess, for a trial of the speed.`,
		Example: `  residual quantize runs/train-1 -o runs/train-1/int8.safetensors
  residual quantize last -o small.safetensors --max-drop 0.1
  residual quantize resnet50.safetensors --data photos/ -o small.safetensors
  residual eval small.safetensors`,
		Args:              exactly(1, "a model file"),
		ValidArgsFunction: completeModelFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			return hearing(ctx, func() error { return f.run(ctx, cmd, args[0]) })
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVarP(&f.out, "out", "o", "", "model file to write")
	fs.Float64Var(&f.config.MaxDrop, "max-drop", 0.3, "points of accuracy that may be lost on the test part")
	fs.StringVar(&f.method, "method", "auto", "how ranges are chosen: auto, "+strings.Join(methodNames(), ", "))
	fs.IntVar(&f.config.Images, "images", 256, "images whose activations are observed")
	fs.StringVar(&f.source.Data, "data", "", "name of the data set, "+photosHelp+" (default: what the model was trained on)")
	fs.BoolVar(&f.source.Random, "random", false, "observe random images in place of a data set")
	fs.Uint64Var(&f.config.Seed, "seed", 0, "random seed of the choice of images")
	fs.IntVar(&f.config.Batch, "batch", 128, "images in a batch of a test; the result does not depend on it")
	fs.BoolVar(&f.force, "force", false, forceUsage)
	takes(fs, "FILE", "out")
	takes(fs, "NAME", "method")
	takes(fs, "NAME|FOLDER", "data")
	inGroup(fs, settings.Model, "max-drop", "method")
	inGroup(fs, settings.Data, "images", "data", "random", "seed")
	inGroup(fs, settings.Run, "out", "batch", "force")
	addMaxPixels(cmd, &f.source.MaxPixels)
	f.files.add(cmd)
	f.device.addDevice(cmd)
	jsonFlag(cmd, &f.json)
	common(fs, "out", "max-drop", "method", "images", "data", "random", "force", "json")
	_ = cmd.RegisterFlagCompletionFunc("data", dataOrFolder)
	_ = cmd.RegisterFlagCompletionFunc("method", words(append([]string{"auto"}, methodNames()...)...))
	return cmd
}

// methodNames lists the ways in which ranges are chosen.
func methodNames() (names []string) {
	for _, m := range quant.Methods() {
		names = append(names, string(m))
	}
	return names
}

func (f *quantizeFlags) check(cmd *cobra.Command) error {
	const most = 1024
	c := &f.config
	switch {
	case f.out == "":
		return usagef("name the model file to write with -o; `%s --help` has examples", cmd.CommandPath())
	case !(c.MaxDrop >= 0 && c.MaxDrop <= 100):
		return usagef("--max-drop %v: give the points of accuracy that may be lost, from 0 to 100", c.MaxDrop)
	case c.Images < 1:
		return usagef("--images %d: give a number of images above 0", c.Images)
	case c.Batch < 1 || c.Batch > most:
		return usagef("--batch %d: give a number of images from 1 to %d", c.Batch, most)
	case f.source.Random && f.source.Data != "":
		return usagef("--random takes no data set; leave --data out")
	}
	c.MaxDrop = max(c.MaxDrop, 1e-9) // 0 stands for the default in the library
	if f.method != "auto" {
		m, err := quant.ParseMethod(f.method)
		if err != nil {
			return usagef("--method %s is not known; choose auto or one of %s", f.method, strings.Join(methodNames(), ", "))
		}
		c.Method = m
	}
	if f.source.Data != "" {
		if err := knownSource(f.source.Data); err != nil {
			return err
		}
	}
	f.source.DataDir, f.source.Offline = f.files.dir, f.files.offline
	return checkMaxPixels(f.source.MaxPixels)
}

func (f *quantizeFlags) run(ctx context.Context, cmd *cobra.Command, path string) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	path, err := modelPath(path)
	if err != nil {
		return err
	}
	format := weights.Safetensors
	if weights.Named(f.out) == weights.ONNX {
		format = weights.ONNX
	}
	if err := mayWrite([]target{{"out", f.out, format}}, filesOf(path), f.force); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Dir(f.out)); err != nil { // not after minutes of work
		return fmt.Errorf("%s cannot be written: %w; make its folder, or give another name", f.out, err)
	}
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	c, notes, err := inference.LoadAs(path, exchange.ModelConfig{}, dev, engine.FP32)
	if err != nil {
		return asked(cmd, err)
	}
	sayChosen(cmd, path, chosen(c.Info(), notes))
	r, err := f.quantize(ctx, cmd, c)
	if ctx.Err() != nil {
		return errors.New("interrupted: no model was written")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := r.Save(f.out); err != nil {
		return err
	}
	out := quantizeResult{Path: f.out, Model: path, Result: r, Device: fmt.Sprintf("%s, %s", dev.Name(), dev.Describe())}
	if out.Bytes, err = bytesOf(f.out); err != nil {
		return err
	}
	if out.ModelBytes, err = bytesOf(filesOf(path)...); err != nil {
		return err
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), out)
	}
	out.show(cmd)
	return nil
}

// quantize finds the images and quantises the net on them.
func (f *quantizeFlags) quantize(ctx context.Context, cmd *cobra.Command, c *inference.Classifier) (*ptq.Result, error) {
	f.source.Progress = showDownloads(cmd.ErrOrStderr())
	images, err := ptq.OpenImages(ctx, c, f.source)
	if err != nil {
		return nil, err
	}
	for _, n := range images.Notes {
		fmt.Fprintln(cmd.ErrOrStderr(), oneLine(n))
	}
	f.config.Progress = showStages(cmd.ErrOrStderr())
	return ptq.Quantise(ctx, c, images, f.config)
}

// bytesOf returns the size of files.
func bytesOf(paths ...string) (sum int64, err error) {
	for _, path := range paths {
		st, err := os.Stat(path)
		if err != nil {
			return 0, err
		}
		sum += st.Size()
	}
	return sum, nil
}

// show prints the table of layers and what changed.
func (r *quantizeResult) show(cmd *cobra.Command) {
	columns := report.Columns(cmd.OutOrStdout())
	layers := report.NewTable(report.Column{Title: "layer"}, right("input up to"), right("error"), report.Column{Title: "computes in"}, right("before"), right("after"))
	count := 0
	for _, l := range r.Layers {
		in, high := "bf16: "+l.Why, ""
		if l.Quantised {
			in = "int8"
			count++
		}
		if l.High > 0 {
			high = fmt.Sprintf("%.4g", float64(l.High))
			if l.High < l.Seen {
				high += fmt.Sprintf(" of %.4g", float64(l.Seen))
			}
		}
		layers.Row(l.Layer, high, shareOf(l.Error), in, milliseconds(l.Before), milliseconds(l.After))
	}
	printf(cmd, "%s\n", layers.Fit(columns))
	states := report.NewTable(report.Column{Title: "precision"}, right("accuracy"), right("loss"), right("file"), right("one image"), right("images/s"))
	for i, s := range r.States {
		size := ""
		switch i {
		case 0:
			size = report.Bytes(r.ModelBytes)
		case len(r.States) - 1:
			size = report.Bytes(r.Bytes)
		}
		states.Row(s.Precision, decimals(s.Accuracy), decimals(s.Loss), size, fmt.Sprintf("%.2f ms", float64(s.Latency)), rate(float64(s.ImagesPerSecond)))
	}
	printf(cmd, "%s\n", states.Fit(columns))
	var tried []string
	for _, m := range r.Methods {
		tried = append(tried, fmt.Sprintf("%s %s", m.Method, shareOf(&m.Error)))
	}
	printf(cmd, "calibrated on %s of %s by %s (error of the outputs: %s)\n", plural(r.Images, "image"), r.Data, r.Method, strings.Join(tried, ", "))
	if r.Random {
		printf(cmd, "random images are unlike those that the model is for; calibrate on such images before you use the model\n")
	}
	lost := ""
	if r.Drop != nil {
		lost = fmt.Sprintf(", %.2f points of accuracy lost", max(0, float64(*r.Drop)))
	}
	printf(cmd, "%s: %d of %s in int8, %s of %s%s\nuse it: residual predict %s IMAGE\n",
		r.Path, count, plural(len(r.Layers), "layer"), report.Bytes(r.Bytes), report.Bytes(r.ModelBytes), lost, shell.Quote(r.Path))
}

// shareOf shows an error as a percentage.
func shareOf(v *number.Float) string {
	if v == nil {
		return ""
	}
	return fmt.Sprintf("%.2f%%", 100*float64(*v))
}

func milliseconds(v *number.Float) string {
	if v == nil {
		return ""
	}
	return fmt.Sprintf("%.3f ms", float64(*v))
}

func decimals(v *number.Float) string {
	if v == nil {
		return ""
	}
	return fmt.Sprintf("%.4f", float64(*v))
}
