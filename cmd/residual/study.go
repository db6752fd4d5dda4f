package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/train"
)

func studyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "study",
		Short: "Run experiments on what residual networks are said to do",
		Long: `Run experiments on what residual networks are said to do. Each leaves a numbered run
folder with its table as CSV and JSON and its figure as PNG and SVG, can be
interrupted or killed, and goes on with --resume, to the same numbers.`,
		Example: `  residual study depth
  residual study blocks runs/train-1
  residual study grow --model cifar-resnet8 --grow 8,14,20 --data garments`,
		Args: cobra.ArbitraryArgs,
		RunE: group,
	}
	cmd.AddCommand(studyDepthCommand(), studyBlocksCommand(), studyGrowCommand())
	return cmd
}

// studyView shows trainings one after the other.
type studyView struct {
	w        io.Writer // of what goes on: standard error
	out      io.Writer // of the result: standard output, and standard error beside JSON
	plain    bool
	progress *report.Progress
}

func newStudyView(cmd *cobra.Command, plain, json bool) *studyView {
	v := &studyView{w: cmd.ErrOrStderr(), out: cmd.OutOrStdout(), plain: plain}
	if json {
		v.out = v.w
	}
	return v
}

// printf tells what goes on, and resultf what came out.
func (v *studyView) printf(format string, args ...any)  { say(v.w, format, args...) }
func (v *studyView) resultf(format string, args ...any) { say(v.out, format, args...) }

// table prints a table of the result in the width of the terminal, with blank lines around it.
func (v *studyView) table(t *report.Table) {
	v.resultf("\n%s\n", t.Fit(report.Columns(v.out)))
}

// training shows one training: a bar on a terminal, elsewhere a line an epoch.
func (v *studyView) training() train.Callbacks {
	return train.Callbacks{
		OnData: showDownloads(v.w),
		OnStart: func(s train.Start) {
			v.close()
			v.progress = report.NewProgress(direct(v.w), report.ProgressOptions{Plain: v.plain, Epochs: s.Config.Epochs, BatchesPerEpoch: s.Batches})
			if s.Past != nil {
				v.printf("goes on after epoch %d\n", s.Past.Epochs)
			}
		},
		OnStep: func(s train.Step) {
			v.progress.Step(report.StepInfo{Epoch: s.Epoch, Batch: s.Batch, Loss: s.Loss, Acc: s.Accuracy, ImagesPerSecond: s.ImagesPerSecond})
		},
		OnEpoch: func(e train.Epoch) {
			v.progress.EpochEnd(report.EpochInfo{
				Epoch: e.Epoch, TrainLoss: e.Loss, TrainAcc: e.Accuracy, TestAcc: e.TestAccuracy, ImagesPerSecond: e.ImagesPerSecond, Elapsed: e.Elapsed,
			})
		},
	}
}

func (v *studyView) close() {
	if v.progress != nil {
		v.progress.Close()
		v.progress = nil
	}
}

// interrupted tells of the first Ctrl-C.
func (v *studyView) interrupted() {
	say(v.w, "%s\n", "finishing the step; Ctrl-C again quits at once")
}

// ended says how a study that was stopped goes on; other errors it hands on.
func (v *studyView) ended(err error, again string) error {
	v.close()
	if !errors.Is(err, context.Canceled) {
		return err
	}
	v.printf("stopped; go on with: residual %s\n", again)
	return errReported
}

// about spells a time that was estimated.
func about(d time.Duration) string { return "about " + report.Duration(d.Round(time.Second)) }

// onlyWithResume refuses flags that would change a study that was begun.
func onlyWithResume(cmd *cobra.Command, folder, example string) error {
	if folder == "" {
		return usagef("--resume is empty; give the folder of a study, such as runs/%s", example)
	}
	free := []string{"resume", "data-dir", "offline", "workers", "threads", "kernels", "device", "plain", "json"}
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if err == nil && !slices.Contains(free, f.Name) {
			err = usagef("--%s: %s has settings of its own, which --resume keeps; leave the flag out, or start a new study", f.Name, folder)
		}
	})
	return err
}
