package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/metrics"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/task"
)

// targetResult is what eval --json prints of a model that answers with labels or values. What
// is 0/0 is null.
type targetResult struct {
	Model           string               `json:"model"`
	Architecture    string               `json:"architecture"`
	Blocks          []int                `json:"blocks,omitempty"`
	Data            string               `json:"data"`
	Split           string               `json:"split"`
	Task            task.Task            `json:"task"`
	Loss            float64              `json:"loss"`
	Count           int                  `json:"count"`
	Measures        map[string]float64   `json:"measures"` // of all labels or values
	Labels          []labelScore         `json:"labels,omitempty"`
	Values          []valueScore         `json:"values,omitempty"`
	ImagesPerSecond float64              `json:"images_per_second"`
	Device          string               `json:"device"`
	Precision       string               `json:"precision"`
	Report          *string              `json:"report"`
	RunImages       *inference.RunCounts `json:"run_images"`

	// Views are those of --tta, and Without has the measures without them.
	Views   inference.Views    `json:"tta,omitempty"`
	Without map[string]float64 `json:"measures_without_tta,omitempty"`
	// Temperature is that of each label, in the model's file.
	Temperature []float64 `json:"temperature,omitempty"`
}

type labelScore struct {
	Label            string  `json:"label"`
	AveragePrecision float64 `json:"average_precision"`
	Precision        float64 `json:"precision"`
	Recall           float64 `json:"recall"`
	F1               float64 `json:"f1"`
	Support          int     `json:"support"`
	Predicted        int     `json:"predicted"`
}

type valueScore struct {
	Value string  `json:"value"`
	MAE   float64 `json:"mae"`
	RMSE  float64 `json:"rmse"`
	R2    float64 `json:"r2"`
}

// ofTargets is the result of a model that answers with labels, values or masks.
func (r *evalResult) ofTargets(of task.Task, names []string) *targetResult {
	t := &targetResult{
		Model: r.Model, Architecture: r.Architecture, Blocks: r.Blocks, Data: r.Data, Split: r.Split, Task: of, Loss: r.Loss, Count: r.Count,
		ImagesPerSecond: r.ImagesPerSecond, Device: r.Device, Precision: r.Precision, Report: r.Report, RunImages: r.RunImages, Measures: map[string]float64{},
		Views: r.Views, Temperature: r.temperature,
	}
	if w := r.without; w != nil && w.Labels != nil {
		t.Without = map[string]float64{"loss": w.Loss, "map": w.Labels.MeanAveragePrecision}
	} else if w != nil && w.Values != nil {
		t.Without = map[string]float64{"loss": w.Loss, "mae": w.Values.MAE, "rmse": w.Values.RMSE, "r2": w.Values.R2}
	}
	if l := r.judgement.Labels; l != nil {
		t.Measures["map"], t.Measures["macro_f1"], t.Measures["micro_f1"], t.Measures["exact"] = l.MeanAveragePrecision, l.MacroF1, l.MicroF1, l.Exact
		for i, s := range l.Scores {
			t.Labels = append(t.Labels, labelScore{names[i], s.AveragePrecision, s.Precision, s.Recall, s.F1, s.Support, s.Predicted})
		}
	}
	if v := r.judgement.Values; v != nil {
		score := func(name string, s metrics.ValueScore) valueScore {
			return valueScore{name, s.MAE, s.RMSE, s.R2}
		}
		all := score("", v.ValueScore)
		t.Measures["mae"], t.Measures["rmse"], t.Measures["r2"] = all.MAE, all.RMSE, all.R2
		for i, s := range v.Scores {
			if i < len(names) {
				t.Values = append(t.Values, score(names[i], s))
			}
		}
	}
	return t
}

// showAnswers prints the measures of a model that answers with labels or values.
func (r *evalResult) showAnswers(cmd *cobra.Command) {
	a := r.judgement.Measures()
	columns := []report.Column{{Title: a.Columns[0]}}
	for _, c := range a.Columns[1:] {
		columns = append(columns, report.Column{Title: c, Align: report.Right})
	}
	t := report.NewTable(columns...)
	for _, row := range a.Rows {
		t.Row(row...)
	}
	printf(cmd, "%s\n", t.Fit(report.Columns(cmd.OutOrStdout())))
	for _, tile := range a.Tiles {
		printf(cmd, "%s %s (%s)\n", tile.Name, tile.Value, tile.Note)
	}
	if r.without != nil {
		printf(cmd, "that is with --tta %s; without it %s\n", r.Views, withoutText(r.without))
	}
}

// withoutText is what eval without --tta would measure.
func withoutText(r *inference.Result) string {
	text := fmt.Sprintf("the loss is %.4f", r.Loss)
	switch {
	case r.Labels != nil:
		text += fmt.Sprintf(" and the mAP %.4f", r.Labels.MeanAveragePrecision)
	case r.Values != nil:
		text += fmt.Sprintf(" and the R² %.4f", r.Values.R2)
	}
	return text
}

// forTask says how many classes, labels or values a model has.
func forTask(about checkpoint.Model) string {
	n := len(about.Names())
	of := string(about.Task.Named())
	if n == 1 {
		of = about.Task.Singular()
	}
	return report.Count(int64(n)) + " " + of
}
