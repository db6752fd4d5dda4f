package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/train"
)

// suspicion is a picture whose label a model finds unlikely.
type suspicion struct {
	Name                 string `json:"name"`
	Path                 string `json:"path"`
	Label                string `json:"label"`
	Part                 string `json:"part,omitempty"` // of the run: train, test, or new where it had no such picture
	Loss                 number `json:"loss"`           // of the label, -ln of its probability
	Probability          number `json:"probability"`    // of the label
	Likeliest            string `json:"likeliest"`
	LikeliestProbability number `json:"likeliest_probability"`
}

// The parts of a run: those of its record, and pictures that are not in it.
var runParts = []struct{ name, title string }{
	{string(data.Train), "labels of pictures trained on that the model finds least likely"},
	{string(data.Test), "labels of pictures tested on that the model finds least likely"},
	{"new", "labels of pictures that are not of the run and that the model finds least likely"},
	{"", "labels that the model finds least likely"},
}

// mostSuspicious are as many of a part as somebody will look at.
const mostSuspicious = 20

// suspects shows them, a section for each part.
func (c *photoCheck) suspects(b *strings.Builder) {
	section(b, "pictures that are not as the run had them", c.Since)
	for _, part := range runParts {
		var lines []string
		for _, s := range c.Suspicious {
			if s.Part == part.name {
				lines = append(lines, fmt.Sprintf("%s: labelled %s (%.4f, loss %.2f), looks like %s (%.4f)",
					s.Name, s.Label, float64(s.Probability), float64(s.Loss), s.Likeliest, float64(s.LikeliestProbability)))
			}
		}
		section(b, part.title, lines)
	}
}

// suspect asks the model about every picture that can be read. Those it takes for what
// they are labelled are no suspects.
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
	parts := map[string]string{} // by name
	if f.run != "" {
		if parts, c.Since, err = partsOfRun(f.run, path, m.Info().Classes, checked); err != nil {
			return err
		}
	}
	all, err := f.doubted(ctx, cmd, m, path, c.Report)
	if err != nil {
		return err
	}
	count := map[string]int{}
	for i, s := range all {
		if f.run != "" {
			all[i].Part = cmp.Or(parts[s.Name], "new")
		}
		if part := all[i].Part; count[part] < mostSuspicious {
			count[part]++
			c.Suspicious = append(c.Suspicious, all[i])
		}
	}
	if f.csv == "" {
		return nil
	}
	return checkpoint.WriteFile(f.csv, func(w io.Writer) error { return writeSuspects(w, all) })
}

// modelOfRun is the best model of a training, whose folder is given.
func modelOfRun(run string) (string, error) {
	best := filepath.Join(run, train.BestFile)
	if _, err := os.Stat(best); err != nil {
		return "", fmt.Errorf("--run: %w; give the folder of a training that has completed an epoch, such as runs/train-1", err)
	}
	return best, nil
}

// partsOfRun says which part of a run each picture was in, and what is not as it was.
func partsOfRun(run, path string, classes []string, checked *folder.Index) (parts map[string]string, since []string, err error) {
	record := filepath.Join(run, folder.RecordFile)
	was, err := folder.ReadRecord(record, path, classes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("--run %s: has no %s, so it is no training on pictures of your own; name its model with --model", run, folder.RecordFile)
	}
	if err != nil {
		return nil, nil, err
	}
	is := make(map[string]folder.Item, len(checked.Items))
	for _, it := range checked.Items {
		is[it.Name] = it
	}
	parts = make(map[string]string, len(was.Items))
	there := 0
	for _, it := range was.Items {
		now, ok := is[it.Name]
		if ok {
			there++
		}
		parts[it.Name] = string(it.Split)
		label, then := "", was.Classes[it.Label]
		if ok {
			label = checked.Classes[now.Label]
		}
		switch {
		case !ok:
			since = append(since, it.Name+": is no longer there")
		case now.Mark.SHA256 != it.Mark.SHA256:
			since = append(since, it.Name+": has other content")
			parts[it.Name] = "new"
		case label != then:
			since = append(since, fmt.Sprintf("%s: is labelled %s, and was %s", it.Name, label, then))
		}
	}
	if there == 0 {
		return nil, nil, fmt.Errorf("--run %s: none of its %d pictures is in %s; name the folder that it was trained on, or the model alone with --model", run, len(was.Items), path)
	}
	return parts, since, nil
}

// doubted are the pictures whose label the model finds less likely than another, those
// with the highest loss first.
func (f *checkFlags) doubted(ctx context.Context, cmd *cobra.Command, m *inference.Classifier, path string, r *folder.Report) (all []suspicion, err error) {
	if err := m.TakesImages(); err != nil {
		return nil, err
	}
	about := m.Info()
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
	set, err := x.Set(data.Train, folder.Options{Channels: about.Channels, CacheBytes: -1, MaxPixels: f.pixels, Context: ctx})
	if err != nil {
		return nil, err
	}
	each := func(a inference.Answer) {
		if a.Class != a.Label {
			it := set.Items()[a.Index]
			all = append(all, suspicion{
				Name: it.Name, Path: it.Path, Label: about.Classes[a.Label], Loss: number(-math.Log(a.Own)), Probability: number(a.Own),
				Likeliest: about.Classes[a.Class], LikeliestProbability: number(a.Probability),
			})
		}
	}
	if _, err := m.EvaluateEach(ctx, set, data.LoaderConfig{Batch: 64}, each, showCount(cmd.ErrOrStderr())); err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b suspicion) int { return cmp.Compare(a.Probability, b.Probability) })
	return all, nil
}

// writeSuspects writes them all; the first columns are those of a list of pictures.
func writeSuspects(w io.Writer, all []suspicion) error {
	c := csv.NewWriter(w)
	rows := [][]string{{"path", "label", "part", "loss", "probability", "likeliest", "likeliest_probability"}}
	for _, s := range all {
		rows = append(rows, []string{s.Path, s.Label, s.Part, fmt.Sprint(float64(s.Loss)), fmt.Sprint(float64(s.Probability)), s.Likeliest, fmt.Sprint(float64(s.LikeliestProbability))})
	}
	return c.WriteAll(rows)
}
