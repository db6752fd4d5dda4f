package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/report"
)

// photoCheck is what was found of a folder of pictures.
type photoCheck struct {
	*folder.Report
	// Suspicious are pictures whose label a model finds unlikely, worst first. With --run
	// as many of each of its parts.
	Suspicious []suspicion `json:"suspicious,omitempty"`
	// Run is the folder of --run, and Since says what is no longer as it had it.
	Run   string   `json:"run,omitempty"`
	Since []string `json:"changed_since_the_run,omitempty"`
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
	c := &photoCheck{Report: r, Run: f.run}
	if f.model != "" || f.run != "" {
		err = f.suspect(ctx, cmd, path, x, c)
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
	c.suspects(&b)
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
