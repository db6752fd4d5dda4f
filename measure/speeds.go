package measure

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/roofline"
	"github.com/residual-ml/residual/internal/host"
	"github.com/residual-ml/residual/internal/number"
	"github.com/residual-ml/residual/internal/regular"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Speeds has the measured speeds of models on one machine, and is stored as a JSON file. A nil
// *Speeds has no model.
type Speeds struct {
	Machine string       `json:"machine"` // the processor and the device
	Go      string       `json:"go"`      // the version of Go
	Models  []ModelSpeed `json:"models"`  // in the order of models.Names
}

// ModelSpeed says how many images per second a model trains on and classifies in fp32.
type ModelSpeed struct {
	Model string  `json:"model"`
	Batch int     `json:"batch"`
	Train float64 `json:"train_images_per_second"`
	Infer float64 `json:"infer_images_per_second"`
	Date  string  `json:"date"` // such as 2026-01-31, in UTC
}

// How the speeds of all models are measured. Batches of large images are small, and a mode
// with long steps is measured only once, so that measuring all models on a processor with two
// cores takes minutes and not hours.
const (
	LargeBatch   = 64        // images
	SmallBatch   = 8         // images, if each has more than SmallImage pixels
	SmallImage   = 128 * 128 // pixels
	SpeedRepeats = 3         // number of measurements; the result is their median
	LongStep     = 200e9     // operations of a step; longer steps are measured once
)

// SpeedPlan says how the speed of a model will be measured.
type SpeedPlan struct {
	Model       models.Entry
	Batch       int
	TrainRepeat int // measurements in training
	InferRepeat int
	TrainWork   float64 // operations of all training steps, two for each multiply-add
	InferWork   float64
}

// Work returns the operations of all steps together.
func (p SpeedPlan) Work() float64 { return p.TrainWork + p.InferWork }

// PlanSpeeds plans the measurement of the models of these names.
func PlanSpeeds(names []string) ([]SpeedPlan, error) {
	plans := make([]SpeedPlan, len(names))
	for i, name := range names {
		e, err := models.Lookup(name)
		if err != nil {
			return nil, err
		}
		t, err := nn.Summary(e.New(models.Config{Blank: true}), tensor.Shape{1, e.Channels, e.Height, e.Width})
		if err != nil {
			return nil, err
		}
		p := SpeedPlan{Model: e, Batch: LargeBatch}
		if e.Height*e.Width > SmallImage {
			p.Batch = SmallBatch
		}
		forward := 2 * float64(t.MACs) * float64(p.Batch)
		p.InferRepeat, p.InferWork = planMode(forward)
		p.TrainRepeat, p.TrainWork = planMode(3 * forward) // and the two gradients of every product; see roofline.FLOPs
		plans[i] = p
	}
	return plans, nil
}

// planMode returns how often steps of so many operations are measured, and the operations of
// all of them.
func planMode(step float64) (repeat int, work float64) {
	repeat = SpeedRepeats
	if step > LongStep {
		repeat = 1
	}
	return repeat, step * float64(repeat+2) // Measure takes two more before
}

// ErrNoSpeeds is wrapped by the error of ReadSpeeds for a file with other content.
var ErrNoSpeeds = errors.New("no record of speeds")

// ReadSpeeds reads the file that Speeds.Save wrote.
func ReadSpeeds(path string) (*Speeds, error) {
	text, err := regular.ReadFile(path, 16<<20)
	if err != nil {
		return nil, err
	}
	var s Speeds
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("%s is %w (%w)", path, ErrNoSpeeds, err)
	}
	return &s, nil
}

// SpeedsOf reads the file at path, which must be of this machine with dev, or returns new
// Speeds if there is no such file.
func SpeedsOf(dev engine.Device, path string) (*Speeds, error) {
	s := &Speeds{Machine: fmt.Sprintf("%s, %s", host.CPU(), dev.Describe()), Go: runtime.Version()}
	old, err := ReadSpeeds(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case old.Machine != s.Machine:
		return nil, fmt.Errorf("%s has figures of another machine (%s; this is %s); give another file", path, old.Machine, s.Machine)
	default:
		s.Models = old.Models
	}
	return s, nil
}

// Save writes the file atomically.
func (s *Speeds) Save(path string) error {
	return checkpoint.WriteFile(path, func(w io.Writer) error { return number.Write(w, s, "  ") })
}

