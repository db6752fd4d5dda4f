package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/metrics"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/task"
)

// labelAnswer is a label of an image, with the probability that the image has it.
type labelAnswer struct {
	Label       string  `json:"label"`
	Index       int     `json:"index"`
	Probability float64 `json:"probability"`
}

// suit refuses flags that mean nothing for what the model answers with, and gives those that
// were not given what suits it: of labels all that are more probable than not are shown.
func (f *predictFlags) suit(cmd *cobra.Command, about checkpoint.Model) error {
	changed := cmd.Flags().Changed
	f.task = about.Task.Named()
	f.count = min(f.top, len(about.Names()))
	switch f.task {
	case task.Labels:
		if !changed("top") {
			f.top = len(about.Names())
		}
		if !changed("threshold") {
			f.threshold = metrics.DefaultThreshold
		}
	case task.Values:
		for _, name := range []string{"top", "threshold", "cam"} {
			if changed(name) {
				return usagef("--%s is for classes and labels, and the model answers with values; leave it out", name)
			}
		}
	case task.Masks:
		return usagef("the model answers with masks, which predict does not write; use inference.Classifier.Logits in a program")
	}
	return nil
}

// ask answers image files with what the model answers with, one call of each for every file.
func (f *predictFlags) ask(ctx context.Context, c *inference.Classifier, names iter.Seq2[string, error], each func(p prediction, likeliest int, err error) error) error {
	if f.task == task.Values {
		return c.ValuesOfFiles(ctx, names, func(path string, values []inference.Value, err error) error {
			return each(prediction{Image: path, Values: values}, -1, err)
		})
	}
	k := f.top
	if f.task == task.Labels {
		k = 0 // the table has all of them
	}
	return c.PredictFiles(ctx, names, k, func(path string, found []inference.Prediction, err error) error {
		p, likely := prediction{Image: path}, inference.AtLeast(found, f.threshold)
		if likely = likely[:min(len(likely), f.top)]; f.task == task.Classes {
			p.Predictions = likely
		} else if err == nil {
			p.Labels, p.probabilities = []labelAnswer{}, map[string]float64{}
			for _, l := range likely {
				p.Labels = append(p.Labels, labelAnswer{l.Class, l.Index, l.Probability})
			}
			for _, l := range found {
				p.probabilities[l.Class] = l.Probability
			}
		}
		likeliest := -1
		if len(likely) > 0 {
			likeliest = likely[0].Index
		}
		return each(p, likeliest, err)
	})
}

// targetRows adds the labels or values of an image to the table of its text.
func (p *prediction) targetRows(t *report.Table) (none string) {
	for _, l := range p.Labels {
		t.Row(l.Label, strconv.FormatFloat(l.Probability, 'f', 4, 64))
	}
	for _, v := range p.Values {
		t.Row(v.Name, strconv.FormatFloat(v.Value, 'g', 6, 64))
	}
	if p.Labels != nil {
		return "no label is probable enough"
	}
	return "no class is likely enough"
}

// tableAnswers is CSV with a column for every label or value.
type tableAnswers struct {
	w     *csv.Writer
	names []string
	task  task.Task
	cams  bool
	begun bool
}

func (a *tableAnswers) begin() error {
	if a.begun {
		return nil
	}
	a.begun = true
	head := []string{"path"}
	if a.task == task.Labels {
		head = append(head, "labels")
	}
	head = append(head, a.names...)
	if a.cams {
		head = append(head, "cam")
	}
	return a.w.Write(append(head, "error"))
}

func (a *tableAnswers) add(p prediction) error {
	if err := a.begin(); err != nil {
		return err
	}
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
	row := []string{p.Image}
	if a.task == task.Labels {
		var given []string
		for _, l := range p.Labels {
			given = append(given, l.Label)
		}
		row = append(row, strings.Join(given, "|"))
	}
	for i, name := range a.names {
		cell := ""
		if v, ok := p.probabilities[name]; ok {
			cell = number(v)
		} else if i < len(p.Values) {
			cell = number(p.Values[i].Value)
		}
		row = append(row, cell)
	}
	return writeAnswer(a.w, row, a.cams, p)
}

func (a *tableAnswers) end() error {
	err := a.begin()
	a.w.Flush()
	return cmp.Or(err, a.w.Error())
}

// answersFor is newAnswers for what the model answers with.
func (f *predictFlags) answersFor(about checkpoint.Model, w io.Writer) answers {
	if f.format == "csv" && f.task != task.Classes {
		return &tableAnswers{w: csv.NewWriter(w), names: about.Names(), task: f.task, cams: f.cam != ""}
	}
	return newAnswers(f.format, w, f.count, f.cam != "")
}
