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
	"github.com/residual-ml/residual/task"
)

// photoCheck is the report of a folder of images.
type photoCheck struct {
	*folder.Report
	// Suspicious lists images whose label a model finds unlikely, the worst first. With --run
	// it has as many of each part of the run.
	Suspicious []suspicion `json:"suspicious,omitempty"`
	// Doubt counts the images that the model was asked about; nil without one.
	Doubt *doubt `json:"doubt,omitempty"`
	// Run is the folder of --run, and Since lists what changed since that run.
	Run   string   `json:"run,omitempty"`
	Folds int      `json:"folds,omitempty"` // of --folds
	Since []string `json:"changed_since_the_run,omitempty"`

	path string // what was examined
}

// photos examines a folder or a list of images.
func (f *checkFlags) photos(ctx context.Context, cmd *cobra.Command, path string) (*photoCheck, error) {
	x, err := f.targets.scan(ctx, path)
	if err != nil {
		return nil, err
	}
	r, groups, err := x.Check(ctx, folder.Options{MaxPixels: f.pixels}, showCount(cmd.ErrOrStderr()))
	if err != nil {
		return nil, errors.New("interrupted: not all images were read")
	}
	c := &photoCheck{Report: r, Run: f.run, path: path}
	if f.model != "" || f.run != "" {
		err = f.suspect(ctx, cmd, path, x, groups, c)
	}
	return c, err
}

// problem returns one error for all faults; nil if there are none.
func (c *photoCheck) problem() error {
	var all []string
	if len(c.Broken) > 0 {
		all = append(all, fmt.Sprintf("%s cannot be read; the first: %s", plural(len(c.Broken), "image"), problemLine(c.Broken[0])))
	}
	if c.Tested && len(c.Leaks) > 0 {
		all = append(all, fmt.Sprintf("%s of near-duplicates on both sides of the division; move each to one", plural(len(c.Leaks), "group")))
	}
	if len(c.Contradictory) > 0 && c.Task == task.Labels {
		all = append(all, fmt.Sprintf("%s of near-duplicates with different labels; some of them are wrong", plural(len(c.Contradictory), "group")))
	} else if len(c.Contradictory) > 0 && c.Task == "" {
		all = append(all, fmt.Sprintf("%s of near-duplicates in two classes; one of the labels is wrong", plural(len(c.Contradictory), "group")))
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %s", c.Name, strings.Join(all, "; "))
}

// imbalanced is the ratio of class sizes from which class weights are recommended.
const imbalanced = 3

// text writes the report with the paths, in at most width columns; 0 stands for any width.
func (c *photoCheck) text(width int) string {
	var b strings.Builder
	sum := 0
	t := report.NewTable(report.Column{Title: "class"}, report.Column{Title: "to train on", Align: report.Right}, report.Column{Title: "to test on", Align: report.Right})
	t.Indent = 2
	for _, k := range c.Classes {
		t.Row(k.Name, report.Count(int64(k.Train)), report.Count(int64(k.Test)))
		sum += k.Train + k.Test
	}
	if c.Task != "" {
		c.answers(&b)
	} else {
		fmt.Fprintf(&b, "%s: %s of %d classes\n%s", c.Root, plural(sum, "image"), len(c.Classes), t.Fit(width))
	}
	if parts := used(c.Layout); parts != "" {
		fmt.Fprintf(&b, "  %s\n", parts)
	}
	for _, line := range strings.Split(strings.TrimSpace(division(c.path, c.Layout, c.Notes)), "\n") {
		if line != "" {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	c.lacking(&b)
	var formats []string
	for _, name := range slices.Sorted(maps.Keys(c.Formats)) {
		formats = append(formats, fmt.Sprintf("%s %s", report.Count(int64(c.Formats[name])), name))
	}
	fmt.Fprintf(&b, "  %s; %d to %d wide, %d to %d high\n", strings.Join(formats, ", "), c.Width[0], c.Width[1], c.Height[0], c.Height[1])
	if ratio, least, most := c.Imbalance(); ratio >= imbalanced {
		fmt.Fprintf(&b, "  %s has %.1f times the images of %s: train with --class-weights balanced\n", most.Name, ratio, least.Name)
	}
	var broken []string
	for _, p := range c.Broken {
		broken = append(broken, problemLine(p))
	}
	section(&b, "images that cannot be read", broken)
	if c.Tested {
		groups(&b, "groups of near-duplicates on both sides of the division", c.Leaks)
	}
	contradictory := "groups of near-duplicates in two classes"
	if c.Task != "" {
		contradictory = "groups of near-duplicates with different " + string(c.Task)
	}
	groups(&b, contradictory, c.Contradictory)
	c.suspects(&b)
	groups(&b, "groups of copies", c.Copies)
	groups(&b, "groups of near-duplicates that are not all copies", slices.DeleteFunc(slices.Clone(c.Alike), c.areCopies))
	section(&b, fmt.Sprintf("images with a side below %d pixels", folder.TinySide), c.Tiny)
	if len(c.Others) > 0 {
		section(&b, "files that are no images by their names ("+folder.Kinds(c.Others)+")", c.Others)
	}
	harmless(&b, "images that EXIF data turn upright", c.Turned)
	return b.String()
}

// lacking names the classes that are missing from a part, if the user made the parts.
func (c *photoCheck) lacking(b *strings.Builder) {
	if !c.Tested {
		return
	}
	var untested, untrained []string
	for _, k := range c.Classes {
		if k.Test == 0 {
			untested = append(untested, k.Name)
		}
		if k.Train == 0 {
			untrained = append(untrained, k.Name)
		}
	}
	if len(untested) > 0 {
		fmt.Fprintf(b, "  no test images of %s: the test accuracy will not cover %s\n", few(untested), them(untested))
	}
	if len(untrained) > 0 {
		fmt.Fprintf(b, "  no training images of %s: a model cannot learn %s\n", few(untrained), them(untrained))
	}
}

// areCopies reports whether all images of a group of near-duplicates are copies of each other.
func (c *photoCheck) areCopies(group []string) bool {
	return slices.ContainsFunc(c.Copies, func(g []string) bool { return slices.Equal(g, group) })
}

// harmless is section for lists that may name most images although nothing is wrong: only the
// first few are shown.
func harmless(b *strings.Builder, title string, lines []string) {
	const most = 10
	if more := len(lines) - most; more > 0 {
		title = fmt.Sprintf("%s: %s, the first %d of them (--json has all)", title, report.Count(int64(len(lines))), most)
		fmt.Fprintf(b, "\n%s\n  %s\n", title, strings.Join(lines[:most], "\n  "))
		return
	}
	section(b, title, lines)
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
