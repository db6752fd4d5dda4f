package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/train"
)

// checkFlags are the settings of data check.
type checkFlags struct {
	targets targetFlags
	files   dataFlags
	device  deviceFlags
	model   string
	run     string // folder of a training
	csv     string // file of suspicious labels
	folds   int    // trainings that judge each other's images; 0 means the run's own model
	pixels  int64
	json    bool
}

func dataCheckCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check NAME|FOLDER...",
		Short: "Examine a data set: its files, or your own images",
		Long: `Verify the files of a data set as they lie here, downloading nothing: digests,
sizes, labels, and the mean and std of the pixels. The exit status is 1 when
something is wrong.

Of a folder or a list of your own images it reads every one and names those that
cannot be decoded, that are tiny, that their EXIF data turn upright, copies of each
other and near-duplicates, above all those on both sides of the division into
training and test or in two classes, and classes much smaller than others. The exit
status is 1 when images are broken, lie on both sides or lie in two classes; the
rest is for you to judge.

--model also asks a trained model about every image and lists those whose label is
probably wrong, the least likely first: of the images for which it finds another class
likelier as many as confident learning counts, which judges each class by how sure the
model is of the images labelled with it. --run takes the best model of a training, and
tells the images that it was trained on, where a high loss means that the model could
not be brought to believe the label, from those it was tested on, and from new ones;
without a folder it looks at the run's own. It also says which images are no longer
those that the run had. --suspects writes all of them into a CSV file, whose first
columns are those of a list of images.

A model has often learned the wrong labels that it was trained on. --folds 5 trains
five times as the run did, each time without a fifth of the images, and asks each model
about the images that it has not seen. That takes about five times as long as the run;
the time is estimated before it begins. Nothing of these trainings is kept.`,
		Example: `  residual data check fashion-mnist
  residual data check fashion-mnist --data-dir ~/data --json
  residual data check photos/
  residual data check list.csv --task labels
  residual data check photos/ --model runs/train-1
  residual data check photos/ --run runs/train-1 --suspects wrong.csv
  residual data check photos/ --run runs/train-1 --folds 5`,
		Args:              f.sources,
		ValidArgsFunction: dataOrFolder,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			return hearing(ctx, func() error { return f.check(ctx, cmd, args) })
		},
	}
	addTargets(cmd, &f.targets)
	cmd.Flags().StringVar(&f.model, "model", "", "model file that is asked which labels of a folder are suspicious")
	cmd.Flags().StringVar(&f.run, "run", "", "folder of a training on images, whose best model is asked, and whose parts are told apart")
	cmd.Flags().StringVar(&f.csv, "suspects", "", "file that all suspicious labels are written to, as CSV")
	cmd.Flags().IntVar(&f.folds, "folds", 0, "train as the run did on all folds of the images but one, and judge that one, for each of so many folds")
	fs := cmd.Flags()
	takes(fs, "FILE|RUN", "model")
	takes(fs, "RUN", "run")
	takes(fs, "FILE", "suspects")
	_ = cmd.MarkFlagDirname("run")
	addMaxPixels(cmd, &f.pixels)
	f.files.add(cmd)
	f.device.add(cmd)
	jsonFlag(cmd, &f.json)
	common(fs, "model", "run", "folds", "suspects", "max-pixels", "data-dir", "json")
	return cmd
}

// someSources checks that the arguments are names of data sets, or paths.
func someSources(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("%s takes a folder of images, or the name of a data set: one of %s", cmd.CommandPath(), strings.Join(dataNames(), ", "))
	}
	for _, name := range args {
		if err := knownSource(name); err != nil {
			return err
		}
	}
	return nil
}

// sources checks the arguments. With --run there may be none: the run has its own data.
func (f *checkFlags) sources(cmd *cobra.Command, args []string) error {
	if f.run != "" && len(args) == 0 {
		return nil
	}
	return someSources(cmd, args)
}

