package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/train/settings"
)

// lrFindFlags are the flags of train that decide what a step is, and those of the range test.
type lrFindFlags struct {
	trainFlags
	test train.LRFind
}

// notOfASearch are the flags of train that have no meaning for a range test.
var notOfASearch = []string{"lr", "schedule", "epochs", "grow", "resume", "plain", "dry-run", "budget", "ema", "metric", "patience", "progressive", "eval-size"}

func lrFindCommand() *cobra.Command {
	var f lrFindFlags
	cmd := &cobra.Command{
		Use:   "lr-find",
		Short: "Find a learning rate by a range test",
		Long: `Find a learning rate by a range test (Smith 2017): train for some steps while the rate
rises exponentially, and watch the loss. It falls where the rate is right and rises
where it is too large; the test ends when it is four times what it was at its least.

The model, the data and what makes a step are given by the same flags as to train, and
the first weights are the same, --weights included. What was trained is thrown away: a
numbered folder with the curve as PNG, SVG and CSV is all that is left.

The rate suggested goes by the lowest place of the loss: with sgd it is twice the rate
there, with adamw a tenth. What comes after that place is not looked at. The loss is smoothed by a mean over the
steps before and after, which does not lag behind the rate. The rates of the lowest place
and of the steepest one before it are said beside it. Look at the curve: where it is flat
or jumps, no rule is of use.`,
		Example: `  residual lr-find --data garments
  residual lr-find --data garments --optimizer adamw --weight-decay 0.01 --to 1
  residual lr-find --model resnet18 --weights resnet18.pth --freeze backbone --json`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			return hearing(ctx, func() error { return f.run(ctx, cmd) })
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.Float64Var(&f.test.From, "from", 1e-4, "rate of the first step")
	fs.Float64Var(&f.test.To, "to", 10, "rate of the last step")
	fs.IntVar(&f.test.Steps, "steps", 100, "steps from the one to the other")
	fs.Float64Var(&f.test.Diverged, "diverged", 4, "end where the smoothed loss is so many times what it was at its least")
	inGroup(fs, settings.Run, "from", "to", "steps", "diverged")
	common(fs, "from", "to", "steps")
	all := &cobra.Command{Use: "train"}
	f.add(all)
	f.cmd = cmd
	all.Flags().VisitAll(func(flag *pflag.Flag) {
		if !slices.Contains(notOfASearch, flag.Name) {
			fs.AddFlag(flag)
		}
	})
	return cmd
}

// lrFindResult is what lr-find --json prints. A rate that its rule did not find is null.
type lrFindResult struct {
	train.LRCurve
	Suggested *float32 `json:"suggested"`
	Device    string   `json:"device"`
	Seconds   float64  `json:"seconds"`
	Dir       string   `json:"dir"`
}

func (f *lrFindFlags) run(ctx context.Context, cmd *cobra.Command) error {
	changed := cmd.Flags().Changed
	c, err := f.given(train.Config{Precision: f.device.precision}, changed)
	if err != nil {
		return err
	}
	for name, zero := range map[string]bool{"from": f.test.From == 0, "to": f.test.To == 0, "steps": f.test.Steps == 0, "diverged": f.test.Diverged == 0} {
		if zero {
			return usagef("--%s 0: must be above 0; leave the flag out for the default", name)
		}
	}
	if err := f.test.Check(); err != nil {
		return usageError{err}
	}
	if err := f.check(c); err != nil {
		return err
	}
	f.device.precision = c.Precision
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	c.Threads = threadsOf(dev)
	v := &lrFindView{test: f.test, device: f.device.describe(dev), w: cmd.ErrOrStderr(), out: cmd.OutOrStdout()}
	if f.json {
		v.out = v.w
	}
	v.lines = newSeldom(report.IsTerminal(v.w), time.Now)
	begun := time.Now()
	curve, err := train.FindLR(ctx, dev, c, f.test, train.Callbacks{OnData: showDownloads(cmd.ErrOrStderr()), OnStart: v.start, OnBatch: v.step})
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; nothing was written")
	}
	if err != nil {
		return memoryHint(err)
	}
	r := lrFindResult{LRCurve: curve, Device: v.device, Seconds: time.Since(begun).Seconds()}
	if curve.Suggested > 0 {
		r.Suggested = &curve.LRCurve.Suggested
	}
	if r.Dir, err = writeRates(c.Resolved().Out, curve); err != nil {
		return err
	}
	v.result(r)
	if f.json {
		return printJSON(cmd.OutOrStdout(), r)
	}
	return nil
}

