package loop

import (
	"math"
	"time"

	"github.com/residual-ml/residual/inference/forward"
)

// Events are functions that Fit calls while it trains, on its own goroutine. Each may be nil.
type Events struct {
	OnBatch func(BatchEvent)
	OnPoint func(Point) // five times an epoch
	OnEpoch func(Epoch)

	// OnUnreached is called once, before the first step, if the loss does not depend on some
	// parameters; see Trainer.Unreached.
	OnUnreached func(parameters []string)
}

// BatchEvent is the state of a training after a batch. With Options.Accumulate several batches
// make one step of the optimiser. Loss and Accuracy are means over the epoch so far.
type BatchEvent struct {
	Epoch, Batch    int // from 1
	Loss, Accuracy  float64
	LR              float32
	ImagesPerSecond float64 // in this epoch so far
}

// Point is a point of the training curves in the form of d2l: the means over the epoch so
// far, five times an epoch, at X epochs.
type Point struct {
	X              float64
	Loss, Accuracy float64
	LR             float32
	GradientNorm   float64 // of the first layer's weight: see Trainer.GradientNorm; NaN without Options.GradientNorm
}

// Epoch is the result of an epoch and its evaluation. Test values are NaN without a test set.
type Epoch struct {
	Epoch                  int // from 1
	Loss, Accuracy         float64
	TestLoss, TestAccuracy float64
	ImagesPerSecond        float64       // in training, without the evaluation
	Elapsed                time.Duration // including the evaluation
	Best                   bool          // better than every epoch before
	GradientNorm           float64       // mean over the epoch's batches; see Point

	// Measures on the test set; NaN and nil without one.
	MacroF1, BalancedAccuracy float64
	Confusion                 [][]int // see forward.Result
	Score                     float64 // the value of Options.Metric or Score, by which the best epoch is chosen

	// Test has all measures on the test set; nil without one. Accuracy and TestAccuracy are of
	// classes, and NaN for other tasks.
	Test *forward.Result

	// Temperature is what the logits must be divided by for probabilities that are as sure as
	// they are right on the test set: one number for classes, or one for each label; see
	// metrics.ClassTemperature. It is nil without a test set and for other tasks.
	Temperature []float64
}

// Measured is the accuracy on the test set, or the training's accuracy without a test set.
func (e Epoch) Measured() float64 {
	if math.IsNaN(e.TestAccuracy) {
		return e.Accuracy
	}
	return e.TestAccuracy
}

// Totals summarises a training. Values that were not measured are NaN.
type Totals struct {
	Epochs          int     // completed epochs
	Steps           int     // batches trained on, including those before a resumption
	Loss, Accuracy  float64 // means over the last epoch, completed or not
	TestAccuracy    float64 // after the last completed epoch
	BestAccuracy    float64 // accuracy of the best epoch, which is chosen by Options.Metric or Score
	BestScore       float64 // value of that metric for the best epoch
	BestEpoch       int
	Early           bool    // the training was ended by Options.Patience
	ImagesPerSecond float64 // over all batches since the start or resumption, including the wait for them
	Stopped         *Place  // where ctx ended the training; nil if it was not ended by ctx
}

// noTotals returns the totals of a training that has not begun.
func noTotals() Totals {
	return Totals{Loss: math.NaN(), Accuracy: math.NaN(), TestAccuracy: math.NaN(), BestAccuracy: math.NaN(), BestScore: math.NaN()}
}

// Place is a batch of a training, such as the last one before it was stopped.
type Place struct{ Epoch, Batch int }
