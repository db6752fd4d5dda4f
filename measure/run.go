package measure

import (
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/residual-ml/residual/engine/devices"
	"github.com/residual-ml/residual/engine/roofline"
	"github.com/residual-ml/residual/internal/host"
)

// Describe returns a Result that says what a step computes. It runs nothing, so everything that
// Measure measures is zero.
func (w *Workload) Describe() *Result {
	r := w.newResult(0)
	r.Measurements = []float64{}
	r.Steps = w.describe(w.config.Peaks)
	r.Work = roofline.Sum(r.Steps, w.config.Peaks)
	return r
}

// Measure warms up and takes Config.Repeat measurements, at least one, each with as many steps
// as take a fifth of a second. Immediately before and after these it measures the peak of the
// CPU. If ctx ends, Measure returns an error that wraps that of ctx, and if the device fails,
// the device's error.
func (w *Workload) Measure(ctx context.Context) (*Result, error) {
	c, dev := w.config, w.program.Device()
	for range c.Warmup {
		if err := w.Step(); err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, &interrupted{cause: ctx.Err()}
		}
	}
	start := time.Now()
	if err := w.Step(); err != nil {
		return nil, err
	}
	r := w.newResult(max(1, int(shortest/max(time.Since(start), time.Microsecond))))
	peaks := c.Peaks
	if peaks == nil && devices.Threads(dev) == 0 {
		var err error
		if peaks, err = roofline.Measure(dev, c.Precision); err != nil {
			return nil, err
		}
	}
	r.Steps = w.describe(peaks)
	r.Work = roofline.Sum(r.Steps, peaks)
	r.PeakBefore = roofline.CPUPeak(dev, c.Precision)
	if err := w.repeat(ctx, r); err != nil {
		return nil, err
	}
	r.PeakAfter = roofline.CPUPeak(dev, c.Precision)
	r.PeakRSSBytes = host.PeakMemory()
	if w.alone != nil {
		var err error
		if r.LoaderImagesPerSecond, err = loaderSpeed(ctx, w.alone); err != nil {
			return nil, err
		}
	}
	r.summarise(w.flops)
	if c.Profile {
		w.profile(r.Steps)
	}
	return r, dev.Err()
}

// repeat takes the measurements and counts the objects that are allocated during each. The
// median is used for the objects, too, since the runtime occasionally allocates its own.
func (w *Workload) repeat(ctx context.Context, r *Result) error {
	repeat := max(1, w.config.Repeat)
	var before, after runtime.MemStats
	r.Measurements = make([]float64, 0, repeat)
	allocations := make([]float64, 0, repeat)
	runtime.GC()
	if err := w.Step(); err != nil { // the collection emptied the pools of the runtime, and this step fills them again
		return err
	}
	for range repeat {
		runtime.ReadMemStats(&before)
		start := time.Now()
		for range r.StepsPerRepeat {
			if err := w.Step(); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return &interrupted{done: len(r.Measurements), of: repeat, cause: ctx.Err()}
			}
		}
		r.Measurements = append(r.Measurements, float64(r.Batch*r.StepsPerRepeat)/time.Since(start).Seconds())
		runtime.ReadMemStats(&after)
		allocations = append(allocations, float64(after.Mallocs-before.Mallocs)/float64(r.StepsPerRepeat))
	}
	r.AllocationsPerStep = median(allocations)
	return nil
}

// profile times every step of the program in a number of runs that takes about a second, and
// then the optimiser's pass, which comes last in steps.
func (w *Workload) profile(steps []roofline.StepCost) {
	const fewest, most, budget = 5, 100, time.Second
	var runs [][]time.Duration
	for start := time.Now(); len(runs) < fewest || len(runs) < most && time.Since(start) < budget; {
		runs = append(runs, w.program.Profile())
	}
	took := make([]float64, len(runs))
	for i := range w.program.Steps() {
		for r := range runs {
			took[r] = runs[r][i].Seconds() * 1e3
		}
		steps[i].Milliseconds, steps[i].Least = median(took), slices.Min(took)
	}
	if w.config.Mode != Train {
		return
	}
	took = took[:fewest]
	for r := range took {
		const passes = 8 // before each wait for the device
		start := time.Now()
		for range passes {
			w.program.Step(w.optimizer, rate)
		}
		w.program.Read(w.output, w.result) // waits
		took[r] = time.Since(start).Seconds() * 1e3 / passes
	}
	last := &steps[len(steps)-1]
	last.Milliseconds, last.Least = median(took), slices.Min(took)
}
