package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data/lines"
	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/internal/regular"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/train/settings"
)

// predictFlags are the settings of predict.
type predictFlags struct {
	device    deviceFlags
	images    imageFlags
	views     viewFlags
	top       int
	threshold float64
	format    string
	out       string
	cam       string
	maxPixels int64
	json      bool

	computed string // the precision, once the device is open

	// Of the model, once it is open: what it answers with, and how many classes are shown.
	task  task.Task
	count int
}

func predictCommand() *cobra.Command {
	var f predictFlags
	cmd := &cobra.Command{
		Use:   "predict MODEL PATH...",
		Short: "Classify images with a trained model",
		Long: `Classify images with a trained model, and print the most probable classes of each with
their probabilities, or the labels or values that the model answers with. A PATH is an image; or a folder, of which every image at any depth is
taken; or a pattern in quotes, such as 'photos/**/*.jpg'; or - for a list of paths on
standard input, one on each line.

Images are JPEG, PNG, GIF, WebP, BMP or TIFF files, of any size, turned upright as their
EXIF data say, the first frame or page counts; they are prepared as the training's
images were. An image that cannot be read, such as HEIC, which must be converted, gets a
line on stderr and the exit status is 1, the others are answered. MODEL may be an
ONNX file; flags give what a file of another program does not say, as for residual import.

--format csv has the columns path, class and probability, with --top 2 and more also
class_2, probability_2 and so on, and error; for labels the labels and the probability
of each, and for values a column for each; jsonl has one object on each line. Answers are
written as they come, in the order of the paths; a file of --out appears when all are
in it.

--cam writes for every image what in it spoke for the likeliest class, by Grad-CAM:
the image in grey, and over it colours, the lighter the more.

` + viewsHelp + `

What the model file says of classes and images goes unless a flag says otherwise.
` + imagesHelp,
		Example: `  residual predict last shoe.png
  residual predict runs/train-1 photos --format csv --out answers.csv
  residual predict runs/train-1 'photos/**/*.jpg' --top 1 --threshold 0.9
  residual predict runs/train-1 shoe.png --cam heat
  residual predict runs/train-1 photos --tta flip --calibrated
  residual predict runs/train-1 - --format jsonl < list.txt`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usagef("predict takes a model file and at least one image, folder or pattern; `%s --help` has examples", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: completeModelFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			return hearing(ctx, func() error { return f.run(ctx, cmd, args[0], args[1:]) })
		},
	}
	fs := cmd.Flags()
	fs.IntVarP(&f.top, "top", "k", 3, "classes to show, likeliest first")
	fs.Float64Var(&f.threshold, "threshold", 0, "leave out classes less likely than this, from 0 to 1; of a model with labels 0.5 unless it is given")
	fs.StringVar(&f.format, "format", "text", "format of the answers: "+strings.Join(answerFormats, ", "))
	fs.StringVar(&f.out, "out", "", "file for the answers, in place of standard output")
	fs.StringVar(&f.cam, "cam", "", "folder for heat maps of what spoke for the likeliest class")
	takes(fs, "NAME", "format")
	takes(fs, "FILE", "out")
	inGroup(fs, settings.Run, "top", "threshold", "format", "out", "cam")
	common(fs, "top", "threshold", "format", "out", "cam")
	f.views.add(cmd)
	addMaxPixels(cmd, &f.maxPixels)
	f.device.add(cmd)
	f.images.add(cmd, "the file's")
	fs.BoolVar(&f.json, "json", false, "print the result as JSON: --format json")
	inGroup(fs, settings.Run, "json")
	common(fs, "json")
	_ = cmd.RegisterFlagCompletionFunc("format", words(answerFormats...))
	_ = cmd.MarkFlagDirname("cam")
	return cmd
}

func (f *predictFlags) check(cmd *cobra.Command) error {
	changed := cmd.Flags().Changed
	switch {
	case f.top < 1:
		return usagef("--top %d: give the number of classes to show, at least 1", f.top)
	case !(f.threshold >= 0 && f.threshold <= 1):
		return usagef("--threshold %v: give a probability from 0 to 1", f.threshold)
	case !slices.Contains(answerFormats, f.format):
		return usagef("--format %s is not known; choose %s", f.format, strings.Join(answerFormats, ", "))
	case f.json && changed("format") && f.format != "json":
		return usagef("--json and --format %s: give one of them", f.format)
	case changed("out") && f.out == "":
		return usagef("--out is empty; name a file, or leave the flag out")
	case changed("cam") && f.cam == "":
		return usagef("--cam is empty; name a folder, or leave the flag out")
	}
	if f.json {
		f.format = "json"
	}
	if err := checkMaxPixels(f.maxPixels); err != nil {
		return err
	}
	if err := f.views.check(cmd); err != nil {
		return err
	}
	return f.images.check(cmd)
}

