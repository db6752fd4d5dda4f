package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/judge/audit"
	"github.com/residual-ml/residual/train"
)

// suspicion is what data check --json says of an audit.Suspect.
type suspicion struct {
	Name                 string  `json:"name"`
	Path                 string  `json:"path"`
	Label                string  `json:"label"`
	Part                 string  `json:"part,omitempty"` // of the run: train, test, or new where it had no such image
	Loss                 float64 `json:"loss"`           // of the label, -ln of its probability
	Probability          float64 `json:"probability"`    // of the label
	Likeliest            string  `json:"likeliest"`
	LikeliestProbability float64 `json:"likeliest_probability"`
}

// runParts are the parts of a run with the titles of their sections: those of its record,
// images that are not in it, and images without a run.
var runParts = []struct{ name, title string }{
	{string(data.Train), "labels of images trained on that the model finds least likely"},
	{string(data.Test), "labels of images tested on that the model finds least likely"},
	{audit.New, "labels of images that are not of the run and that the model finds least likely"},
	{"", "labels that the model finds least likely"},
}

// mostSuspicious is how many images of a part are shown: as many as somebody will look at.
const mostSuspicious = 20

// suspects shows the suspicious images, in a section for each part.
func (c *photoCheck) suspects(b *strings.Builder) {
	section(b, "images that are not as the run had them", c.Since)
	for _, part := range runParts {
		var lines []string
		for _, s := range c.Suspicious {
			if s.Part == part.name {
				lines = append(lines, fmt.Sprintf("%s: labelled %s (%.4f, loss %.2f), looks like %s (%.4f)",
					s.Name, s.Label, s.Probability, s.Loss, s.Likeliest, s.LikeliestProbability))
			}
		}
		section(b, part.title, lines)
	}
}

// suspect asks the model about every image that can be read, and keeps those whose label it
// finds less likely than another.
func (f *checkFlags) suspect(ctx context.Context, cmd *cobra.Command, path string, checked *folder.Index, c *photoCheck) error {
	dev, err := f.device.openSaying(cmd)
	if err != nil {
		return err
	}
	defer dev.Close()
	model := f.model
	if f.run != "" {
		if model, err = modelOfRun(f.run); err != nil {
			return err
		}
	}
	m, err := loadClassifier(model, dev, f.device.on(dev))
	if err != nil {
		return err
	}
	var run *audit.Run
	if f.run != "" {
		if run, err = audit.ReadRun(f.run, path, m.Info().Classes, checked); err != nil {
			return explainRun(err)
		}
		c.Since = run.Changed
	}
	all, err := audit.Labels(ctx, m, path, audit.Options{Skip: c.Broken, Folder: folder.Options{MaxPixels: f.pixels}, Progress: showCount(cmd.ErrOrStderr())})
	if err != nil {
		return err
	}
	if run != nil {
		run.Divide(all)
	}
	for _, s := range audit.Worst(all, mostSuspicious) {
		c.Suspicious = append(c.Suspicious, suspicion{
			s.Name, s.Path, s.Label, s.Part, s.Loss, s.Probability, s.Likeliest, s.LikeliestProbability,
		})
	}
	if f.csv == "" {
		return nil
	}
	return checkpoint.WriteFile(f.csv, func(w io.Writer) error { return audit.WriteCSV(w, all) })
}

// explainRun names the flags for a run that has nothing to do with the images.
func explainRun(err error) error {
	switch {
	case errors.Is(err, audit.ErrNoRecord):
		return fmt.Errorf("--run %w; name its model with --model", err)
	case errors.Is(err, audit.ErrOtherFolder):
		return fmt.Errorf("--run %w, or the model alone with --model", err)
	}
	return err
}

// modelOfRun returns the file of a run's best model.
func modelOfRun(run string) (string, error) {
	best := filepath.Join(run, train.BestFile)
	if _, err := os.Stat(best); err != nil {
		return "", fmt.Errorf("--run: %w; give the folder of a training that has completed an epoch, such as runs/train-1", err)
	}
	return best, nil
}
