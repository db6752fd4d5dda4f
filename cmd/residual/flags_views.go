package main

import (
	"fmt"

	"github.com/spf13/cobra"

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
	fs.BoolVar(&f.calibrated, "calibrated", false, "probabilities by the temperature in the model's file")
	takes(fs, "NAME", "tta")
	inGroup(fs, settings.Run, "tta", "calibrated")
	common(fs, "tta", "calibrated")
	_ = cmd.RegisterFlagCompletionFunc("tta", words(names...))
}

func (f *viewFlags) check(cmd *cobra.Command) error {
	if cmd.Flags().Changed("tta") && f.views == "" {
		return usagef("--tta is empty; choose flip or crops, or leave the flag out")
	}
	return nil
}

// of returns the classifier that the flags ask for, which shares c's memory.
func (f *viewFlags) of(c *inference.Classifier) (*inference.Classifier, error) {
	var err error
	if f.calibrated {
		if c, err = c.Calibrated(); err != nil {
			return nil, usageError{fmt.Errorf("--calibrated: %w", err)}
		}
	}
	if f.views != "" {
		if c, err = c.Viewing(inference.Views(f.views)); err != nil {
			return nil, usageError{err}
		}
	}
	return c, nil
}
