package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/internal/shell"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/study"
	"github.com/residual-ml/residual/train"
)

// sourceFlags say which model is examined or changed, and with which images.
type sourceFlags struct {
	source study.Source
	device deviceFlags
	files  dataFlags
	resume string
	plain  bool
	json   bool
}

func (f *sourceFlags) add(cmd *cobra.Command, out *string) {
	fs, s := cmd.Flags(), &f.source
	fs.StringVar(&s.Data, "data", "", "name of the data set, "+photosHelp+" (default: what the model was trained on)")
	fs.IntVar(&s.TestSize, "test-size", 0, "test on this many images only (default: all)")
	fs.IntVar(&s.Batch, "test-batch", 128, "images in a batch of a test; the result does not depend on it")
	fs.StringVar(out, "out", "runs", "folder of the numbered run folders")
	fs.StringVar(&f.resume, "resume", "", "go on with what was interrupted in this folder, with its settings")
	fs.BoolVar(&f.plain, "plain", false, "plain lines in place of the bar")
	addMaxPixels(cmd, &s.MaxPixels)
	f.files.add(cmd)
	f.device.add(cmd)
	jsonFlag(cmd, &f.json)
	_ = cmd.MarkFlagDirname("out")
	_ = cmd.MarkFlagDirname("resume")
	_ = cmd.RegisterFlagCompletionFunc("data", dataOrFolder)
}

// modelOrResume demands a model file, or --resume alone.
func (f *sourceFlags) modelOrResume(cmd *cobra.Command, args []string) error {
	if cmd.Flags().Changed("resume") {
		if len(args) > 0 {
			return usagef("--resume goes on with the model of its folder; leave %s out", args[0])
		}
		return nil
	}
	return exactly(1, "a model file, or --resume with a folder")(cmd, args)
}

// take fills in the source of something new.
func (f *sourceFlags) take(path string) error {
	s := &f.source
	const most = 1024
	switch {
	case s.Batch < 1 || s.Batch > most:
		return usagef("--test-batch %d: give a number of images from 1 to %d", s.Batch, most)
	case s.TestSize < 0:
		return usagef("--test-size %d: give a number of images above 0", s.TestSize)
	case s.Data != "":
		if err := knownSource(s.Data); err != nil {
			return err
		}
	}
	if err := checkMaxPixels(s.MaxPixels); err != nil {
		return err
	}
	s.Model, s.Precision, s.DataDir, s.Offline = path, f.device.precision, f.files.dir, f.files.offline
	return isModelFile(path)
}

// change is what may be new when something is taken up again.
func (f *sourceFlags) change(s *study.Source) {
	if f.files.dir != "" {
		s.DataDir = f.files.dir
	}
	s.Offline = s.Offline || f.files.offline
}

// tuningFlags are of the training that follows a change of a model.
type tuningFlags struct{ config train.Config }

func (f *tuningFlags) add(cmd *cobra.Command, epochs, what string) {
	fs, c := cmd.Flags(), &f.config
	fs.IntVar(&c.Epochs, epochs, 0, what)
	addSettings(fs, c, train.Config{LR: 0.01, Momentum: 0.9, Schedule: "cosine", Batch: 128}, map[string]string{
		"LR":          "learning rate of that training",
		"Momentum":    "momentum of sgd; it begins at zero",
		"WeightDecay": "L2 penalty",
		"Schedule":    "of the learning rate: constant, cosine,warmup=0.05 or step,gamma=0.1,at=0.5",
		"Batch":       "images in a batch of that training",
		"Seed":        "of the order of the images, and of what is new in the net",
	}, settingRows("LR", "Momentum", "WeightDecay", "Schedule", "Batch", "TrainSize", "Seed")...)
}

func (f *tuningFlags) check(epochs string) error {
	if f.config.Epochs < 0 {
		return usagef("--%s %d: give a number of epochs, or 0 for none", epochs, f.config.Epochs)
	}
	return nil
}

// showChanged prints what became of a net.
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
	v.printf("\n%s\nuse it: residual predict %s IMAGE\n", t, shell.Quote(r.Model))
}
