package train

import (
	"time"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/host"
	"github.com/residual-ml/residual/train/foresight"
)

// Forecast asks Run and Rehearse to estimate before the start how long a training will take,
// and may limit it. The zero value only asks for the estimate.
type Forecast struct {
	// Budget, above 0, is how long the program may take in all, counted from Begun. Of the
	// settings that are zero in the Config it chooses the length, and for a user's own images
	// also the model, their size and the batch, so that the training ends in this time; see
	// recipe.Offers. The length follows the speed of the machine while the training goes on, and
	// Config.Length records it.
	Budget time.Duration
	Begun  time.Time // zero: when Run is called
	// Memory, above 0, is the available memory in bytes. A budget chooses no training that
	// needs more.
	Memory int64

	Epoch func() time.Duration                     // measures the caller's work after every epoch, such as drawing curves; may be nil
	After func(e foresight.Estimate) time.Duration // measures the caller's work after the training, such as a report; e has no Total yet; may be nil
}

// fits returns an *engine.MemoryError if so many bytes are more than Memory.
func (f *Forecast) fits(bytes int64) error {
	if err := (host.Memory{Free: f.Memory}).Fits(bytes); err != nil {
		return &engine.MemoryError{Err: err}
	}
	return nil
}

// unset records which settings were not given, so that a budget may choose them.
type unset struct {
	model, size, shorter, batch, rate, augment, crop, epochs bool

	images int // training images, if they were counted
	side   int // the median of the shorter sides of the images, in pixels; 0 if it is not known
	repeat int // Config.Repeat as given

	cropScale float64 // Config.CropScale as given
}