// given checks the flags and returns the data sets or folders to examine.
func (f *checkFlags) given(args []string) ([]string, error) {
	if err := checkMaxPixels(f.pixels); err != nil {
		return nil, err
	}
	if f.run != "" {
		var err error
		if f.run, err = checkpoint.FindRun(f.run); err != nil {
			return nil, usagef("--run: %w", err)
		}
	}
	switch {
	case f.folds != 0 && (f.folds < 2 || f.folds > mostFolds):
		return nil, usagef("--folds %d: give a number from 2 to %d, such as 5", f.folds, mostFolds)
	case f.folds != 0 && f.run == "":
		return nil, usagef("--folds trains again as a run did; name the run with --run")
	case f.folds != 0 && len(args) > 1:
		return nil, usagef("--folds is about one folder; give one at a time")
	case f.model != "" && f.run != "":
		return nil, usagef("--model and --run both name a model; give one of them")
	case f.csv != "" && f.model == "" && f.run == "":
		return nil, usagef("--suspects is of what a model finds suspicious; name one with --model or --run")
	case f.csv != "" && len(args) > 1:
		return nil, usagef("--suspects is one file of one folder; give one at a time")
	case f.run != "" && len(args) == 0:
		r, err := train.OpenRun(f.run)
		if err != nil {
			return nil, fmt.Errorf("--run: %w", err)
		}
		if !r.Config.IsPhotos() {
			return nil, usagef("--run %s: is a training on %s, not on images of your own", f.run, r.Config.Data)
		}
		return []string{r.Config.Data}, nil
	}
	return args, nil
}

func (f *checkFlags) check(ctx context.Context, cmd *cobra.Command, args []string) error {
	args, err := f.given(args)
	if err != nil {
		return err
	}
	var all []any
	var problems []error
	for _, name := range args {
		if folder.IsPath(name) {
			r, err := f.photos(ctx, cmd, name)
			if err != nil {
				return err
			}
			all, problems = append(all, r), append(problems, r.problem())
			if !f.json {
				printf(cmd, "%s", r.text(report.Columns(cmd.OutOrStdout())))
			}
			continue
		}
		for flag, given := range map[string]string{"model": f.model, "run": f.run} {
			if given != "" {
				return usagef("--%s is about folders of images; %s is none", flag, name)
			}
		}
		r, err := data.Check(ctx, name, f.files.options(cmd, data.Train))
		if err != nil {
			return err
		}
		all, problems = append(all, r), append(problems, filesProblem(r))
		if !f.json {
			if err := writeCheck(cmd, r); err != nil {
				return err
			}
		}
	}
	if f.json {
		if err := printJSON(cmd.OutOrStdout(), all); err != nil {
			return err
		}
	}
	for _, err := range problems {
		if err != nil {
			return err
		}
	}
	return nil
}

// writeCheck prints the report of one data set.
func writeCheck(cmd *cobra.Command, r *data.Report) error {
	printf(cmd, "%s\n", r.Name)
	t := report.NewTable(report.Column{Title: "file"}, report.Column{Title: "split"}, report.Column{Title: "kind"}, right("count"),
		right("labels"), right("pixel mean"), right("pixel std"), report.Column{Title: "digest"}, report.Column{Title: "found"})
	t.Indent = 2
	for _, f := range r.Files {
		labels, mean, std, digest := "", "", "", "differs"
		if len(f.Histogram) > 0 {
			labels = fmt.Sprintf("%d to %d", f.LabelMin, f.LabelMax)
		}
		if f.PixelStd > 0 {
			mean, std = fmt.Sprintf("%.4f", f.PixelMean), fmt.Sprintf("%.4f", f.PixelStd)
		}
		switch {
		case f.DigestOK:
			digest = "ok"
		case f.MD5 == "":
			digest = "-"
		}
		found := f.Path
		if f.Problem != "" {
			found = strings.TrimSpace(f.Path + " " + f.Problem)
		}
		t.Row(f.File, string(f.Split), f.Kind, report.Count(int64(f.Count)), labels, mean, std, digest, found)
	}
	return t.Write(cmd.OutOrStdout())
}

// filesProblem returns the error for damaged or missing files of a data set; nil if all are good.
func filesProblem(r *data.Report) error {
	bad, first := 0, ""
	for _, f := range r.Files {
		if f.Problem == "" {
			continue
		}
		if bad++; first == "" {
			first = strings.TrimSpace(f.File + " " + f.Problem)
			if f.Path != "" {
				first = f.Path + ": " + f.Problem
			}
		}
	}
	if bad == 1 {
		return fmt.Errorf("%s: %s", r.Name, first)
	}
	if !r.OK {
		return fmt.Errorf("%s: %d of %d files are not good; the first: %s", r.Name, bad, len(r.Files), first)
	}
	return nil
}
