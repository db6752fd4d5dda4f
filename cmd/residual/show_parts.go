package main

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/internal/shell"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/train"
)

// division writes lines about the folders of path: which are not used, and which names a user
// may have meant otherwise.
func division(path string, parts []folder.Part, notes []string) string {
	var b strings.Builder
	var unused []string
	measure := ""
	for _, p := range parts {
		if p.Split != "" {
			continue
		}
		what := plural(p.Images, "image")
		if p.Images > 0 && p.Classes == 0 && !folder.IsList(path) {
			what += ", no class folders"
		}
		unused = append(unused, fmt.Sprintf("%s (%s)", p.Name, what))
		if p.Classes > 0 && measure == "" && !folder.IsList(path) {
			measure = fmt.Sprintf("; `residual eval MODEL --data %s` measures on it", shell.Quote(filepath.Join(path, p.Name)))
		}
	}
	if len(unused) > 0 {
		fmt.Fprintf(&b, "not used: %s%s\n", few(unused), measure)
	}
	for _, note := range notes {
		fmt.Fprintln(&b, note)
	}
	return b.String()
}

// used says which folders are trained and tested on; "" if the parts are not folders.
func used(parts []folder.Part) string {
	var is []string
	for _, p := range parts {
		switch p.Split {
		case data.Train:
			is = append(is, "training on "+p.Name)
		case data.Test:
			is = append(is, "testing on "+p.Name)
		}
	}
	return strings.Join(is, ", ")
}

// heldOut says how the images are divided, and which classes are missing from a part.
func heldOut(p *train.Photos, c train.Config) string {
	text := ""
	switch parts := used(p.Index.Layout); {
	case p.Report == nil:
		text = "divided as " + folder.RecordFile + " has it"
	case p.Index.Tested && parts != "":
		text = "divided as you did: " + parts
	case p.Index.Tested:
		text = "divided as you did"
	default:
		if parts != "" {
			text = parts + "; "
		}
		text += share(p.Index, c)
		if n := len(p.Report.Alike); n > 0 {
			text += fmt.Sprintf("; each of %s of near-duplicates is on one side", plural(n, "group"))
		}
	}
	if len(p.Untested) > 0 {
		text += fmt.Sprintf("\nwarning: no test images of %s: the test accuracy does not cover %s", few(p.Untested), them(p.Untested))
		if p.Report != nil && !p.Index.Tested && c.TestSize == 0 {
			text += " (a class of one image, or of near-duplicates of one, is used for training only; add more images)"
		}
	}
	if len(p.Untrained) > 0 {
		text += fmt.Sprintf("\nwarning: no training images of %s: the model cannot learn %s", few(p.Untrained), them(p.Untrained))
	}
	return text
}

func them(names []string) string {
	if len(names) == 1 {
		return "that class"
	}
	return "those classes"
}

// share says which part of each class is held out: the share of --holdout, and the number of
// images for classes in which groups of near-duplicates, or few images, make it another.
func share(x *folder.Index, c train.Config) string {
	const most = 12
	rest, test := x.Counts(data.Train), x.Counts(data.Test)
	if x.Targets.Task != "" {
		return fmt.Sprintf("%v of the images are held out to test on (--holdout, --holdout-seed %d)", c.Holdout, c.HoldoutSeed)
	}
	var each, other []string
	for i, n := range test {
		all := rest[i] + n
		of := fmt.Sprintf("%s %s of %s", x.Classes[i], report.Count(int64(n)), report.Count(int64(all)))
		each = append(each, of)
		if want := max(1, math.Round(c.Holdout*float64(all))); float64(n) != want {
			other = append(other, of)
		}
	}
	switch {
	case len(other) == 0:
		return fmt.Sprintf("%v of each class is held out to test on (--holdout, --holdout-seed %d)", c.Holdout, c.HoldoutSeed)
	case len(each) <= most:
		return fmt.Sprintf("held out to test on (--holdout %v, --holdout-seed %d): %s", c.Holdout, c.HoldoutSeed, strings.Join(each, ", "))
	}
	return fmt.Sprintf("held out to test on (--holdout %v, --holdout-seed %d): %s, and that share of the other classes", c.Holdout, c.HoldoutSeed, few(other))
}

// over names the classes that a measurement does not cover; "" if it covers all.
func over(missing []string, classes int) string {
	if len(missing) == 0 {
		return ""
	}
	return fmt.Sprintf(" over %d of %d classes (no test images of %s)", classes-len(missing), classes, few(missing))
}
