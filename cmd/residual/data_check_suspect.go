package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/judge/audit"
	"github.com/residual-ml/residual/report"
)

// suspicion is an audit.Suspect as data check --json prints it.
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

// runParts lists the parts of a run with the titles of their sections: the parts of its record,
// images that are not in the record, and images if no run is given.
var runParts = []struct{ name, title string }{
	{string(data.Train), "labels of images trained on that are probably wrong"},
	{string(data.Test), "labels of images tested on that are probably wrong"},
	{audit.New, "labels of images that are not of the run and that are probably wrong"},
	{"", "labels that are probably wrong"},
}

// maxSuspectsShown is the number of images of a part that are shown.
const maxSuspectsShown = 20

// suspects writes the suspicious images, in a section for each part.
func (c *photoCheck) suspects(b *strings.Builder) {
	section(b, "images that are not as the run had them", c.Since)
	if c.Doubt != nil {
		b.WriteString(c.Doubt.text())
	}
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

// suspect asks the model, or those of the folds, about every image that can be read, and adds
// those to c whose label is probably wrong.
func (f *checkFlags) suspect(ctx context.Context, cmd *cobra.Command, path string, checked *folder.Index, groups []int, c *photoCheck) error {
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	model, err := modelPath(cmp.Or(f.run, f.model))
	if err != nil {
		return err
	}
	m, err := inference.Load(model, dev, f.device.on(dev))
	if err != nil {
		return asked(nil, err)
	}
	var run *audit.Run
	if f.run != "" {
		if run, err = audit.ReadRun(f.run, path, m.Info().Classes, checked); err != nil {
			return explainRun(err)
		}
		c.Since = run.Changed
	}
	var asked []audit.Opinion
	classes := m.Info().Classes
	if f.folds > 0 {
		c.Folds = f.folds
		asked, classes, err = f.inFolds(ctx, cmd, path, checked, groups, c.Broken, dev)
	} else {
		asked, err = audit.Ask(ctx, m, path, audit.Options{Skip: c.Broken, Run: run, Folder: folder.Options{MaxPixels: f.pixels}, Progress: showCount(cmd.ErrOrStderr())})
	}
	if err != nil {
		return err
	}
	all := c.doubt(classes, asked)
	for _, s := range audit.Worst(all, maxSuspectsShown) {
		c.Suspicious = append(c.Suspicious, suspicion{
			s.Name, s.Path, s.Label, s.Part, s.Loss, s.Probability, s.Likeliest, s.LikeliestProbability,
		})
	}
	if f.csv == "" {
		return nil
	}
	return checkpoint.WriteFile(f.csv, func(w io.Writer) error { return audit.WriteCSV(w, all) })
}

// doubt finds the suspects among the images that were asked about, and counts both.
func (c *photoCheck) doubt(classes []string, asked []audit.Opinion) []audit.Suspect {
	all := audit.Doubtful(classes, asked)
	c.Doubt = &doubt{Asked: len(asked), Suspicious: len(all)}
	for _, o := range asked {
		if o.Likeliest != o.Label {
			c.Doubt.Disagreed++
		}
	}
	return all
}

// doubt counts the images that a model was asked about.
type doubt struct {
	Asked      int `json:"asked"`
	Disagreed  int `json:"disagreed"`  // of which another class than the label is the likeliest
	Suspicious int `json:"suspicious"` // whose label is probably wrong
}

// text says how many there are of each.
func (d *doubt) text() string {
	return fmt.Sprintf("\nof %s the model finds another class likelier than the label for %s; confident learning takes %s of them for wrong labels\n",
		plural(d.Asked, "image"), report.Count(int64(d.Disagreed)), report.Count(int64(d.Suspicious)))
}

// explainRun names the flags in an error about a run that does not belong to the images.
func explainRun(err error) error {
	switch {
	case errors.Is(err, audit.ErrNoRecord):
		return fmt.Errorf("--run %w; name its model with --model", err)
	case errors.Is(err, audit.ErrOtherFolder):
		return fmt.Errorf("--run %w, or the model alone with --model", err)
	}
	return err
}
