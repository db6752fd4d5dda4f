package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/judge"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/report"
)

// evalFlags are the settings of eval.
type evalFlags struct {
	device deviceFlags
	files  dataFlags
	data   string
	split  string
	batch  int
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
	Loss            number              `json:"loss"` // mean cross-entropy
	Count           int                 `json:"count"`
	ImagesPerSecond float64             `json:"images_per_second"`
	Device          string              `json:"device"`
	Classes         []string            `json:"classes"`
	Confusion       [][]int             `json:"confusion"` // [true class][predicted class]
	PerClass        []report.ClassScore `json:"per_class"`
	Calibration     calibration         `json:"calibration"`
	Report          *string             `json:"report"` // null where none was written

	judgement *judge.Judgement
	own       string // the data set of its training, by the name Data has
}

// calibration is how sure the model is, beside how right it is.
type calibration struct {
	Confidence    float64 `json:"confidence"`     // mean probability of the class it says
	ExpectedError float64 `json:"expected_error"` // over 15 bins
	MaximumError  float64 `json:"maximum_error"`  // of a bin
}

func evalCommand() *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:   "eval MODEL",
		Short: "Measure a trained model on a data set",
		Long: `Measure a trained model on a data set: accuracy, loss, the confusion matrix, and
precision, recall and F1 of every class, and whether it is as sure as it is right.
The data set is the one the model was trained on unless --data names another, the
part of it that was held back. MODEL may be an ONNX file that residual export wrote.

--data may be a folder or a list of pictures, as for train: classes are known by
their names, so some may be missing, and one that the model does not know is an
error. Of the pictures that it was trained on the part is the one that its run held
out, as pictures.csv beside the model has it; of others, all are taken where no
folder or list says which to test on.

A page with all that is written beside the model: report.html shows the curves of
the training, too, and the mistakes that the model was surest of, with what in the
picture spoke for them. It is one file that needs no network. --report names another
place. What is there and is no report is left as it is.`,
		Example: `  residual eval runs/train-1/best.safetensors
  residual eval runs/train-1/best.safetensors --data fashion-mnist --data-dir ~/data
  residual eval runs/train-1/best.safetensors --data more-photos/ --report more.html
  residual eval runs/train-1/best.safetensors --split train --json`,
		Args:              exactly(1, "a model file"),
		ValidArgsFunction: completeModelFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			return f.run(ctx, cmd, args[0])
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.data, "data", "", "name of the data set, or a folder or list of pictures (default: the one the model was trained on)")
	fs.StringVar(&f.split, "split", "test", "part of the data set: test or train")
	fs.IntVar(&f.batch, "batch", 128, "images in a batch; the result does not depend on it")
	f.report.add(cmd)
	f.files.add(cmd)
	f.device.add(cmd)
	jsonFlag(cmd, &f.json)
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
		return knownSource(f.data)
	}
	return nil
}

func (f *evalFlags) run(ctx context.Context, cmd *cobra.Command, path string) error {
	if err := f.check(); err != nil {
		return err
	}
	if err := f.report.check(cmd); err != nil {
		return err
	}
	dev, err := f.device.openSaying(cmd)
	if err != nil {
		return err
	}
	defer dev.Close()
	c, err := loadClassifier(path, dev, f.device.on(dev))
	if err != nil {
		return err
	}
	r, err := f.evaluate(ctx, cmd, path, c, dev)
	if ctx.Err() != nil {
		return errors.New("interrupted: nothing was measured to the end")
	}
	if err != nil {
		return err
	}
	took, wrong := f.report.evaluated(ctx, cmd, path, r)
	if f.json {
		return errors.Join(printJSON(cmd.OutOrStdout(), r), wrong)
	}
	what := "the " + r.Split + " part of " + r.Data
	if r.Split == "whole" {
		what = fmt.Sprintf("all %s pictures of %s", report.Count(int64(r.Count)), r.Data)
	}
	printf(cmd, "%s (%s) on %s, %s\n\n", path, models.Title(r.Architecture, r.Blocks), what, r.Device)
	printf(cmd, "%s", report.ConfusionText(r.Classes, r.Confusion))
	printf(cmd, "loss %.4f\n", float64(r.Loss))
	printf(cmd, "mean confidence %.4f, expected calibration error %.4f\n", r.Calibration.Confidence, r.Calibration.ExpectedError)
	printf(cmd, "%s images/s\n", rate(r.ImagesPerSecond))
	if r.Report != nil {
		printf(cmd, "%s: all this and %s as pictures, in %s\n", *r.Report, plural(len(r.judgement.Mistakes), "mistake"), report.Duration(took))
	}
	return wrong
}

