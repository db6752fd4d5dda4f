package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/report"
)

// photoCheck is what was found of a folder of pictures.
type photoCheck struct {
	*folder.Report
	// Suspicious are pictures whose label a model finds unlikely, worst first.
	Suspicious []suspicion `json:"suspicious,omitempty"`
}

// photos examines a folder or a list.
func (f *checkFlags) photos(ctx context.Context, cmd *cobra.Command, path string) (*photoCheck, error) {
	x, err := folder.Scan(path)
	if err != nil {
		return nil, err
	}
	r, _, err := x.Check(ctx, folder.Options{}, showCount(cmd.ErrOrStderr()))
	if err != nil {
		return nil, errors.New("interrupted: not all pictures were read")
	}
	c := &photoCheck{Report: r}
	if f.model != "" {
		c.Suspicious, err = f.suspect(ctx, cmd, path, r)
	}
	return c, err
}

// problem is the error that stands for what is wrong.
func (c *photoCheck) problem() error {
	switch {
	case len(c.Broken) > 0:
		return fmt.Errorf("%s: %s cannot be read; the first: %s", c.Name, plural(len(c.Broken), "picture"), oneLine(c.Broken[0].Error))
	case c.Tested && len(c.Leaks) > 0:
		return fmt.Errorf("%s: %s of near-duplicates on both sides of the division; move each to one", c.Name, plural(len(c.Leaks), "group"))
	case len(c.Contradictory) > 0:
		return fmt.Errorf("%s: %s of near-duplicates in two classes; one of the labels is wrong", c.Name, plural(len(c.Contradictory), "group"))
	}
	return nil
}

// imbalanced is the ratio of class sizes from which a training should know of it.
const imbalanced = 3

// text shows what was found, with the paths.
func (c *photoCheck) text() string {
	var b strings.Builder
	sum := 0
	t := report.NewTable(report.Column{Title: "class"}, report.Column{Title: "to train on", Align: report.Right}, report.Column{Title: "to test on", Align: report.Right})
	t.Indent = 2
	for _, k := range c.Classes {
		t.Row(k.Name, report.Count(int64(k.Train)), report.Count(int64(k.Test)))
		sum += k.Train + k.Test
	}
	fmt.Fprintf(&b, "%s: %s of %d classes\n%s", c.Root, plural(sum, "picture"), len(c.Classes), t.String())
	var formats []string
	for _, name := range slices.Sorted(maps.Keys(c.Formats)) {
		formats = append(formats, fmt.Sprintf("%s %s", report.Count(int64(c.Formats[name])), name))
	}
	fmt.Fprintf(&b, "  %s; %d to %d wide, %d to %d high\n", strings.Join(formats, ", "), c.Width[0], c.Width[1], c.Height[0], c.Height[1])
	if ratio, least, most := c.Imbalance(); ratio >= imbalanced {
		fmt.Fprintf(&b, "  %s has %.1f times the pictures of %s: train with --class-weights balanced\n", most.Name, ratio, least.Name)
	}
	var broken []string
	for _, p := range c.Broken {
		broken = append(broken, oneLine(p.Error))
	}
	section(&b, "pictures that cannot be read", broken)
	section(&b, fmt.Sprintf("pictures with a side below %d pixels", folder.TinySide), c.Tiny)
	section(&b, "pictures that EXIF data turn upright", c.Turned)
	section(&b, "files that are no pictures by their names", c.Others)
	groups(&b, "groups of copies", c.Copies)
	groups(&b, "groups of near-duplicates", c.Alike)
	if c.Tested {
		groups(&b, "groups of near-duplicates on both sides of the division", c.Leaks)
	}
	groups(&b, "groups of near-duplicates in two classes", c.Contradictory)
	var suspects []string
	for _, s := range c.Suspicious {
		suspects = append(suspects, fmt.Sprintf("%s: labelled %s (%.4f), looks like %s (%.4f)", s.Name, s.Label, s.Probability, s.Likeliest, s.LikeliestProbability))
	}
	section(&b, "labels that the model finds least likely", suspects)
	return b.String()
}

func section(b *strings.Builder, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s: %d\n", title, len(lines))
	for _, l := range lines {
		fmt.Fprintf(b, "  %s\n", l)
	}
}

func groups(b *strings.Builder, title string, all [][]string) {
	var lines []string
	for _, names := range all {
		lines = append(lines, strings.Join(names, ", "))
	}
	if len(lines) > 0 {
		section(b, title, lines)
	}
}

// suspicion is a picture whose label a model finds unlikely.
type suspicion struct {
	Name                 string  `json:"name"`
	Label                string  `json:"label"`
	Probability          float64 `json:"probability"` // of the label
	Likeliest            string  `json:"likeliest"`
	LikeliestProbability float64 `json:"likeliest_probability"`
}

// mostSuspicious are as many as somebody will look at.
const mostSuspicious = 20

// suspect asks the model about every picture that can be read. Those it takes for what
// they are labelled are no suspects.
func (f *checkFlags) suspect(ctx context.Context, cmd *cobra.Command, path string, r *folder.Report) ([]suspicion, error) {
	dev, err := f.device.open()
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	c, err := loadClassifier(f.model, dev, f.device.on(dev))
	if err != nil {
		return nil, err
	}
	if err := c.TakesImages(); err != nil {
		return nil, err
	}
	about := c.Info()
	x, err := folder.ScanAs(path, about.Classes)
	if err != nil {
		return nil, err
	}
	x.Items = slices.DeleteFunc(x.Items, func(it folder.Item) bool {
		return slices.ContainsFunc(r.Broken, func(p folder.Problem) bool { return p.Name == it.Name })
	})
	for i := range x.Items {
		x.Items[i].Split = data.Train
	}
	set, err := x.Set(data.Train, folder.Options{Channels: about.Channels, CacheBytes: -1})
	if err != nil {
		return nil, err
	}
	var all []suspicion
	each := func(a inference.Answer) {
		if a.Class != a.Label {
			all = append(all, suspicion{set.Items()[a.Index].Name, about.Classes[a.Label], a.Own, about.Classes[a.Class], a.Probability})
		}
	}
	if _, err := c.EvaluateEach(ctx, set, data.LoaderConfig{Batch: 64}, each, showCount(cmd.ErrOrStderr())); err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b suspicion) int { return cmp.Compare(a.Probability, b.Probability) })
	return all[:min(len(all), mostSuspicious)], nil
}
