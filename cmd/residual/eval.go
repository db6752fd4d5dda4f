package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/judge"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/train/settings"
)

// evalFlags are the settings of eval.
type evalFlags struct {
	device deviceFlags
	images imageFlags
	views  viewFlags
	files  dataFlags
	data   string
	split  string
	batch  int
	pixels int64
	json   bool
	report reportFlags
}

// evalResult is what eval --json prints.
type evalResult struct {
	Model           string              `json:"model"`
	Architecture    string              `json:"architecture"`
	Blocks          []int               `json:"blocks,omitempty"` // where they are not the architecture's own
	Data            string              `json:"data"`
	Split           string              `json:"split"`
	Accuracy        float64             `json:"accuracy"`
	Top5Accuracy    *number.Float       `json:"top5_accuracy"` // null for five classes or fewer
	Loss            float64             `json:"loss"`          // mean cross-entropy
	Count           int                 `json:"count"`
	ImagesPerSecond float64             `json:"images_per_second"`
	Device          string              `json:"device"`
	Precision       string              `json:"precision"`
	Classes         []string            `json:"classes"`
	Confusion       [][]int             `json:"confusion"` // [true class][predicted class]
	PerClass        []report.ClassScore `json:"per_class"`
	Untested        []string            `json:"untested_classes,omitempty"` // those without images, which the accuracy is not of
	Calibration     calibration         `json:"calibration"`
	// Temperature is that of the model's file, and Calibrated is the calibration with it; null
	// where the file has none. Calibration is with it, too, if --calibrated is given.
	Temperature *float64     `json:"temperature"`
	Calibrated  *calibration `json:"calibrated"`
	// Views are those of --tta, and AccuracyWithout is the accuracy without them.
	Views           inference.Views `json:"tta,omitempty"`
	AccuracyWithout *float64        `json:"accuracy_without_tta,omitempty"`
	Report          *string         `json:"report"` // null where none was written
	// RunImages counts the images that the model's run also had, by their content. It is null
	// for a data set with a name, and if there is no record of the run beside the model.
	RunImages *inference.RunCounts `json:"run_images"`

	judgement *judge.Judgement
	own       string            // the data set of its training, by the name Data has
	without   *inference.Result // without --tta; nil unless that is given
}

// calibration compares the confidence of the model with its accuracy.
type calibration struct {
	Confidence    *number.Float `json:"confidence"`     // mean probability of the class it says
	ExpectedError *number.Float `json:"expected_error"` // over 15 bins
	MaximumError  *number.Float `json:"maximum_error"`  // of a bin
}

// calibrationOf returns the calibration of c; all of it is null if no output is a number.
func calibrationOf(c *report.Calibration) (r calibration) {
	if all := c.All(); all.Count > 0 {
		r = calibration{number.Known(all.Confidence()), number.Known(c.ExpectedError()), number.Known(c.MaximumError())}
	}
	return r
}

func evalCommand() *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:   "eval MODEL",
		Short: "Measure a trained model on a data set",
		Long: `Measure a trained model on a data set: accuracy, loss, the confusion matrix, precision,
recall and F1 of every class, and calibration. It takes the test part of the data set that
the model was trained on, unless --data names another. MODEL may be an ONNX file; flags give
what a file of another program does not say, as for residual import.

--data may be a folder or a list of images, as for train: classes are known by
their names, so some may be missing, and one that the model does not know is an
error. Of the images that it was trained on the part is the one that its run held
out, as pictures.csv beside the model has it; of others, all are taken where no
folder or list says which to test on. Images are known by their content: of a folder
that holds some of the run's, wherever they lay then, those it was trained on are left
out, and it is said how many were held out by the run, are new and were left out.

A page with all that is written beside the model: report.html shows the curves of
the training, too, and the mistakes that the model was surest of, with what in the
image spoke for them. It is one file that needs no network. --report names another
place. What is there and is no report is left as it is.

` + viewsHelp + ` Without it the
calibration error with the temperature is said, too. With --tta the accuracy without it is said.

What the model file says of classes and images goes unless a flag says otherwise.
` + imagesHelp,
		Example: `  residual eval last
  residual eval runs/train-1 --data fashion-mnist --data-dir ~/data
  residual eval runs/train-1 --data more-photos/ --report more.html
  residual eval runs/train-1 --tta flip --calibrated
  residual eval runs/train-1 --split train --json`,
		Args:              exactly(1, "a model file"),
		ValidArgsFunction: completeModelFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			return hearing(ctx, func() error { return f.run(ctx, cmd, args[0]) })
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.data, "data", "", "name of the data set, or a folder or list of images (default: the one the model was trained on)")
	fs.StringVar(&f.split, "split", "test", "part of the data set: test or train")
	fs.IntVar(&f.batch, "batch", 128, "images in a batch; the result does not depend on it")
	takes(fs, "NAME|FOLDER", "data")
	takes(fs, "NAME", "split")
	inGroup(fs, settings.Data, "data", "split")
	inGroup(fs, settings.Run, "batch")
	f.views.add(cmd)
	addMaxPixels(cmd, &f.pixels)
	f.report.add(cmd)
	f.files.add(cmd)
	f.device.add(cmd)
	f.images.add(cmd, "the file's")
	jsonFlag(cmd, &f.json)
	common(fs, "data", "split", "report", "no-report", "json")
	_ = cmd.RegisterFlagCompletionFunc("data", dataOrFolder)
	_ = cmd.RegisterFlagCompletionFunc("split", words("test", "train"))
	return cmd
}

