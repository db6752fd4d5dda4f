// Package measure measures speed: how many images per second a model trains on or classifies
// on a device, how many images per second the loader prepares from files, and how long weights
// take to load. `residual bench` and `residual models --measure` print its results.
//
//	w, err := measure.New(measure.Config{Model: entry, Mode: measure.Train, Batch: 64, Repeat: 10}, device)
//	if err != nil {
//		return err
//	}
//	defer w.Close()
//	r, err := w.Measure(ctx)
//	fmt.Println(r.ImagesPerSecond)
//
// The important types are:
//
//   - Workload, a compiled training or inference step with a batch to feed it; Workload.Measure
//     returns a Result;
//   - PhotosResult and WeightsResult, which the functions Photos and Weights return;
//   - Speeds, a file with the speeds of many models on one machine.
//
// Package engine/roofline computes the least time that the steps need.
package measure

import (
	"fmt"
	"slices"
	"time"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/roofline"
	"github.com/residual-ml/residual/models"
)

// Mode says what a step does.
type Mode string

// The modes of a Workload.
const (
	Train Mode = "train" // feed a batch, run the forward and backward pass, update the weights
	Infer Mode = "infer" // feed a batch, run the forward pass, read the logits
)

// Config says what a Workload computes and how often it is measured.
type Config struct {
	Model     models.Entry
	Mode      Mode
	Batch     int // images in a batch, above 0
	Size      int // height and width of the images in pixels; 0: the model's own
	Precision engine.Precision
	Recompute bool // recompute activations in the backward pass; only in training

	Repeat int // number of measurements, above 0; the result is their median
	Warmup int // steps before the first measurement

	Profile bool            // Measure also times every step of the program
	Peaks   *roofline.Peaks // rates from which the floor is computed; nil: on a GPU they are measured, on the CPU there is no floor
}

// A ConfigError says that the value of a setting cannot be used.
type ConfigError struct {
	Field string // of Config, or Data for the data set of FeedLoader and FeedPhotos
	Err   error  // says which values can be used
}

func (e *ConfigError) Error() string { return "measure: " + e.Field + ": " + e.Err.Error() }

// Unwrap returns the error without the name of the field.
func (e *ConfigError) Unwrap() error { return e.Err }

func wrong(field, format string, args ...any) error {
	return &ConfigError{field, fmt.Errorf(format, args...)}
}

func (c *Config) check() error {
	switch {
	case c.Model.New == nil:
		return wrong("Model", "it is empty; models.Lookup finds one by name")
	case c.Mode != Train && c.Mode != Infer:
		return wrong("Mode", "%q is not known; choose %s or %s", c.Mode, Train, Infer)
	case c.Batch < 1:
		return wrong("Batch", "%d images; give a number above 0", c.Batch)
	case c.Size < 0:
		return wrong("Size", "%d pixels; give a number above 0, or 0 for the model's own", c.Size)
	case c.Repeat < 0 || c.Warmup < 0:
		return wrong("Repeat", "%d measurements after a warmup of %d steps; neither can be negative", c.Repeat, c.Warmup)
	case c.Precision == engine.INT8 && c.Mode == Train:
		return wrong("Precision", "int8 computes inference only; train in another precision")
	case c.Recompute && c.Mode != Train:
		return wrong("Recompute", "inference keeps no activations that it could compute again")
	}
	return nil
}

