// Package audit finds images whose labels are probably wrong. It asks a trained classifier
// about every image of a folder: those whose label the classifier finds less likely than
// another class are suspects, and the one with the least likely label comes first.
//
//	suspects, err := audit.Labels(ctx, classifier, "photos/", audit.Options{})
//	for _, s := range suspects {
//		fmt.Println(s.Name, s.Label, s.Likeliest)
//	}
//
// For the folder of a run, ReadRun also says in which part of the run every image was: a high
// loss means more for a training image, because the model disagrees with the label although it
// was trained on it. WriteCSV writes suspects as a list of images.
package audit

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/inference"
)

// Suspect is an image whose label a classifier finds less likely than another class.
type Suspect struct {
	Name                 string // in the folder
	Path                 string
	Label                string
	Part                 string  // of the run: train, test or new; see Run.Divide
	Loss                 float64 // of the label: -ln of its probability, which may be +Inf
	Probability          float64 // of the label, from 0 to 1; NaN where the logits are not finite
	Likeliest            string  // the class with the highest probability
	LikeliestProbability float64
}

// Options say how the images are read.
type Options struct {
	Skip     []folder.Problem      // images that cannot be read, by name, as folder.Report lists them
	Folder   folder.Options        // limits for reading; Channels, CacheBytes and Context are set by Labels
	Progress func(done, total int) // is called after every batch; may be nil
}

// Labels asks c about every image in the folder or list at path and returns those whose label
// is not the likeliest class, the least likely label first. It returns an error for a model
// whose input has neither 1 nor 3 channels, for a path whose classes are not the model's, and
// for an image that cannot be read; it returns ctx's error when ctx ends.
func Labels(ctx context.Context, c *inference.Classifier, path string, o Options) ([]Suspect, error) {
	if err := c.TakesImages(); err != nil {
		return nil, err
	}
	about := c.Info()
	x, err := folder.ScanAsContext(ctx, path, about.Classes)
	if err != nil {
		return nil, err
	}
	unreadable := make(map[string]bool, len(o.Skip))
	for _, p := range o.Skip {
		unreadable[p.Name] = true
	}
	x.Items = slices.DeleteFunc(x.Items, func(it folder.Item) bool { return unreadable[it.Name] })
	for i := range x.Items {
		x.Items[i].Split = data.Train
	}
	o.Folder.Channels, o.Folder.CacheBytes, o.Folder.Context = about.Channels, -1, ctx // every image is read once
	set, err := x.Set(data.Train, o.Folder)
	if err != nil {
		return nil, err
	}
	var all []Suspect
	each := func(a inference.Answer) {
		if a.Class != a.Label {
			it := set.Items()[a.Index]
			all = append(all, Suspect{
				Name: it.Name, Path: it.Path, Label: about.Classes[a.Label], Loss: -math.Log(a.Own), Probability: a.Own,
				Likeliest: about.Classes[a.Class], LikeliestProbability: a.Probability,
			})
		}
	}
	if _, err := c.EvaluateEach(ctx, set, data.LoaderConfig{Batch: 64}, each, o.Progress); err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b Suspect) int { return cmp.Compare(a.Probability, b.Probability) })
	return all, nil
}

// Worst returns the first n suspects of every part, in their order.
func Worst(all []Suspect, n int) []Suspect {
	var worst []Suspect
	count := map[string]int{}
	for _, s := range all {
		if count[s.Part] < n {
			count[s.Part]++
			worst = append(worst, s)
		}
	}
	return worst
}

// WriteCSV writes suspects as CSV with a header. The first columns are those of a list of
// images, so that the file can be read as one.
func WriteCSV(w io.Writer, all []Suspect) error {
	c := csv.NewWriter(w)
	rows := [][]string{{"path", "label", "part", "loss", "probability", "likeliest", "likeliest_probability"}}
	for _, s := range all {
		rows = append(rows, []string{s.Path, s.Label, s.Part, fmt.Sprint(s.Loss), fmt.Sprint(s.Probability), s.Likeliest, fmt.Sprint(s.LikeliestProbability)})
	}
	return c.WriteAll(rows)
}
