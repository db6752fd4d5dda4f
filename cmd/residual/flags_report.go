package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/internal/host"
	"github.com/residual-ml/residual/internal/shell"
	"github.com/residual-ml/residual/judge"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/report/page"
	"github.com/residual-ml/residual/train/settings"
)

// reportFlags say whether a report is written, and to which file.
type reportFlags struct {
	path string
	none bool
}

func (f *reportFlags) addNone(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.none, "no-report", false, "write no report.html")
	inGroup(cmd.Flags(), settings.Run, "no-report")
}

func (f *reportFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.path, "report", "", "file of the report, one HTML page (default: report.html beside the model, or report-MODEL-DATA.html)")
	_ = cmd.MarkFlagFilename("report", "html")
	inGroup(cmd.Flags(), settings.Run, "report")
	f.addNone(cmd)
}

// check returns an error if the flags contradict each other, or if the report would replace a
// file that is no report.
func (f *reportFlags) check(cmd *cobra.Command) error {
	switch given := cmd.Flags().Changed("report"); {
	case given && f.none:
		return usagef("--report and --no-report: give one of them")
	case given && f.path == "":
		return usagef("--report is empty; name a file, such as report.html")
	case given:
		return judge.Replaceable(f.path)
	}
	return nil
}

// machine describes the machine in a report.
func machine(device string) []page.Fact {
	facts := []page.Fact{{Name: "processor", Value: host.CPU()}}
	if total := host.ReadMemory().Total; total > 0 {
		facts = append(facts, page.Fact{Name: "memory", Value: report.Bytes(total)})
	}
	return append(facts, page.Fact{Name: "system", Value: runtime.GOOS + "/" + runtime.GOARCH}, page.Fact{Name: "computed by", Value: device})
}

// writeReport writes the report of a judgement and returns the time that this took.
func writeReport(ctx context.Context, path string, j *judge.Judgement, s judge.Source) (time.Duration, error) {
	start := time.Now()
	p, err := j.Report(ctx, s)
	if err != nil {
		return 0, err
	}
	return time.Since(start), judge.Write(path, p)
}

// trained measures the best model of a run once more, from its file, and writes the report
// beside it. It returns the path of the report, nil if there is none, and a line about it. The
// run is complete without a report, so an error is only mentioned in that line.
func (f *reportFlags) trained(ctx context.Context, stderr io.Writer, dev engine.Device, m measuring, best string, test data.Dataset) (written *string, line string) {
	if f.none || best == "" || test == nil {
		return nil, ""
	}
	start := time.Now()
	runtime.GC() // the training is over, so its memory can be used again
	path, epoch, err := judgeBest(ctx, stderr, dev, m, best, test)
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	if err != nil {
		return nil, fmt.Sprintf("no report was written (%v); make it with: residual eval %s", oneLine(errorText(err)), shell.Quote(best))
	}
	what := "the classes, calibration and mistakes"
	if of := test.Info().Targets.Task; of != "" {
		what = "the measures of the " + string(of)
	}
	return &path, fmt.Sprintf("%s: the curves, %s of epoch %d on one page, in %s", path, what, epoch, report.Duration(time.Since(start)))
}

// predictionsFile is the picture of predictions in a run folder, written with the report.
const predictionsFile = "predictions.png"

// measuring is the precision in which a model is measured, and a description of the device.
type measuring struct {
	precision engine.Precision
	device    string
}

func judgeBest(ctx context.Context, stderr io.Writer, dev engine.Device, m measuring, best string, test data.Dataset) (path string, epoch int, err error) {
	path = judge.DefaultPath(best, "", "", string(data.Test))
	if err := judge.Replaceable(path); err != nil {
		return "", 0, err
	}
	c, err := inference.Load(best, dev, m.precision)
	if err != nil {
		return "", 0, err
	}
	j, err := judge.Examine(ctx, c, test, judge.Config{Progress: showCount(stderr)})
	if err != nil {
		return "", 0, err
	}
	_, err = writeReport(ctx, path, j, judge.Source{Model: best, Part: string(data.Test), Made: time.Now(), Machine: machine(m.device)})
	if err != nil {
		return "", 0, err
	}
	shown, ok, err := j.Predictions()
	if ok {
		err = checkpoint.WriteFile(filepath.Join(filepath.Dir(best), predictionsFile), shown.WritePNG)
	}
	return path, c.Info().Epoch, err
}
