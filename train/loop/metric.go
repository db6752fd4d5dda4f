package loop

import (
	"math"
	"strings"
)

// Metric is the measure by which the epochs of a training are compared. It is measured on the
// test set or, without one, on the images trained on.
type Metric string

// The metrics. Their values are also the words of the command line.
const (
	Accuracy         Metric = "accuracy"          // share of correct predictions
	Loss             Metric = "loss"              // mean cross-entropy; lower is better
	MacroF1          Metric = "macro-f1"          // mean of the classes' F1; needs a test set
	BalancedAccuracy Metric = "balanced-accuracy" // mean of the classes' recalls; needs a test set
)

// Metrics lists all metrics.
func Metrics() []Metric { return []Metric{Accuracy, Loss, MacroF1, BalancedAccuracy} }

// needsTest reports whether the metric needs a confusion matrix, which only an evaluation
// gives.
func (m Metric) needsTest() bool { return m == MacroF1 || m == BalancedAccuracy }

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
	case BalancedAccuracy:
		return e.BalancedAccuracy
	case Loss:
		if e.Confusion == nil {
			return e.Loss
		}
		return e.TestLoss
	}
	return e.Measured()
}

// better reports whether a is better than b. Any number is better than NaN.
func (m Metric) better(a, b float64) bool {
	switch {
	case math.IsNaN(b) || math.IsNaN(a):
		return !math.IsNaN(a)
	case m == Loss:
		return a < b
	}
	return a > b
}