func (f *predictFlags) run(ctx context.Context, cmd *cobra.Command, model string, paths []string) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	_, dev, c, err := f.images.open(cmd, model, &f.device)
	if err != nil {
		return err
	}
	defer dev.Close()
	f.computed = c.Precision().String()
	if err := c.TakesImages(); err != nil {
		return err
	}
	if err := f.suit(cmd, c.Info()); err != nil {
		return err
	}
	if c, err = f.views.of(c); err != nil {
		return err
	}
	bad := 0
	answer := func(w io.Writer) (err error) {
		bad, err = f.answer(ctx, cmd, c, paths, w)
		return err
	}
	if f.out != "" {
		err = checkpoint.WriteFile(f.out, answer)
	} else {
		err = answer(cmd.OutOrStdout())
	}
	switch {
	case ctx.Err() != nil && f.out != "":
		return fmt.Errorf("interrupted: %s was not written", f.out)
	case ctx.Err() != nil:
		return errors.New("interrupted")
	case err == nil && bad > 0:
		return errReported
	}
	return err
}

// answer writes the answers for all paths and returns the number of images without one.
func (f *predictFlags) answer(ctx context.Context, cmd *cobra.Command, c *inference.Classifier, paths []string, w io.Writer) (bad int, err error) {
	out := f.answersFor(c.Info(), w)
	shown, done := f.showImages(cmd)
	stdin := &stdinPaths{r: cmd.InOrStdin()}
	names := photo.Find(stdin.expanded(paths))
	c.Decoding.MaxPixels = f.maxPixels
	err = f.ask(ctx, c, names,
		func(p prediction, likeliest int, err error) error {
			path := p.Image
			if err == nil {
				p.Precision = f.computed
			}
			if err == nil && f.cam != "" && likeliest >= 0 {
				p.CAM, err = writeCAM(ctx, f.cam, path, c, likeliest)
			}
			shown(err == nil)
			if errors.Is(err, regular.ErrKind) {
				err = fmt.Errorf("%w; for a list of paths on standard input, give -", err)
			}
			if err != nil {
				bad++
				p = prediction{Image: path, Error: imageError(err)}
				fmt.Fprintln(cmd.ErrOrStderr(), "residual:", p.Error)
			}
			return out.add(p)
		})
	done()
	if err == nil { // else the list may still be waited for
		err = stdin.err
	}
	return bad, errors.Join(err, out.end())
}

// stdinPaths replaces the argument - by the lines of standard input.
type stdinPaths struct {
	r    io.Reader
	used bool
	err  error
}

func (s *stdinPaths) expanded(paths []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, path := range paths {
			if path != "-" {
				if !yield(path) {
					return
				}
				continue
			}
			if s.used {
				continue // it can be read once
			}
			s.used = true
			r := lines.NewReader(s.r)
			for {
				line, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					s.err = fmt.Errorf("the list of paths on standard input: %w", err)
					break
				}
				if path := lines.Path(line, isThere); path != "" && !yield(path) {
					return
				}
			}
		}
	}
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return path != "" && err == nil
}

// showImages counts images on a terminal while the answers go elsewhere. shown is called for
// every image, before the line of an error if there is one.
func (f *predictFlags) showImages(cmd *cobra.Command) (shown func(ok bool), done func()) {
	w := cmd.ErrOrStderr()
	if !report.IsTerminal(w) || f.out == "" && report.IsTerminal(cmd.OutOrStdout()) {
		return func(bool) {}, func() {}
	}
	w = direct(w)
	n, start, drawn := 0, time.Now(), time.Now()
	done = func() { fmt.Fprint(w, "\r\x1b[K") }
	return func(ok bool) {
		n++
		now := time.Now()
		switch {
		case !ok:
			done()
		case now.Sub(drawn) > 200*time.Millisecond:
			drawn = now
			fmt.Fprintf(w, "\r\x1b[K%s images, %s images/s", report.Count(int64(n)), rate(float64(n)/now.Sub(start).Seconds()))
		}
	}, done
}
