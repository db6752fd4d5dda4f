package loop

import (
	"math"
	"strings"
)

// Metric is what the epochs of a training are compared by: of the test images where
// there are any, else of those trained on.
type Metric string

// The metrics, by the words of settings.yaml.
const (
	Accuracy         Metric = "accuracy"          // share of right answers
	Loss             Metric = "loss"              // mean cross-entropy: less is better
	MacroF1          Metric = "macro-f1"          // mean of the classes' F1; needs a test set
	BalancedAccuracy Metric = "balanced-accuracy" // mean of the classes' recalls; needs a test set
)

// Metrics lists them.
func Metrics() []Metric { return []Metric{Accuracy, Loss, MacroF1, BalancedAccuracy} }

// needsTest says that it is of a confusion matrix, which only an evaluation counts.
func (m Metric) needsTest() bool { return m == MacroF1 || m == BalancedAccuracy }

// Column is what the metric is called in a table of metrics; "" where accuracy or loss
// are columns already.
func (m Metric) Column() string {
	if m.needsTest() {
		return strings.ReplaceAll(string(m), "-", "_")
	}
	return ""
}

// of is the metric of an epoch.
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

// better reports whether a is better than b; a number is better than none.
func (m Metric) better(a, b float64) bool {
	switch {
	case math.IsNaN(b) || math.IsNaN(a):
		return !math.IsNaN(a)
	case m == Loss:
		return a < b
	}
	return a > b
}
