package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/internal/shell"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/train/recipe"
)

// photosHelp says what --data takes besides names, in the help of every command.
const photosHelp = "a folder or a list of images of your own (`residual help photos`)"

// settled returns c with every setting resolved. In a Config a zero momentum stands for that of
// the recipe; a zero on the command line is meant as zero.
func settled(c, g train.Config, changed func(flag string) bool) (train.Config, error) {
	c = c.Resolved()
	err := takeSettings(&c, g, changed, settingRows("Momentum", "WeightDecay", "Nesterov", "LabelSmoothing")...)
	if changed("momentum") && c.Momentum == 0 && !changed("nesterov") {
		c.Nesterov = false // there is nothing to look ahead along
	}
	return c, err
}

// preparation returns a line about augmentation and normalisation; "" if there is neither.
func preparation(c train.Config) string {
	var parts []string
	say := func(shown bool, text string) {
		if shown {
			parts = append(parts, text)
		}
	}
	say(cmp.Or(c.Augment, "none") != "none", "augmented ("+c.Augment+")")
	say(c.CropScale > 0, fmt.Sprintf("crops of at least %v of the area", c.CropScale))
	say(c.RandomErasing > 0, fmt.Sprintf("a part erased with probability %v", c.RandomErasing))
	say(c.Mixup > 0, fmt.Sprintf("mixup %v", c.Mixup))
	say(c.CutMix > 0, fmt.Sprintf("cutmix %v", c.CutMix))
	say(len(c.Mean) > 0, fmt.Sprintf("normalised by the mean %s and the std %s", joinFloats(c.Mean), joinFloats(c.Std)))
	say(c.Progressive > 0, "in "+sizesInTurn(c)+" pixels in turn")
	say(c.EvalSize > 0, fmt.Sprintf("tested in %dx%d", c.EvalSize, c.EvalSize))
	say(c.IsPhotos(), fmt.Sprintf("tested on the middle of images resized to %d", c.ResizeShorter))
	return strings.Join(parts, ", ")
}

// sizesInTurn lists the sizes of the images of a training that begins with small ones.
func sizesInTurn(c train.Config) string {
	var sizes []string
	for _, size := range recipe.ProgressiveSizes(c.Progressive, c.Resize) {
		sizes = append(sizes, fmt.Sprint(size))
	}
	return strings.Join(sizes, ", ")
}

func joinFloats(values []float64) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(values), "[]"), " ", ",")
}

// found describes a user's own images, before a training begins or a dry run ends.
func found(p *train.Photos, dry bool) string {
	x, r := p.Index, p.Report
	var b strings.Builder
	counts := make([]int, len(x.Classes))
	for _, it := range x.Items {
		counts[it.Label]++
	}
	if x.Targets.Task != "" {
		b.WriteString(foundTargets(x))
	} else {
		fmt.Fprintf(&b, "%s: %s images of %d classes: %s\n", x.Path(), report.Count(int64(len(x.Items))), len(x.Classes), eachClass(x.Classes, counts))
	}
	if r == nil { // a run that goes on
		return b.String()
	}
	if n := len(r.Broken); n > 0 {
		names := make([]string, n)
		large, pixels := 0, int64(0)
		for i, p := range r.Broken {
			names[i] = p.Name
			if pixels = max(pixels, p.Pixels); p.Pixels > 0 {
				large++
			}
		}
		why := train.SkippedFile + " has why"
		if dry {
			why = "`residual data check` says why"
		}
		fmt.Fprintf(&b, "%d cannot be read and are left out, %s: %s\n", n, why, few(names))
		if large > 0 {
			fmt.Fprintf(&b, "%d of those have more pixels than are allowed; --max-pixels %d takes them all\n", large, pixels)
		}
	}
	b.WriteString(division(x.Path(), x.Layout, x.Notes))
	if len(r.Others) > 0 {
		fmt.Fprintf(&b, "left out as no JPEG, PNG, GIF, WebP, BMP or TIFF by their names: %s\n", folder.Kinds(r.Others))
	}
	if n := len(r.Turned); n > 0 {
		fmt.Fprintf(&b, "%d are turned upright by their EXIF data\n", n)
	}
	if len(r.Leaks) > 0 && r.Tested {
		fmt.Fprintf(&b, "%d near-duplicates lie in both parts, so the test is too good: %s; `residual data check %s` lists them\n", len(r.Leaks), few(r.Leaks[0]), shell.Quote(x.Path()))
	}
	if len(r.Contradictory) > 0 && x.Targets.Task != "" {
		fmt.Fprintf(&b, "%d near-duplicates have different %s, such as %s\n", len(r.Contradictory), x.Targets.Task, few(r.Contradictory[0]))
	} else if len(r.Contradictory) > 0 {
		fmt.Fprintf(&b, "%d near-duplicates lie in two classes, such as %s\n", len(r.Contradictory), few(r.Contradictory[0]))
	}
	return b.String()
}

// cacheNote describes the cache of decoded images; "" if there is none.
func cacheNote(p *train.Photos) string {
	if p.CacheError != nil {
		return fmt.Sprintf("no decoded images are kept: %s\n", errorText(p.CacheError))
	}
	if p.Cache == nil {
		return ""
	}
	s := p.Cache.State()
	var b strings.Builder
	for _, note := range s.Notes {
		fmt.Fprintln(&b, note)
	}
	switch {
	case s.Declined != "":
		fmt.Fprintf(&b, "no decoded images are kept: %s (--cache, --cache-size)\n", s.Declined)
	case s.Images > 0:
		fmt.Fprintf(&b, "%s are kept decoded in %s, %s, %s of them since now; `residual data cache` lists and clears\n",
			plural(s.Images, "image"), p.Cache.Dir, report.Bytes(s.Bytes), report.Count(int64(s.Added)))
	}
	return b.String()
}

// passes says how often an epoch goes over the images.
func passes(repeat int) string {
	if repeat < 2 {
		return ""
	}
	return fmt.Sprintf(", which are %d passes over the images", repeat)
}

// startedFrom says what was kept of the first weights, what is new, and whether they help.
func startedFrom(s train.Start) string {
	from := s.Source
	if from == nil {
		return ""
	}
	text := fmt.Sprintf("starts from the weights in %s: all %s parameters are kept\n", s.Config.Weights, report.Count(from.Kept))
	if from.Head != "" {
		text = fmt.Sprintf("starts from the weights in %s: %s parameters are kept, and the %s of the last layer %s are new\n",
			s.Config.Weights, report.Count(from.Kept), report.Count(from.New), from.Head)
	}
	if from.Images > 0 {
		text += fmt.Sprintf("a linear classifier on their features tells %.0f%% of %d training images right, and on those of new weights %.0f%%\n", 100*from.Accuracy, from.Images, 100*from.Unfit)
	}
	if !from.Helps() {
		text += "these weights do not help with these images: leave out --weights, or compare with a training without it\n"
	}
	if s.Probe {
		text += "only the last layer is trained, on features that were computed once\n"
	}
	return text
}

// dataName returns the name of the data for messages: of a folder its last part.
func dataName(s train.Start) string {
	if s.Photos != nil {
		return s.Photos.Index.Name
	}
	return s.Config.Data
}