func (f *evalFlags) evaluate(ctx context.Context, cmd *cobra.Command, path string, c *inference.Classifier, dev engine.Device) (*evalResult, error) {
	about := c.Info()
	ds, name, part, err := f.open(ctx, cmd, path, c)
	if err != nil {
		return nil, err
	}
	if err := sameClasses(path, about.Classes, ds.Info()); err != nil {
		return nil, err
	}
	shown := showCount(cmd.ErrOrStderr())
	got, err := judge.Examine(ctx, c, ds, judge.Config{Loader: data.LoaderConfig{Batch: f.batch}, Progress: shown})
	if err != nil {
		return nil, err
	}
	own := about.Dataset
	if f.data == "" {
		own = name
	}
	return &evalResult{
		own: own, Model: path, Architecture: about.Architecture, Blocks: about.Blocks, Data: name, Split: part,
		Accuracy: got.Accuracy, Loss: number(got.Loss), Count: got.Count, ImagesPerSecond: got.ImagesPerSecond,
		Device: f.device.describe(dev), Classes: about.Classes, Confusion: got.Confusion,
		PerClass: got.Scores, judgement: got,
		Calibration: calibration{got.Calibration.All().Confidence(), got.Calibration.ExpectedError(), got.Calibration.MaximumError()},
	}, nil
}

// open returns the part of the data set to measure on, and what to call the two.
func (f *evalFlags) open(ctx context.Context, cmd *cobra.Command, path string, c *inference.Classifier) (ds data.Dataset, name, part string, err error) {
	name, part = cmp.Or(f.data, c.Info().Dataset), f.split
	if name == "" {
		return nil, "", "", usagef("%s does not say what it was trained on; name a data set, or a folder of pictures, with --data", path)
	}
	if folder.IsPath(name) {
		p, err := c.OpenPhotos(ctx, f.data, data.Split(f.split), showCount(cmd.ErrOrStderr()))
		if err != nil {
			return nil, "", "", err
		}
		for _, s := range p.Skipped {
			fmt.Fprintf(cmd.ErrOrStderr(), "left out: %s\n", oneLine(s.Error))
		}
		if p.All {
			part = "whole"
		}
		return p, p.Path, part, nil
	}
	if err := knownData(name); err != nil {
		if f.data != "" {
			return nil, "", "", err
		}
		return nil, "", "", fmt.Errorf("%s was trained on %q, which is not known here; name one of %s with --data", path, name, strings.Join(dataNames(), ", "))
	}
	ds, err = data.Open(ctx, name, f.files.options(cmd, data.Split(f.split)))
	return ds, name, part, err
}

// sameClasses refuses a data set whose classes are others than the model's; how
// many there are, inference checks.
func sameClasses(path string, classes []string, info data.Info) error {
	if len(classes) != len(info.Classes) {
		return nil
	}
	for i, class := range classes {
		if class != info.Classes[i] {
			return fmt.Errorf("%s calls class %d %q, and %s calls it %q; choose the data set it was trained on with --data",
				path, i, class, info.Name, info.Classes[i])
		}
	}
	return nil
}

// showCount keeps a terminal informed; elsewhere it is silent.
func showCount(w io.Writer) func(done, total int) {
	if !report.IsTerminal(w) {
		return nil
	}
	w = direct(w)
	return func(done, total int) {
		fmt.Fprintf(w, "\r%s of %s images", report.Count(int64(done)), report.Count(int64(total)))
		if done >= total {
			fmt.Fprint(w, "\r\x1b[K")
		}
	}
}

// number is a figure that may be no number: JSON has no word for those, so they
// are the strings NaN, +Inf and -Inf.
type number float64

// MarshalJSON implements json.Marshaler.
func (n number) MarshalJSON() ([]byte, error) {
	if v := float64(n); math.IsNaN(v) || math.IsInf(v, 0) {
		return json.Marshal(fmt.Sprint(v))
	}
	return json.Marshal(float64(n))
}
