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
	"github.com/residual-ml/residual/train/settings"
)

// photosHelp says what --data takes beside names, in the words of every command.
const photosHelp = settings.DataHelp

// photosTrainHelp is the part of train's help about a user's own images.
func photosTrainHelp() string {
	var b strings.Builder
	b.WriteString(`--data photos/ trains on images of your own: JPEG, PNG, GIF, WebP, BMP or TIFF files in one
folder a class, or such folders in train/ and val/, or named by a CSV or JSON-lines
list with path, label and, if you like, split. Parts may have other names (Training_set,
dev, seg_test, holdout); of val and test a training tests on val. The first lines say
which folders are what, what is not used, and which classes have no test images. All are read once at first. Those that cannot be read are named
in skipped.csv and left out, unless they are more than 5% or a whole class;
--holdout of each class is tested on where you do not say which, near-duplicates
on one side. pictures.csv has every image's part and digest: an image or a label
that changes during the run ends it, for no epoch of it could be made again.
The images are augmented and normalised as in torchvision's reference training. What is not
given goes by how many images there are to train on:

`)
	t := report.NewTable(report.Column{Title: "images"}, report.Column{Title: "model"}, report.Column{Title: "size", Align: report.Right},
		report.Column{Title: "batch", Align: report.Right}, report.Column{Title: "epochs", Align: report.Right}, report.Column{Title: "with --weights", Align: report.Right})
	t.Indent = 2
	most := 0
	for _, r := range recipe.AllPhotos() {
		pictures, model := fmt.Sprint("to ", report.Count(int64(r.MaxImages))), r.Model
		if r.MaxImages == 0 {
			pictures = "more than " + report.Count(int64(most))
		}
		if most = r.MaxImages; r.Blocks != nil {
			model += ", blocks " + joinInts(r.Blocks)
		}
		t.Row(pictures, model, fmt.Sprint(r.Resize), fmt.Sprint(r.Batch), fmt.Sprint(r.Epochs), fmt.Sprint(r.TunedEpochs))
	}
	b.WriteString(t.String())
	b.WriteString(`
by SGD with Nesterov momentum 0.9 and weight decay 0.0001, label smoothing 0.1, and a
rate of 0.1 for every 256 images of a batch (with up to 1,000 images 0.24, with
--weights 0.01) along a cosine with 5% warm-up. With --optimizer these four are as you give
them. A model file given as --weights also settles the size and the normalisation. Of up
to 1,000 images a crop takes half at least (--crop-scale).`)
	return b.String()
}

// settled is c with every setting. What belongs to an optimiser of a recipe was not
// given where it is zero, but on the command line a zero is one.
func settled(c, g train.Config, changed func(flag string) bool) (train.Config, error) {
	c = c.Resolved()
	err := takeSettings(&c, g, changed, settingRows("Momentum", "WeightDecay", "Nesterov", "LabelSmoothing")...)
	if changed("momentum") && c.Momentum == 0 && !changed("nesterov") {
		c.Nesterov = false // there is nothing to look ahead along
	}
	return c, err
}

// preparation is a line about what is made of the images; "" where that is nothing.
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
	say(c.IsPhotos(), fmt.Sprintf("tested on the middle of images resized to %d", c.ResizeShorter))
	return strings.Join(parts, ", ")
}

func joinFloats(values []float64) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(values), "[]"), " ", ",")
}

// found tells of a user's own images, before a training begins, or a dry run ends.
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

// kept says which images the cache of decoded images has; "" where none is.
func kept(p *train.Photos) string {
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

// eachClass counts by class, or says the least and the most where they are many.
func eachClass(classes []string, counts []int) string {
	const most = 12
	if len(classes) > most {
		least, largest := 0, 0
		for i, n := range counts {
			if n < counts[least] {
				least = i
			}
			if n > counts[largest] {
				largest = i
			}
		}
		return fmt.Sprintf("%s %d to %s %d", classes[least], counts[least], classes[largest], counts[largest])
	}
	parts := make([]string, len(classes))
	for i, class := range classes {
		parts[i] = fmt.Sprintf("%s %d", class, counts[i])
	}
	return strings.Join(parts, ", ")
}

// few names the first of many.
func few(names []string) string {
	const most = 4
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// dataName is how messages call the data: a folder by its last part.
func dataName(s train.Start) string {
	if s.Photos != nil {
		return s.Photos.Index.Name
	}
	return s.Config.Data
}

// knownSource complains about what is neither the name of a data set nor a path.
func knownSource(name string) error {
	if folder.IsPath(name) {
		return nil // what is there is said when it is opened
	}
	return knownData(name)
}
