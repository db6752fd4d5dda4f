package main

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/internal/shell"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/study"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/train/settings"
)

// depthFlags are the settings of study depth.
type depthFlags struct {
	config study.DepthConfig
	device deviceFlags
	files  dataFlags
	full   bool
	resume string
	plain  bool
	json   bool
}

func studyDepthCommand() *cobra.Command {
	var f depthFlags
	cmd := &cobra.Command{
		Use:   "depth",
		Short: "Compare plain and residual nets over depth",
		Long: `Compare plain and residual nets over depth, as He et al. 2015 do: nets for CIFAR of
6n+2 layers with 16, 32 and 64 channels, trained alike from the same seeds. The plain
net is the residual one minus its additions, and has the same parameters; preact is
the form that activates before it convolves (He et al. 2016).

Before it starts it measures a step of every net and says what it will take, in time
and in memory. A net whose activations would take more than 1 GiB computes them again
for the gradients, at the same result.

The table holds the errors at the end and the norm of the gradient that reaches the
first layer, by net, as mean, least and most over the seeds; epochs.csv holds every
epoch of every training. Training errors are means over an epoch, as the net changes.

--full is the study at length: depths 8, 20, 32, 56, 110, three seeds, all images at
28x28, 10 epochs in batches of 128. Flags that are given win over it.`,
		Example: `  residual study depth
  residual study depth --depths 8,20,32,56,110 --kinds plain,residual,preact --seeds 3
  residual study depth --data garments --depths 8,14 --seeds 1 --epochs 2
  residual study depth --depths 1202 --kinds preact --seeds 1
  residual study depth --resume runs/study-depth-1`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			return f.run(ctx, cmd)
		},
	}
	f.add(cmd)
	return cmd
}

// depthSettings returns the settings of train that a study of depth has, too.
func depthSettings() []settings.Setting {
	return settingRows("Data", "TrainSize", "TestSize", "Resize", "Epochs", "Batch", "LR", "Momentum", "WeightDecay", "Schedule", "Init", "Workers", "Out")
}

// depthWords has the helps that differ from those of train.
var depthWords = map[string]string{
	"Data":        "data set; the command data list lists them",
	"TrainSize":   "train on this many images, or on all where there are fewer",
	"TestSize":    "test on this many images, or on all where there are fewer",
	"Epochs":      "epochs of each training",
	"Batch":       "images in a batch",
	"Momentum":    "momentum of sgd",
	"WeightDecay": "L2 penalty",
	"Schedule":    "schedule of the learning rate: constant, cosine,warmup=0.05 or step,gamma=0.1,at=0.5,at=0.75",
}

func (f *depthFlags) add(cmd *cobra.Command) {
	fs, c, d := cmd.Flags(), &f.config, study.DepthConfig{}.Resolved()
	t, dt := &c.Train, d.Train
	fs.SortFlags = false
	fs.IntSliceVar(&c.Depths, "depths", d.Depths, "layers of the nets, each 6n+2")
	fs.StringSliceVar(&c.Kinds, "kinds", d.Kinds, "kinds of nets: plain, residual, preact")
	fs.IntVar(&c.Seeds, "seeds", d.Seeds, "trainings of each net, with the seeds 1, 2, ...")
	fs.BoolVar(&f.full, "full", false, "the study at length")
	addSettings(fs, t, dt, depthWords, depthSettings()...)
	fs.StringVar(&f.resume, "resume", "", "go on with the interrupted study in this folder, with its settings")
	fs.BoolVar(&f.plain, "plain", false, "plain lines in place of the bar")
	takes(fs, "RUN", "resume")
	takes(fs, "NAME,...", "kinds")
	inGroup(fs, settings.Model, "depths", "kinds")
	inGroup(fs, settings.Run, "seeds", "full", "resume", "plain")
	common(fs, "depths", "kinds", "seeds", "full", "resume")
	f.files.add(cmd)
	f.device.addTraining(cmd)
	jsonFlag(cmd, &f.json)
	_ = cmd.MarkFlagDirname("out")
	_ = cmd.MarkFlagDirname("resume")
	_ = cmd.RegisterFlagCompletionFunc("data", words(dataNames()...))
	_ = cmd.RegisterFlagCompletionFunc("kinds", words(study.DepthKinds()...))
	_ = cmd.RegisterFlagCompletionFunc("init", words(settings.Of("Init").Range.Words...))
}

// given returns the settings of the defaults or of --full, changed by the flags.
func (f *depthFlags) given(changed func(flag string) bool) (study.DepthConfig, error) {
	c := study.DepthConfig{}
	if f.full {
		c = study.FullDepth()
	}
	c = c.Resolved()
	g, t, gt := f.config, &c.Train, f.config.Train
	for _, own := range []struct {
		flag  string
		value any
		take  func()
	}{
		{"depths", g.Depths, func() { c.Depths = g.Depths }}, {"kinds", g.Kinds, func() { c.Kinds = g.Kinds }}, {"seeds", g.Seeds, func() { c.Seeds = g.Seeds }},
	} {
		if !changed(own.flag) {
			continue
		}
		if err := someValue(own.flag, reflect.ValueOf(own.value)); err != nil {
			return c, err
		}
		own.take()
	}
	err := takeSettings(t, gt, changed, depthSettings()...)
	if err != nil {
		return c, err
	}
	t.DataDir, t.Offline, t.Precision = f.files.dir, f.files.offline, f.device.precision
	if folder.IsPath(t.Data) {
		return c, usagef("--data %s: the nets are made for small images of one size, so study depth takes a data set with a name: %s; `residual study grow` and `residual study blocks` take images of your own",
			t.Data, strings.Join(dataNames(), ", "))
	}
	if err := knownData(t.Data); err != nil {
		return c, err
	}
	if err := c.Check(); err != nil {
		return c, usageError{fmt.Errorf("%w; `residual study depth --help` describes the flags", err)}
	}
	return c, nil
}

