package loop

import (
	"math"
	"strings"

	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/task"
)

// Metric is the measure by which the epochs of a training are compared. It is measured on the
// test set or, without one, on the images trained on.
type Metric string

// The metrics. Their values are also the words of the command line.
const (
	Accuracy         Metric = "accuracy"          // share of correct predictions
	Loss             Metric = "loss"              // mean loss; lower is better
	MacroF1          Metric = "macro-f1"          // mean of the classes' F1; needs a test set
	BalancedAccuracy Metric = "balanced-accuracy" // mean of the classes' recalls; needs a test set

	MeanAveragePrecision Metric = "map"  // of labels: mean of their average precisions
	MAE                  Metric = "mae"  // of values: mean absolute error, in their units; lower is better
	RMSE                 Metric = "rmse" // of values: root mean squared error, in their units; lower is better
	R2                   Metric = "r2"   // of values: coefficient of determination
	MeanIoU              Metric = "iou"  // of masks: mean of the classes' intersections over unions
)

// Metrics lists all metrics.
func Metrics() []Metric {
	return []Metric{Accuracy, Loss, MacroF1, BalancedAccuracy, MeanAveragePrecision, MAE, RMSE, R2, MeanIoU}
}

// MetricsOf lists the metrics of a task, its default first.
func MetricsOf(t task.Task) []Metric {
	switch t.Named() {
	case task.Labels:
		return []Metric{MeanAveragePrecision, MacroF1, Loss}
	case task.Values:
		return []Metric{R2, MAE, RMSE, Loss}
	case task.Masks:
		return []Metric{MeanIoU, Loss}
	}
	return []Metric{Accuracy, Loss, MacroF1, BalancedAccuracy}
}

// DefaultMetric returns the metric that chooses the best epoch if none is given.
func DefaultMetric(t task.Task, tested bool) Metric {
	if m := MetricsOf(t)[0]; tested || !m.needsTest() {
		return m
	}
	return Loss
}

// joined lists metrics for a message.
func joined(all []Metric) string {
	words := make([]string, len(all))
	for i, m := range all {
		words[i] = string(m)
	}
	return strings.Join(words, ", ")
}

// needsTest reports whether only an evaluation gives the metric.
func (m Metric) needsTest() bool { return m != Accuracy && m != Loss }

// lower reports whether a lower value is better.
func (m Metric) lower() bool { return m == Loss || m == MAE || m == RMSE }

// Column is the name of the metric's column in a table of epochs, or "" for accuracy and
// loss, which have columns anyway.
func (m Metric) Column() string {
	if m.needsTest() {
		return strings.ReplaceAll(string(m), "-", "_")
	}
	return ""
}

// of returns the metric of an epoch.
func (m Metric) of(e Epoch) float64 {
	switch m {
	case MacroF1:
		return e.MacroF1
	case MeanAveragePrecision, MAE, RMSE, R2, MeanIoU:
		return m.in(e.Test)
	case BalancedAccuracy:
		return e.BalancedAccuracy
	case Loss:
		if e.Test == nil {
			return e.Loss
		}
		return e.TestLoss
	}
	return e.Measured()
}

// in returns the metric of a result for another task than classes.
func (m Metric) in(r *forward.Result) float64 {
	switch {
	case r == nil:
	case m == MeanAveragePrecision && r.Labels != nil:
		return r.Labels.MeanAveragePrecision
	case m == MacroF1 && r.Labels != nil:
		return r.Labels.MacroF1
	case m == MAE && r.Values != nil:
		return r.Values.MAE
	case m == RMSE && r.Values != nil:
		return r.Values.RMSE
	case m == R2 && r.Values != nil:
		return r.Values.R2
	case m == MeanIoU && r.Masks != nil:
		return r.Masks.MeanIoU
	}
	return math.NaN()
}

// Measures lists the metrics that an evaluation of a task gives besides the loss, with their
// values, in the order of MetricsOf.
func (e Epoch) Measures(t task.Task) (list []Measure) {
	for _, m := range MetricsOf(t) {
		if m != Loss && m != Accuracy && e.Test != nil {
			list = append(list, Measure{m, m.of(e)})
		}
	}
	return list
}

// Measure is a metric with its value.
type Measure struct {
	Metric Metric
	Value  float64
}

// better reports whether a is better than b. Any number is better than NaN.
func (m Metric) better(a, b float64) bool {
	switch {
	case math.IsNaN(b) || math.IsNaN(a):
		return !math.IsNaN(a)
	case m.lower():
		return a < b
	}
	return a > b
}