// Of returns the speed of a model, and false if it was not measured.
func (s *Speeds) Of(name string) (m ModelSpeed, ok bool) {
	if s == nil {
		return m, false
	}
	i := slices.IndexFunc(s.Models, func(m ModelSpeed) bool { return m.Model == name })
	if i < 0 {
		return m, false
	}
	return s.Models[i], true
}

// Put adds the speed of a model, or replaces an older one.
func (s *Speeds) Put(m ModelSpeed) {
	s.Models = append(slices.DeleteFunc(s.Models, func(old ModelSpeed) bool { return old.Model == m.Model }), m)
	names := models.Names()
	slices.SortStableFunc(s.Models, func(a, b ModelSpeed) int {
		return cmp.Compare(slices.Index(names, a.Model), slices.Index(names, b.Model))
	})
}

// Missing lists the models of the registry that were not measured.
func (s *Speeds) Missing() []string {
	return slices.DeleteFunc(models.Names(), func(name string) bool {
		_, known := s.Of(name)
		return known
	})
}

// SpeedProgress is the progress of Speeds.Measure.
type SpeedProgress struct {
	Done, Of int           // models
	Speed    ModelSpeed    // speed of the last model; zero if Done is 0
	Left     time.Duration // estimated time for the remaining models; 0 if it is not known
}

// Measure measures the models of plans and saves the file at path after each. Each model runs
// on a new device from open, which Measure closes. It calls progress at the beginning and after
// every model. Before the first model the remaining time is estimated from the CPU's peak.
func (s *Speeds) Measure(ctx context.Context, path string, plans []SpeedPlan, open func() (engine.Device, error), progress func(SpeedProgress)) error {
	if err := s.Save(path); err != nil { // so that a path that cannot be written is noticed first
		return err
	}
	peak, err := peakOf(open)
	if err != nil {
		return err
	}
	left, done := 0.0, 0.0
	for _, p := range plans {
		left += p.Work()
	}
	progress(SpeedProgress{Of: len(plans), Left: duration(left, peak/2)}) // models reach about half of the peak
	start := time.Now()
	for i, p := range plans {
		m, err := p.Measure(ctx, open)
		if err != nil {
			return fmt.Errorf("%s: %w; %s has the models before it, so that measuring those that are missing goes on", p.Model.Name, err, path)
		}
		s.Put(m)
		if err := s.Save(path); err != nil {
			return err
		}
		left, done = left-p.Work(), done+p.Work()
		progress(SpeedProgress{Done: i + 1, Of: len(plans), Speed: m, Left: duration(left, done/time.Since(start).Seconds())})
	}
	return nil
}

// Measure measures a model in both modes, each on a device of its own.
func (p SpeedPlan) Measure(ctx context.Context, open func() (engine.Device, error)) (ModelSpeed, error) {
	m := ModelSpeed{Model: p.Model.Name, Batch: p.Batch, Date: time.Now().UTC().Format(time.DateOnly)}
	var err error
	if m.Train, err = p.measure(ctx, open, Train, p.TrainRepeat); err == nil {
		m.Infer, err = p.measure(ctx, open, Infer, p.InferRepeat)
	}
	return m, err
}

// measure returns the images per second in one mode, rounded to four significant digits.
func (p SpeedPlan) measure(ctx context.Context, open func() (engine.Device, error), mode Mode, repeat int) (float64, error) {
	dev, err := open()
	if err != nil {
		return 0, err
	}
	defer dev.Close()
	w, err := New(Config{Model: p.Model, Mode: mode, Batch: p.Batch, Precision: engine.FP32, Repeat: repeat}, dev)
	if err != nil {
		return 0, err
	}
	defer w.Close()
	r, err := w.Measure(ctx)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strconv.FormatFloat(r.ImagesPerSecond, 'g', 4, 64), 64)
}

// peakOf returns the peak of the CPU in operations per second, or 0 for another device.
func peakOf(open func() (engine.Device, error)) (float64, error) {
	dev, err := open()
	if err != nil {
		return 0, err
	}
	defer dev.Close()
	return 1e9 * roofline.CPUPeak(dev, engine.FP32), nil
}

// duration returns how long so many operations take at a speed in operations per second. It is
// 0 if the speed is not known or there are none.
func duration(work, speed float64) time.Duration {
	if speed <= 0 || work <= 0 {
		return 0
	}
	return max(time.Second, time.Duration(work/speed*float64(time.Second)))
}
