package train

import (
	"context"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/train/foresight"
	"github.com/residual-ml/residual/train/loop"
)

// What a training reports as it goes on; see package loop.
type (
	BatchEvent = loop.BatchEvent
	Point      = loop.Point
	Epoch      = loop.Epoch
	Totals     = loop.Totals
	Place      = loop.Place

	Measure = loop.Measure
	Shown   = loop.Shown
)

// Callbacks are called by a training as it goes on, from its goroutine. Any may be nil.
type Callbacks struct {
	OnData  func(done, total int64, what string) // while data are downloaded, drawn or read; see data.Options
	OnStart func(Start)                          // after everything was checked and compiled
	OnBatch func(BatchEvent)
	OnPoint func(Point) // five times per epoch
	OnEpoch func(Epoch)

	// OnUnreached is called once, before the first step, if the loss does not depend on some
	// parameters of the module, which are then not trained.
	OnUnreached func(parameters []string)
}

// events returns the callbacks of the loop itself.
func (cb Callbacks) events() loop.Events {
	return loop.Events{OnBatch: cb.OnBatch, OnPoint: cb.OnPoint, OnEpoch: cb.OnEpoch, OnUnreached: cb.OnUnreached}
}

// Start is what is known before the first step.
type Start struct {
	Config        Config // as resolved
	Dir           string // the run's folder
	Parameters    int64
	Images, Tests int          // numbers of images to train and to test on
	Batches       int          // per epoch
	Shared        []int        // sizes of an epoch's last batches, if these share their images evenly: see data.Loader.Shared
	PlannedBytes  int64        // see Summary.PlannedBytes
	Past          *Past        // nil unless the run is resumed
	Changes       []string     // how the values in the file Config.Weights were changed to suit the model
	Targets       task.Targets // what the images have, and what the model answers
	Photos        *Photos      // what was found in a user's own images; nil for a data set with a name

	Estimate *foresight.Estimate // nil unless Config.Forecast asks for it, and for a training of a few seconds
	Chosen   []string            // what Forecast.Budget chose, and why, as sentences

	// FirstBatch returns the first batch of the training as the network gets it; see
	// loop.Trainer.FirstBatch. It may be called within OnStart.
	FirstBatch func(context.Context) ([]Shown, error)
}

// Past is what a resumed run did before, according to its metrics.
type Past struct {
	Epochs, Steps int // completed
	Points        []Point
	Tests         []Epoch // with the numbers of the metrics files only
}

// Summary is the result of a run. A number that was not measured is NaN.
type Summary struct {
	Totals
	Config       Config // as resolved
	Device       string
	Test         data.Dataset  // the images that the model was tested on
	Dir          string        // the run's folder
	Best, Last   string        // model files; empty if none was written, or if something else removed it since
	LastEpoch    int           // the epoch of the weights in Last
	Missing      []string      // files of the run that something else removed while it trained
	State        string        // the file that OpenRun resumes from; empty before the end of an epoch
	Elapsed      time.Duration // including the time before the run was resumed
	PlannedBytes int64         // memory of all compiled programs, parameters and buffers
	PeakBytes    int64         // the largest memory of the process; 0 if the system does not say
}
