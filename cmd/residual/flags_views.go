package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/train/settings"
)

// viewFlags say how a model is asked: about several views of an image, and whether its
// probabilities are calibrated.
type viewFlags struct {
	views      string
	calibrated bool
}

// viewsHelp describes these flags in the help of every command that has them.
const viewsHelp = `--tta flip also asks about the mirror image of every image, and --tta crops about its middle and
corners and their mirror images; the answer is by the mean of the logits. --calibrated divides
the logits by the temperature in the model's file, which the training fitted to the images that
it held out: the probabilities are then as sure as they are right, and no class changes.`

func (f *viewFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	var names []string
	for _, v := range inference.AllViews() {
		names = append(names, string(v))
	}
	fs.StringVar(&f.views, "tta", "", "mean over views of every image: flip (2 of them) or crops (10)")
	addCalibrated(fs, &f.calibrated)
	takes(fs, "NAME", "tta")
	inGroup(fs, settings.Run, "tta")
	common(fs, "tta")
	_ = cmd.RegisterFlagCompletionFunc("tta", words(names...))
}

// addCalibrated adds the flag for calibrated probabilities.
func addCalibrated(fs *pflag.FlagSet, on *bool) {
	fs.BoolVar(on, "calibrated", false, "probabilities by the temperature in the model's file")
	inGroup(fs, settings.Run, "calibrated")
	common(fs, "calibrated")
}

func (f *viewFlags) check(cmd *cobra.Command) error {
	if cmd.Flags().Changed("tta") && f.views == "" {
		return usagef("--tta is empty; choose flip or crops, or leave the flag out")
	}
	return nil
}

// calibrated returns c, or c with calibrated probabilities if they are asked for.
func calibrated(c *inference.Classifier, on bool) (*inference.Classifier, error) {
	if !on {
		return c, nil
	}
	with, err := c.Calibrated()
	if err != nil {
		return nil, usageError{fmt.Errorf("--calibrated: %w", err)}
	}
	return with, nil
}

// of returns the classifier that the flags ask for, which shares c's memory.
func (f *viewFlags) of(c *inference.Classifier) (*inference.Classifier, error) {
	c, err := calibrated(c, f.calibrated)
	if err != nil {
		return nil, err
	}
	if f.views != "" {
		if c, err = c.Viewing(inference.Views(f.views)); err != nil {
			return nil, usageError{err}
		}
	}
	return c, nil
}
