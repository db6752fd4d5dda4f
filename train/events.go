package train

import (
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/train/foresight"
	"github.com/residual-ml/residual/train/loop"
)

// What a training tells of itself; see package loop.
type (
	Step   = loop.Step
	Point  = loop.Point
	Epoch  = loop.Epoch
	Totals = loop.Totals
	Place  = loop.Place
	Metric = loop.Metric

	Measure = loop.Measure
	Teacher = loop.Teacher
)

// The words of Config.Metric and Config.Freeze.
const (
	Accuracy         = loop.Accuracy
	Loss             = loop.Loss
	MacroF1          = loop.MacroF1
	BalancedAccuracy = loop.BalancedAccuracy

	MeanAveragePrecision = loop.MeanAveragePrecision
	MAE                  = loop.MAE
	RMSE                 = loop.RMSE
	R2                   = loop.R2
	MeanIoU              = loop.MeanIoU

	FreezeStem     = loop.FreezeStem
	FreezeBackbone = loop.FreezeBackbone

	DefaultTemperature  = loop.DefaultTemperature
	DefaultTeacherShare = loop.DefaultTeacherShare
)

// DefaultMetric is the metric of a task where Config.Metric is empty; see loop.DefaultMetric.
func DefaultMetric(t task.Task, tested bool) Metric { return loop.DefaultMetric(t, tested) }

// Callbacks hear of a training as it goes on, from its goroutine. Any may be nil.
type Callbacks struct {
	OnData  func(done, total int64, what string) // a download or a drawing, see data.Options
	OnStart func(Start)                          // all is checked and compiled
	OnStep  func(Step)
	OnPoint func(Point) // five times an epoch
	OnEpoch func(Epoch)
}

// Start is known before the first step.
type Start struct {
	Config          Config // as resolved; empty when a Trainer is used by itself
	Dir             string // the run's folder
	Parameters      int64
	Pictures, Tests int
	Batches         int   // in an epoch
	Shared          []int // the images of its last batches, where these share them: see data.Loader.Shared
	PlannedBytes    int64
	Past            *Past        // nil unless a run is resumed
	Changes         []string     // of what Config.Weights has, to suit the model
	Photos          *Photos      // of a user's own images; nil for a data set with a name
	Targets         task.Targets // of the images, and what the model answers

	Estimate *foresight.Estimate // nil unless Config.Forecast asks for it, and for a training of a moment
	Chosen   []string            // to keep to Forecast.Budget: what, and why
}

// Past is what a resumed run has behind it, as its metrics tell.
type Past struct {
	Epochs, Steps int // completed
	Points        []Point
	Tests         []Epoch // of which only the numbers and rates are known
}

// events are the callbacks of the loop itself.
func (cb Callbacks) events() loop.Events {
	return loop.Events{OnStep: cb.OnStep, OnPoint: cb.OnPoint, OnEpoch: cb.OnEpoch}
}