func (f *evalFlags) check() error {
	const most = 1024 // a larger batch takes memory and is no faster
	if f.batch < 1 || f.batch > most {
		return usagef("--batch %d: give a number of images from 1 to %d", f.batch, most)
	}
	if f.split != "test" && f.split != "train" {
		return usagef("--split %s is not known; choose test or train", f.split)
	}
	if f.data != "" {
		if err := knownSource(f.data); err != nil {
			return err
		}
	}
	return checkMaxPixels(f.pixels)
}

func (f *evalFlags) run(ctx context.Context, cmd *cobra.Command, path string) error {
	if err := f.check(); err != nil {
		return err
	}
	if err := f.images.check(cmd); err != nil {
		return err
	}
	if err := f.report.check(cmd); err != nil {
		return err
	}
	if err := f.views.check(cmd); err != nil {
		return err
	}
	path, dev, c, err := f.images.open(cmd, path, &f.device)
	if err != nil {
		return err
	}
	defer dev.Close()
	r, err := f.evaluate(ctx, cmd, path, c, dev)
	if ctx.Err() != nil {
		return errors.New("interrupted: nothing was measured to the end")
	}
	if err != nil {
		return err
	}
	took, wrong := f.report.evaluated(ctx, cmd, path, r)
	if of := c.Info().Task.Named(); f.json && of != task.Classes {
		return errors.Join(printJSON(cmd.OutOrStdout(), r.ofTargets(of, c.Info().Names())), wrong)
	}
	if f.json {
		return errors.Join(printJSON(cmd.OutOrStdout(), r), wrong)
	}
	what := "the " + r.Split + " part of " + r.Data
	if r.Split == "whole" {
		what = fmt.Sprintf("all %s images of %s", report.Count(int64(r.Count)), r.Data)
	}
	printf(cmd, "%s (%s) on %s, %s\n\n", path, titleOf(checkpoint.Model{Architecture: r.Architecture, Blocks: r.Blocks}), what, r.Device)
	if c.Info().Task.Named() != task.Classes {
		r.showAnswers(cmd)
		printf(cmd, "%s images/s\n%s", rate(r.ImagesPerSecond), r.runText())
		if r.Report != nil {
			printf(cmd, "%s: all this, in %s\n", *r.Report, report.Duration(took))
		}
		return wrong
	}
	printf(cmd, "%s", report.ConfusionFit(r.Classes, r.Confusion, report.Columns(cmd.OutOrStdout())))
	if r.Top5Accuracy != nil {
		printf(cmd, "top-5 accuracy %.4f\n", *r.Top5Accuracy)
	}
	printf(cmd, "loss %.4f\n", r.Loss)
	if r.AccuracyWithout != nil {
		printf(cmd, "accuracy %.4f with --tta %s, %.4f without\n", r.Accuracy, r.Views, *r.AccuracyWithout)
	}
	printf(cmd, "%s", r.calibrationText(f.views.calibrated))
	printf(cmd, "%s images/s\n", rate(r.ImagesPerSecond))
	printf(cmd, "%s", r.runText())
	if r.Report != nil {
		printf(cmd, "%s: all this and %s as images, in %s\n", *r.Report, plural(len(r.judgement.Mistakes), "mistake"), report.Duration(took))
	}
	return wrong
}

func (f *evalFlags) evaluate(ctx context.Context, cmd *cobra.Command, path string, c *inference.Classifier, dev engine.Device) (*evalResult, error) {
	about := c.Info()
	ds, name, part, counts, err := f.open(ctx, cmd, path, c)
	if err != nil {
		return nil, err
	}
	if err := c.CheckClasses(ds.Info()); err != nil {
		return nil, err
	}
	asked, err := f.views.of(c)
	if err != nil {
		return nil, err
	}
	shown := showCount(cmd.ErrOrStderr())
	got, err := judge.Examine(ctx, asked, ds, judge.Config{Loader: data.LoaderConfig{Batch: f.batch}, Progress: shown})
	if err != nil {
		return nil, err
	}
	var without *inference.Result
	if f.views.views != "" {
		plain, err := c.Evaluate(ctx, ds, data.LoaderConfig{Batch: f.batch}, shown)
		if err != nil {
			return nil, err
		}
		without = &plain
	}
	own := about.Dataset
	if f.data == "" {
		own = name
	}
	r := &evalResult{
		own: own, Model: path, Architecture: about.Architecture, Blocks: about.Blocks, Data: name, Split: part,
		Accuracy: got.Accuracy, Top5Accuracy: number.Known(got.Top5Accuracy()), Loss: got.Loss, Count: got.Count, ImagesPerSecond: got.ImagesPerSecond,
		Device: describeIn(dev, c.Precision()), Precision: c.Precision().String(), Classes: about.Classes, Confusion: got.Confusion,
		PerClass: got.Scores, Untested: report.Unmet(got.Scores), judgement: got, RunImages: counts,
		Calibration: calibrationOf(&got.Calibration), Views: inference.Views(f.views.views), without: without,
	}
	if got.Fitted != nil {
		fitted := calibrationOf(got.Fitted)
		r.Temperature, r.Calibrated = &about.Temperature[0], &fitted
	}
	if without != nil && about.Task.Named() == task.Classes {
		r.AccuracyWithout = &without.Accuracy
	}
	return r, nil
}

