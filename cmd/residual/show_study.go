package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/internal/shell"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/study"
	"github.com/residual-ml/residual/train"
)

// studyView shows the trainings of a study one after the other, and its result.
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

// printf writes progress, and resultf the result.
func (v *studyView) printf(format string, args ...any) { say(v.w, format, args...) }

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

// interrupted answers the first Ctrl-C.
func (v *studyView) interrupted() {
	say(v.w, "%s\n", "finishing the step; Ctrl-C again quits at once")
}

// ended says how to resume a study that was interrupted. It returns any other error as it is.
func (v *studyView) ended(err error, again string) error {
	v.close()
	if !errors.Is(err, context.Canceled) {
		return err
	}
	v.printf("stopped; go on with: residual %s\n", again)
	return errReported
}

// showChanged prints the table of a net before and after its change.
func showChanged(v *studyView, r study.ChangedResult, speed bool) {
	columns := []report.Column{{Title: "net"}, right("blocks"), right("parameters"), right("multiply-adds"), right("loss"), right("accuracy")}
	if speed {
		columns = append(columns, right("images/s"))
	}
	t := report.NewTable(columns...)
	for _, w := range r.Rows {
		cells := []string{w.State, joinInts(w.Blocks), report.Count(w.Parameters), report.Count(w.MultiplyAdds),
			fmt.Sprintf("%.4f", float64(w.Loss)), fmt.Sprintf("%.4f", float64(w.Accuracy))}
		if speed {
			cells = append(cells, rate(float64(w.ImagesPerSecond)))
		}
		t.Row(cells...)
	}
	v.table(t)
	v.resultf("use it: residual predict %s IMAGE\n", shell.Quote(r.Model))
}
