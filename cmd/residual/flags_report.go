package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/internal/host"
	"github.com/residual-ml/residual/internal/shell"
	"github.com/residual-ml/residual/judge"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/report/page"
)

// reportFlags say where the report goes, if there is one.
type reportFlags struct {
	path string
	none bool
}

func (f *reportFlags) addNone(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.none, "no-report", false, "write no report.html")
}

func (f *reportFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.path, "report", "", "file of the report, one HTML page (default: report.html beside the model, or report-MODEL-DATA.html)")
	_ = cmd.MarkFlagFilename("report", "html")
	f.addNone(cmd)
}

// check refuses what cannot be, and files that are no reports, before any work.
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

// machine is what a report says of where it was measured.
func machine(device string) []page.Fact {
	facts := []page.Fact{{Name: "processor", Value: host.CPU()}}
	if total := host.ReadMemory().Total; total > 0 {
		facts = append(facts, page.Fact{Name: "memory", Value: report.Bytes(total)})
	}
	return append(facts, page.Fact{Name: "system", Value: runtime.GOOS + "/" + runtime.GOARCH}, page.Fact{Name: "computed by", Value: device})
}

// writeReport makes the report of a judgement and returns the time it took.
func writeReport(ctx context.Context, path string, j *judge.Judgement, s judge.Source) (time.Duration, error) {
	start := time.Now()
	p, err := j.Report(ctx, s)
	if err != nil {
		return 0, err
	}
	return time.Since(start), judge.Write(path, p)
}

// evaluated writes the report of an evaluation and notes it in r. Where nobody named
// its file, what goes wrong is said, and is no failure: what was asked for is there.
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

// trained measures the best model of a run once more, in its own file, and writes the
// report beside it: its path, nil where there is none, and a line about it. The run is
// whole without it: what goes wrong is said with the result, and is no failure.
func (f *reportFlags) trained(ctx context.Context, stderr io.Writer, dev engine.Device, m measuring, best string, test data.Dataset) (written *string, line string) {
	if f.none || best == "" || test == nil {
		return nil, ""
	}
	start := time.Now()
	runtime.GC() // what trained is done with, and its memory serves again
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

// measuring is how a model is measured, and the device in words.
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
	return path, c.Info().Epoch, err
}
