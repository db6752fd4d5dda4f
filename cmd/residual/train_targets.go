package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/train"
)

// foundTargets tells of the labels or values of a list, in place of the counts of classes.
func foundTargets(x *folder.Index) string {
	names := x.Targets.Names
	text := fmt.Sprintf("%s: %s images with %d %s: ", x.Path(), report.Count(int64(len(x.Items))), len(names), x.Targets.Task)
	if x.Targets.Task == task.Labels {
		return text + eachClass(names, x.CountLabels("")) + "\n"
	}
	return text + few(names) + "\n"
}

// ofClasses reports whether the training is of images with one class each.
func (v *trainView) ofClasses() bool { return v.begun.Targets.Task.Named() == task.Classes }

// newCurves are the curves that the training draws: of classes d2l's, of other tasks the losses.
func newCurves(s train.Start) *report.Curves {
	if s.Targets.Task.Named() == task.Classes {
		return report.NewCurves(s.Config.Epochs)
	}
	return report.NewCurves(s.Config.Epochs, report.TrainLoss, report.TestLoss)
}

// measures are the measures of an epoch's evaluation as text, for tasks other than classes.
func (v *trainView) measures(e train.Epoch) (texts []string) {
	if v.ofClasses() || e.Test == nil {
		return nil
	}
	texts = append(texts, "test loss "+shortNumber(e.TestLoss))
	for _, m := range e.Measures(v.begun.Targets.Task) {
		if !math.IsNaN(m.Value) {
			texts = append(texts, fmt.Sprintf("test %s %s", m.Metric, shortNumber(m.Value)))
		}
	}
	return texts
}

// shortNumber writes a number in any unit.
func shortNumber(v float64) string {
	if a := math.Abs(v); a != 0 && (a >= 1e5 || a < 0.01) {
		return fmt.Sprintf("%.4g", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// learnt keeps what an epoch was measured to be, for the last lines.
func (v *trainView) learnt(e train.Epoch) []string {
	v.measured = map[string]float64{}
	if !v.ofClasses() {
		v.curves.Add(report.TestLoss, float64(e.Epoch), e.TestLoss)
		for _, m := range e.Measures(v.begun.Targets.Task) {
			v.measured[m.Metric.Column()] = m.Value
		}
	}
	v.last = v.measures(e)
	return v.last
}

// scored is the score of the best epoch by the metric that chose it.
func (v *trainView) scored(s train.Summary) string {
	if v.ofClasses() {
		return fmt.Sprintf("test acc %.3f%s", s.BestAccuracy, bestBy(s))
	}
	metric := s.Config.Metric
	if metric == "" {
		metric = string(train.DefaultMetric(v.begun.Targets.Task, v.begun.Tests > 0))
	}
	return fmt.Sprintf("%s %s", metric, shortNumber(s.BestScore))
}

// lastLine is the line of the last epoch's measures for tasks other than classes.
func (v *trainView) lastLine(s train.Summary) string {
	return strings.Join(append([]string{"loss " + shortNumber(s.Loss)}, v.last...), ", ")
}

// taught says what the training learns from besides its images; "" where that is nothing.
func taught(c train.Config) string {
	if c.Teacher == "" {
		return ""
	}
	share, temperature := c.TeacherShare, c.TeacherTemperature
	if share == 0 {
		share = train.DefaultTeacherShare
	}
	if temperature == 0 {
		temperature = train.DefaultTemperature
	}
	return fmt.Sprintf("learns from the outputs of %s, with the share %v at the temperature %v\n", c.Teacher, share, temperature)
}

// accuracy is that of the training; NaN for tasks that have none.
func (v *trainView) accuracy(s train.Summary) float64 {
	if !v.ofClasses() {
		return math.NaN()
	}
	return s.Accuracy
}

// bestBy is the figure by which the best epoch was chosen, unless that is its accuracy.
func bestBy(s train.Summary) string {
	if m := s.Config.Metric; m != "" && m != string(train.Accuracy) {
		return fmt.Sprintf(", %s %.3f", m, s.BestScore)
	}
	return ""
}
