package main

import (
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/residual-ml/residual/study"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/train/settings"
)

// sourceFlags choose the model to examine or change, and the images for it.
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
	takes(fs, "NAME|FOLDER", "data")
	takes(fs, "RUN", "resume")
	inGroup(fs, settings.Data, "data", "test-size")
	inGroup(fs, settings.Run, "test-batch", "out", "resume", "plain")
	addMaxPixels(cmd, &s.MaxPixels)
	f.files.add(cmd)
	f.device.addTraining(cmd)
	jsonFlag(cmd, &f.json)
	common(fs, "data", "out", "resume", "json")
	_ = cmd.MarkFlagDirname("out")
	_ = cmd.MarkFlagDirname("resume")
	_ = cmd.RegisterFlagCompletionFunc("data", dataOrFolder)
}

// modelOrResume checks the arguments: a model file, or none with --resume.
func (f *sourceFlags) modelOrResume(cmd *cobra.Command, args []string) error {
	if cmd.Flags().Changed("resume") {
		if len(args) > 0 {
			return usagef("--resume goes on with the model of its folder; leave %s out", args[0])
		}
		return nil
	}
	return exactly(1, "a model file, or --resume with a folder")(cmd, args)
}

// take fills in the source of a new study of the model at path.
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
	s.Precision, s.DataDir, s.Offline = f.device.precision, f.files.dir, f.files.offline
	var err error
	s.Model, err = modelPath(path)
	return err
}

// change applies the flags that may be given with --resume.
func (f *sourceFlags) change(s *study.Source) {
	if f.files.dir != "" {
		s.DataDir = f.files.dir
	}
	s.Offline = s.Offline || f.files.offline
}

// tuningFlags are the settings of the training that follows a change of a model.
type tuningFlags struct{ config train.Config }

func (f *tuningFlags) add(cmd *cobra.Command, epochs, what string) {
	fs, c := cmd.Flags(), &f.config
	fs.IntVar(&c.Epochs, epochs, 0, what)
	inGroup(fs, settings.Optimisation, epochs)
	common(fs, epochs)
	addSettings(fs, c, train.Config{LR: 0.01, Momentum: 0.9, Schedule: "cosine", Batch: 128}, map[string]string{
		"LR":          "learning rate of that training",
		"Momentum":    "momentum of sgd; it begins at zero",
		"WeightDecay": "L2 penalty",
		"Schedule":    "schedule of the learning rate: constant, cosine,warmup=0.05 or step,gamma=0.1,at=0.5",
		"Batch":       "images in a batch of that training",
		"Seed":        "random seed of the order of the images, and of new layers",
	}, settingRows("LR", "Momentum", "WeightDecay", "Schedule", "Batch", "TrainSize", "Seed")...)
}

func (f *tuningFlags) check(epochs string) error {
	if f.config.Epochs < 0 {
		return usagef("--%s %d: give a number of epochs, or 0 for none", epochs, f.config.Epochs)
	}
	if err := settings.Check(f.config); err != nil {
		return usageError{err}
	}
	return nil
}

// onlyWithResume returns an error if flags are given with --resume that would change the study.
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
