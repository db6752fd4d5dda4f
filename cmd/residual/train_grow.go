package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/shell"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/study"
	"github.com/residual-ml/residual/train"
)

// openGrowth begins a growth, or opens the one of --resume.
func (f *trainFlags) openGrowth(cmd *cobra.Command, compare bool) (*study.Growth, error) {
	changed := cmd.Flags().Changed
	for _, name := range []string{"budget", "dry-run"} {
		if changed(name) {
			return nil, usagef("--%s: a growth is several trainings, and this is of one; leave the flag out", name)
		}
	}
	if changed("resume") {
		if changed("grow") {
			return nil, usagef("--grow: a growth keeps its settings; go on with `residual study grow --resume %s` alone", shell.Quote(f.resume))
		}
		if err := onlyWithResume(cmd, f.resume, "study-grow-1"); err != nil {
			return nil, err
		}
		g, err := study.OpenGrowth(f.resume)
		if err != nil {
			return nil, fmt.Errorf("--resume: %w", err)
		}
		t := &g.Config.Train
		if changed("data-dir") {
			t.DataDir = f.files.dir
		}
		t.Offline = t.Offline || f.files.offline
		return g, nil
	}
	if changed("blocks") {
		return nil, usagef("--blocks: a growth has the blocks of --grow; leave the flag out")
	}
	c, err := f.given(train.Config{Precision: f.device.precision}, changed)
	if err != nil {
		return nil, err
	}
	if err := f.check(c); err != nil {
		return nil, err
	}
	c = c.Resolved()
	steps, err := study.ParseSteps(c.Model, f.grow)
	if err != nil {
		return nil, usageError{err}
	}
	growth := study.GrowthConfig{Steps: steps, Compare: compare, Train: c}
	if err := growth.Check(); err != nil {
		return nil, usageError{err}
	}
	dev, err := f.device.open()
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	growth.Train.Threads = threadsOf(dev)
	return study.NewGrowth(dev, growth)
}

func (f *trainFlags) runGrowth(ctx context.Context, cmd *cobra.Command, compare bool) error {
	g, err := f.openGrowth(cmd, compare)
	if err != nil {
		return err
	}
	f.device.precision = g.Config.Train.Precision
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	v := newStudyView(cmd, f.plain, f.json)
	defer context.AfterFunc(ctx, v.interrupted)()
	v.printf("%s\n%s\n", g.Dir, f.device.describe(dev))
	r, err := g.Run(ctx, dev, func(w study.GrowthRow, epochs int) {
		v.close()
		v.printf("\n%s: %s of blocks %s, %d epochs\n", w.Training, g.Config.Train.Model, joinInts(w.Blocks), epochs)
		if w.Checked > 0 {
			v.printf("begins with the bits that the step before ended with, in fp32 and in bf16, on %s images\n", report.Count(int64(w.Checked)))
		}
	}, v.training())
	if errors.Is(err, context.Canceled) {
		return v.ended(err, "study grow --resume "+shell.Quote(g.Dir))
	}
	v.close()
	if err != nil {
		return err
	}
	right := func(title string) report.Column { return report.Column{Title: title, Align: report.Right} }
	t := report.NewTable(report.Column{Title: "training"}, right("blocks"), right("parameters"), right("multiply-adds"), right("epochs"), right("in all"), right("train error %"), right("test error %"))
	for _, w := range r.Rows {
		t.Row(w.Training, joinInts(w.Blocks), report.Count(w.Parameters), report.SI(float64(w.MultiplyAdds), ""), fmt.Sprint(len(w.Epochs)),
			report.SI(float64(w.Compute), ""), fmt.Sprintf("%.1f", 100*float64(w.TrainError)), fmt.Sprintf("%.1f", 100*float64(w.TestError)))
	}
	v.table(t)
	for _, line := range r.Findings {
		v.resultf("%s\n", line)
	}
	written, line := f.report.ofGrowth(ctx, cmd, dev, measuring{f.device.on(dev), f.device.describe(dev)}, r)
	if line != "" {
		v.resultf("%s\n", line)
	}
	v.resultf("use it: residual predict %s IMAGE\n", shell.Quote(r.Model))
	if f.json {
		return printJSON(cmd.OutOrStdout(), growthResult{r, written})
	}
	return nil
}

// growthResult is what a growth prints with --json.
type growthResult struct {
	study.GrowthResult
	Report *string `json:"report"` // null where none was written
}

// ofGrowth calls trained for the net that has grown.
func (f *reportFlags) ofGrowth(ctx context.Context, cmd *cobra.Command, dev engine.Device, m measuring, r study.GrowthResult) (written *string, line string) {
	if f.none {
		return nil, ""
	}
	_, test, err := train.Open(ctx, r.Config.Train, showDownloads(cmd.ErrOrStderr()))
	if err != nil {
		return nil, fmt.Sprintf("no report was written (%v); make it with: residual eval %s", oneLine(errorText(err)), shell.Quote(r.Best))
	}
	return f.trained(ctx, cmd.ErrOrStderr(), dev, m, r.Best, test)
}