// open begins a study, or opens the one of --resume.
func (f *depthFlags) open(cmd *cobra.Command, dev engine.Device) (*study.Depth, error) {
	if !cmd.Flags().Changed("resume") {
		c, err := f.given(cmd.Flags().Changed)
		if err != nil {
			return nil, err
		}
		c.Train.Threads = threadsOf(dev)
		return study.NewDepth(dev, c)
	}
	if err := onlyWithResume(cmd, f.resume, "study-depth-1"); err != nil {
		return nil, err
	}
	d, err := study.OpenDepth(f.resume)
	if err != nil {
		return nil, fmt.Errorf("--resume: %w", err)
	}
	t := &d.Config.Train
	if cmd.Flags().Changed("data-dir") {
		t.DataDir = f.files.dir
	}
	t.Offline = t.Offline || f.files.offline
	return d, nil
}

func (f *depthFlags) run(ctx context.Context, cmd *cobra.Command) error {
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	d, err := f.open(cmd, dev)
	if err != nil {
		return err
	}
	v := newStudyView(cmd, f.plain, f.json)
	defer context.AfterFunc(ctx, v.interrupted)()
	f.device.precision = d.Config.Train.Precision
	v.printf("%s\n%s\n", d.Dir, f.device.describe(dev))
	r, err := d.Run(ctx, dev, study.DepthCallbacks{
		Callbacks: v.training(),
		OnPlan:    func(p study.DepthPlan) { showPlan(v, d.Config.Train, p) },
		OnNet: func(done, total int, n study.Net, left time.Duration) {
			v.close()
			v.printf("\n%d of %d: %s, %d layers, seed %d (%s left)\n", done+1, total, n.Kind, n.Depth, n.Seed, about(left))
		},
		OnNetEnd: func(r study.DepthRun) {
			if r.Diverged {
				v.printf("its training diverged\n")
			}
		},
	})
	if err != nil {
		return v.ended(err, "study depth --resume "+shell.Quote(d.Dir))
	}
	v.close()
	showDepth(v, r)
	if f.json {
		return printJSON(cmd.OutOrStdout(), r)
	}
	return nil
}

// showPlan prints the trainings of a study, with estimates of their time and memory.
func showPlan(v *studyView, c train.Config, p study.DepthPlan) {
	v.printf("%s: %s images to train, %s to test, %dx%d; %d epochs, batch %d, lr %v (%s), momentum %v, weight decay %v, weights %s, %s\n\n",
		c.Data, report.Count(int64(p.Images)), report.Count(int64(p.Tests)), c.Resize, c.Resize, c.Epochs, c.Batch, c.LR, c.Schedule,
		c.Momentum, c.WeightDecay, c.Init, c.Precision)
	right := func(title string) report.Column { return report.Column{Title: title, Align: report.Right} }
	t := report.NewTable(report.Column{Title: "net"}, right("layers"), right("parameters"), right("multiply-adds"), right("memory"), right("a step"), right("a training"), right("to do"))
	for _, n := range p.Nets {
		memory := report.Bytes(n.Bytes)
		if n.Recompute {
			memory += ", recomputing"
		}
		t.Row(n.Kind, fmt.Sprint(n.Depth), report.Count(n.Parameters), report.SI(float64(n.MultiplyAdds), ""), memory,
			stepTime(n.Step), about(n.Run), fmt.Sprint(n.Left))
	}
	v.printf("%s\nin all %s, by a step of each net that was just measured\n", t.Fit(report.Columns(v.w)), about(p.Total))
}

// stepTime writes times below ten seconds in milliseconds.
func stepTime(d time.Duration) string {
	if d < 10*time.Second {
		return report.Count(d.Milliseconds()) + " ms"
	}
	return report.Duration(d)
}

// showDepth prints the table of a study and its findings.
func showDepth(v *studyView, r study.DepthResult) {
	right := func(title string) report.Column { return report.Column{Title: title, Align: report.Right} }
	t := report.NewTable(report.Column{Title: "net"}, right("layers"), right("seeds"), right("train error %"), right("test error %"), right("gradient, first epoch"), right("last epoch"))
	for _, w := range r.Rows {
		t.Row(w.Kind, fmt.Sprint(w.Depth), fmt.Sprint(w.Seeds), spreadText(w.TrainError, 100, "%.1f"), spreadText(w.TestError, 100, "%.1f"),
			spreadText(w.FirstGradient, 1, "%.3g"), spreadText(w.LastGradient, 1, "%.3g"))
	}
	v.table(t)
	for _, line := range r.Findings {
		v.resultf("%s\n", line)
	}
	v.resultf("%s: table.csv, epochs.csv, table.json, depth.png, depth.svg, and a run folder for each training\n", r.Dir)
}

// spreadText writes 12.1 (11.8 to 12.6).
func spreadText(s study.Spread, times float64, format string) string {
	if !number.Finite(float64(s.Mean)) {
		return "unknown"
	}
	f := func(v study.Value) string { return fmt.Sprintf(format, times*float64(v)) }
	if s.Min == s.Max {
		return f(s.Mean)
	}
	return fmt.Sprintf("%s (%s to %s)", f(s.Mean), f(s.Min), f(s.Max))
}