// rates returns the curve for drawing.
func rates(c train.LRCurve) report.Rates {
	r := report.Rates{Mark: float64(c.Suggested)}
	for _, p := range c.Points {
		r.Points = append(r.Points, report.Point{X: float64(p.LR), Y: p.Smooth})
	}
	return r
}

// writeRates writes the curve into a new numbered folder.
func writeRates(out string, c train.LRCurve) (dir string, err error) {
	folder, err := checkpoint.NewRun(out, "lr-find")
	if err != nil {
		return "", err
	}
	figure := rates(c).Figure()
	for name, write := range map[string]func(io.Writer) error{
		"lr-find.png": figure.WritePNG, "lr-find.svg": figure.WriteSVG, "lr-find.csv": func(w io.Writer) error { return ratesCSV(w, c) },
	} {
		if err := checkpoint.WriteFile(folder.Path(name), write); err != nil {
			return "", err
		}
	}
	return folder.Dir, nil
}

func ratesCSV(w io.Writer, c train.LRCurve) error {
	table := csv.NewWriter(w)
	rows := [][]string{{"step", "lr", "loss", "smoothed_loss"}}
	for _, p := range c.Points {
		rows = append(rows, []string{
			strconv.Itoa(p.Step), strconv.FormatFloat(float64(p.LR), 'g', -1, 32), strconv.FormatFloat(p.Loss, 'g', -1, 64), strconv.FormatFloat(p.Smooth, 'g', -1, 64),
		})
	}
	return table.WriteAll(rows)
}

// lrFindView shows the progress and the result of a range test.
type lrFindView struct {
	test   train.LRFind
	device string
	w      io.Writer // of what goes on: standard error
	out    io.Writer // of the result: standard output, and standard error beside JSON
	lines  *seldom
}

func (v *lrFindView) start(s train.Start) {
	c := s.Config
	say(v.w, "%s, %s parameters, on %s: %s images, %dx%d\n",
		models.Title(c.Model, c.Blocks), report.Count(s.Parameters), c.Data, report.Count(int64(s.Images)), c.Resize, c.Resize)
	say(v.w, "lr from %g to %g in %d steps, batches of %d, %s, seed %d\n", v.test.From, v.test.To, v.test.Steps, c.Batch, c.Optimizer, c.Seed)
	for _, line := range append([]string{optimisation(c)}, s.Changes...) {
		if line != "" {
			say(v.w, "%s\n", line)
		}
	}
	say(v.w, "%s; %s of memory planned%s\n\n", v.device, report.Bytes(s.PlannedBytes), recomputing(c.Recompute))
}

func (v *lrFindView) step(s train.BatchEvent) {
	tenth := s.Batch%max(v.test.Steps/10, 1) == 0
	if (tenth || !v.lines.live) && v.lines.due() {
		say(v.w, "step %d of %d: lr %.2g, loss %.3f\n", s.Batch, v.test.Steps, s.LR, s.Loss)
	}
}

func (v *lrFindView) result(r lrFindResult) {
	columns, rows := report.TerminalSize(v.out)
	columns = cmp.Or(report.Columns(v.out), columns)
	fmt.Fprintf(direct(v.out), "\n%s\n\n", rates(r.LRCurve).Terminal(min(columns, 100), min(rows-2, 20), report.UseColor(v.out)))
	if r.Diverged {
		say(v.out, "ended after %d of %d steps, as the loss rose\n", len(r.Points), v.test.Steps)
	}
	if r.Suggested == nil {
		say(v.out, "the loss fell no more than by chance, so there is nothing to suggest; look at other rates (--from, --to) or more steps (--steps)\n")
	} else {
		say(v.out, "suggested: --lr %.2g; the loss is lowest at %.2g and falls fastest at %.2g\n", *r.Suggested, r.Lowest, r.Steepest)
	}
	say(v.out, "%s: lr-find.png, lr-find.svg, lr-find.csv\n", filepath.Clean(r.Dir))
}