// open returns the images to measure on, with the names of the data set and of its part.
func (f *evalFlags) open(ctx context.Context, cmd *cobra.Command, path string, c *inference.Classifier) (ds data.Dataset, name, part string, counts *inference.RunCounts, err error) {
	name, part = cmp.Or(f.data, c.Info().Dataset), f.split
	if name == "" {
		return nil, "", "", nil, usagef("%s does not say what it was trained on; name a data set, or a folder of images, with --data", path)
	}
	if folder.IsPath(name) {
		p, err := c.OpenPhotosBy(ctx, f.data, data.Split(f.split), folder.Options{MaxPixels: f.pixels}, showCount(cmd.ErrOrStderr()))
		if err != nil {
			return nil, "", "", nil, err
		}
		for _, s := range p.Skipped {
			fmt.Fprintf(cmd.ErrOrStderr(), "left out: %s\n", problemLine(s))
		}
		for _, is := range p.Layout {
			if is.Split == data.Split(f.split) && !p.All {
				fmt.Fprintf(cmd.ErrOrStderr(), "measuring on %s (--split %s)\n", is.Name, f.split)
			}
		}
		fmt.Fprint(cmd.ErrOrStderr(), division(p.Path, p.Layout, p.Notes))
		if p.All {
			part = "whole"
		}
		return p, p.Path, part, p.Run, nil
	}
	if err := knownData(name); err != nil {
		if f.data != "" {
			return nil, "", "", nil, err
		}
		return nil, "", "", nil, fmt.Errorf("%s was trained on %q, which is not known here; name one of %s with --data", path, name, strings.Join(dataNames(), ", "))
	}
	ds, err = data.Open(ctx, name, f.files.options(cmd, data.Split(f.split)))
	return ds, name, part, nil, err
}

// calibrationText says how sure the model is, and what the temperature of its file changes.
func (r *evalResult) calibrationText(calibrated bool) string {
	c := r.Calibration
	switch {
	case c.Confidence == nil:
		return ""
	case r.Calibrated == nil:
		return fmt.Sprintf("mean confidence %.4f, expected calibration error %.4f\n", *c.Confidence, *c.ExpectedError)
	case calibrated:
		return fmt.Sprintf("mean confidence %.4f, expected calibration error %.4f (%.4f without the temperature %.3g)\n",
			*c.Confidence, *c.ExpectedError, r.judgement.Raw.ExpectedError(), *r.Temperature)
	}
	return fmt.Sprintf("mean confidence %.4f, expected calibration error %.4f (%.4f with the temperature %.3g: --calibrated)\n",
		*c.Confidence, *c.ExpectedError, *r.Calibrated.ExpectedError, *r.Temperature)
}

// runText says which of the images the model's run also had.
func (r *evalResult) runText() string {
	n := r.RunImages
	if n == nil || n.New+n.LeftOut == 0 && (n.HeldOut == 0 || n.TrainedOn == 0) {
		return "" // nothing that the name of the part does not say
	}
	var kinds []string
	for _, k := range []struct {
		count int
		text  string
	}{{n.HeldOut, "held out by its run"}, {n.New, "new to it"}, {n.TrainedOn, "trained on"}} {
		if k.count > 0 {
			kinds = append(kinds, report.Count(int64(k.count))+" "+k.text)
		}
	}
	text := "of the images measured: " + strings.Join(kinds, ", ") + "\n"
	if n.LeftOut > 0 {
		text += "left out: " + plural(n.LeftOut, "image") + " that the model was trained on\n"
	}
	return text
}

// evaluated writes the report of an evaluation and adds its path to r. If its file was not
// named by a flag, an error is printed but is no failure: the result itself is there.
func (f *reportFlags) evaluated(ctx context.Context, cmd *cobra.Command, model string, r *evalResult) (time.Duration, error) {
	if f.none {
		return 0, nil
	}
	path := f.path
	if path == "" {
		path = judge.DefaultPath(model, r.own, r.Data, r.Split)
	}
	took, err := writeReport(ctx, path, r.judgement, judge.Source{Model: model, Data: r.Data, Part: r.Split, Made: time.Now(), Machine: machine(r.Device)})
	switch {
	case ctx.Err() != nil:
		err = errors.New("interrupted: no report was written")
	case err == nil:
		r.Report = &path
		return took, nil
	}
	if f.path == "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "residual:", oneLine(errorText(err)))
		return 0, nil
	}
	return 0, err
}