// Result has the measurements of a Workload.
type Result struct {
	Model     string `json:"model"`
	Mode      Mode   `json:"mode"`
	Batch     int    `json:"batch"`
	Channels  int    `json:"channels"`
	Height    int    `json:"height"`
	Width     int    `json:"width"`
	Device    string `json:"device"`
	Threads   int    `json:"threads"` // of the CPU; 0 for a GPU
	Kernels   string `json:"kernels"` // the instruction set of the CPU's kernels, or a description of the GPU
	Precision string `json:"precision"`
	Recompute bool   `json:"recompute"`
	Feed      Feed   `json:"feed"`
	Data      string `json:"data,omitempty"` // of the loader; empty without one

	Repeat             int       `json:"repeat"`
	Warmup             int       `json:"warmup"`
	StepsPerRepeat     int       `json:"steps_per_repeat"`
	ImagesPerSecond    float64   `json:"images_per_second"` // the median of the measurements
	ImagesPerSecondMin float64   `json:"images_per_second_min"`
	ImagesPerSecondMax float64   `json:"images_per_second_max"`
	Spread             float64   `json:"spread"` // (max - min) / median
	Measurements       []float64 `json:"measurements"`
	StepMilliseconds   float64   `json:"step_milliseconds"` // in the median measurement

	LoaderImagesPerSecond float64 `json:"loader_images_per_second,omitempty"` // of the loader without the model, on one core

	GFLOPPerImage      float64 `json:"gflop_per_image"`
	GFLOPPerSecond     float64 `json:"gflop_per_second"`
	PeakGFLOPPerSecond float64 `json:"peak_gflop_per_second"` // mean of the peaks before and after; 0 if it is not measured, as on a GPU
	PeakBefore         float64 `json:"peak_gflop_per_second_before"`
	PeakAfter          float64 `json:"peak_gflop_per_second_after"`
	FractionOfPeak     float64 `json:"fraction_of_peak"`

	PlannedBytes       int64   `json:"planned_bytes"`
	ArenaBytes         int64   `json:"arena_bytes"`
	OwnBytes           int64   `json:"own_bytes"`
	ScratchBytes       int64   `json:"scratch_bytes"`
	VariableBytes      int64   `json:"variable_bytes"`
	PeakRSSBytes       int64   `json:"peak_rss_bytes"`       // of the process; 0 if the system does not report it
	AllocationsPerStep float64 `json:"allocations_per_step"` // objects on Go's heap, the median of the measurements

	roofline.Work

	// Profile and Steps are two views of the program's steps. Measure and Describe return
	// all steps in Steps; to show them by kind, move them to Profile with roofline.ByKind.
	Profile []roofline.Kind     `json:"profile,omitempty"`
	Steps   []roofline.StepCost `json:"steps,omitempty"`
}

// summarise computes the other numbers from the measurements, for steps of so many operations.
func (r *Result) summarise(flops float64) {
	r.ImagesPerSecond = median(r.Measurements)
	r.ImagesPerSecondMin, r.ImagesPerSecondMax = slices.Min(r.Measurements), slices.Max(r.Measurements)
	r.Spread = (r.ImagesPerSecondMax - r.ImagesPerSecondMin) / r.ImagesPerSecond
	r.StepMilliseconds = 1e3 * float64(r.Batch) / r.ImagesPerSecond
	r.GFLOPPerImage = flops / float64(r.Batch) / 1e9
	r.GFLOPPerSecond = r.GFLOPPerImage * r.ImagesPerSecond
	r.PeakGFLOPPerSecond = (r.PeakBefore + r.PeakAfter) / 2
	if r.PeakGFLOPPerSecond > 0 {
		r.FractionOfPeak = r.GFLOPPerSecond / r.PeakGFLOPPerSecond
	}
}

// median returns the middle value, or the mean of the two in the middle.
func median(values []float64) float64 {
	sorted, n := slices.Sorted(slices.Values(values)), len(values)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// interrupted is the error of measurements that the end of the context interrupted.
type interrupted struct {
	done, of int // measurements
	cause    error
}

func (e *interrupted) Error() string {
	if e.done == 0 {
		return "interrupted before the first measurement"
	}
	return fmt.Sprintf("interrupted after %d of %d measurements", e.done, e.of)
}

func (e *interrupted) Unwrap() error { return e.cause }

// Feed is where the batch of a step comes from.
type Feed string

// The sources of batches.
const (
	FeedMemory Feed = "memory" // the same batch of random images in every step, from the host's memory
	FeedLoader Feed = "loader" // a new one from the loader, as in training
	FeedPhotos Feed = "photos" // a new one from the loader, of JPEG files that are decoded in every epoch
	FeedNone   Feed = "none"   // the batch stays on the device
)

// shortest is the least duration of a measurement.
const shortest = 200 * time.Millisecond
