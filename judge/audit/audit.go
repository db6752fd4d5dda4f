// Package audit finds images whose labels are probably wrong, by confident learning (Northcutt,
// Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", 2021). It asks
// a trained classifier about every image of a folder. Of the images whose label the classifier
// finds less likely than another class it counts how many look as much like another class as the
// images of that class do; so many of them, those with the least likely labels, are suspects.
//
//	suspects, err := audit.Labels(ctx, classifier, "photos/", audit.Options{})
//	for _, s := range suspects {
//		fmt.Println(s.Name, s.Label, s.Likeliest)
//	}
//
// A classifier that was trained on an image has often learned its label, wrong or not, so images
// are best judged by classifiers that were not trained on them: ask one about each part of the
// images (Ask), and give all opinions to Doubtful. For the folder of a run, ReadRun says in which
// part of the run every image was, and those it was trained on are judged apart. WriteCSV writes
// suspects as a list of images.
package audit

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/inference/forward"
)

// Suspect is an image whose label is probably wrong.
type Suspect struct {
	Name                 string // in the folder
	Path                 string
	Label                string
	Part                 string  // of the run: train, test or New; empty without Options.Run
	Loss                 float64 // of the label: -ln of its probability, which may be +Inf
	Probability          float64 // of the label, from 0 to 1; NaN where the logits are not finite
	Likeliest            string  // the class with the highest probability
	LikeliestProbability float64
}

// Opinion is what a classifier makes of an image with a label.
type Opinion struct {
	Name, Path    string
	Part          string // see Suspect
	Label         int
	Likeliest     int       // the class with the highest probability
	Probabilities []float32 // of the classes
}

// Options say which images are read, and how.
type Options struct {
	Skip     []folder.Problem       // images that cannot be read, by name, as folder.Report lists them
	Only     func(name string) bool // whether to ask about an image; nil means all
	Run      *Run                   // the run whose parts are told apart; may be nil
	Folder   folder.Options         // limits for reading; Channels, CacheBytes and Context are set by Ask
	Progress func(done, total int)  // is called after every batch; may be nil
}

// Labels asks c about every image in the folder or list at path, and returns those whose label is
// probably wrong, the least likely label first. It is Ask and Doubtful.
func Labels(ctx context.Context, c *inference.Classifier, path string, o Options) ([]Suspect, error) {
	all, err := Ask(ctx, c, path, o)
	if err != nil {
		return nil, err
	}
	return Doubtful(c.Info().Classes, all), nil
}

// Ask returns what c makes of the images in the folder or list at path, in their order. It
// returns an error for a model whose input has neither 1 nor 3 channels, for a path whose classes
// are not the model's, and for an image that cannot be read; it returns ctx's error when ctx ends.
func Ask(ctx context.Context, c *inference.Classifier, path string, o Options) ([]Opinion, error) {
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
	x.Items = slices.DeleteFunc(x.Items, func(it folder.Item) bool {
		return unreadable[it.Name] || o.Only != nil && !o.Only(it.Name)
	})
	for i := range x.Items {
		x.Items[i].Split = data.Train
	}
	o.Folder.Channels, o.Folder.CacheBytes, o.Folder.Context = about.Channels, -1, ctx // every image is read once
	set, err := x.Set(data.Train, o.Folder)
	if err != nil {
		return nil, err
	}
	all := make([]Opinion, 0, len(x.Items))
	each := func(a inference.Answer, outputs []float32) {
		it := set.Items()[a.Index]
		all = append(all, Opinion{Name: it.Name, Path: it.Path, Part: o.Run.part(it.Name), Label: a.Label, Likeliest: a.Class, Probabilities: probabilities(outputs)})
	}
	if _, err := c.EvaluateOutputs(ctx, set, data.LoaderConfig{Batch: 64}, each, o.Progress); err != nil {
		return nil, err
	}
	return all, nil
}

// probabilities returns the softmax of logits.
func probabilities(logits []float32) []float32 {
	p := make([]float32, len(logits))
	for i, v := range forward.Probabilities(logits) {
		p[i] = float32(v)
	}
	return p
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
