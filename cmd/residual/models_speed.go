package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/internal/host"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// speeds are the measured speeds of models on one machine, as a file keeps them.
type speeds struct {
	Machine string       `json:"machine"`
	Go      string       `json:"go"`
	Models  []modelSpeed `json:"models"` // in the order of the list of models
}

// modelSpeed is how many images a second a model takes, in fp32.
type modelSpeed struct {
	Model string  `json:"model"`
	Batch int     `json:"batch"`
	Train float64 `json:"train_images_per_second"`
	Infer float64 `json:"infer_images_per_second"`
	Date  string  `json:"date"`
}

// Batches are large where images are small, and small where a step takes long. A step
// of long work is measured once, else every model together would take hours on a
// processor of two cores, not minutes.
const (
	smallBatch, largeBatch = 8, 64
	smallImage             = 128 * 128 // pixels
	longWork               = 200e9     // floating-point operations
	speedRepeats           = 3
)

func speedBatch(e models.Entry) int {
	if e.Height*e.Width > smallImage {
		return smallBatch
	}
	return largeBatch
}

// speedPlan is what there is to do for the speed of a model in one mode.
type speedPlan struct {
	mode   string
	repeat int
	work   float64 // floating-point operations of all steps, as plain sums
}

// planSpeed plans a step of macs multiply-adds an image; stepFLOPs has the factors.
func planSpeed(mode string, macs int64, batch int) speedPlan {
	step := 2 * float64(macs) * float64(batch)
	if mode == "train" {
		step *= 3
	}
	p := speedPlan{mode: mode, repeat: speedRepeats}
	if step > longWork {
		p.repeat = 1
	}
	p.work = step * float64(p.repeat+2) // measure takes two more before
	return p
}

// planSpeeds plans both modes of each of the models.
func planSpeeds(names []string) ([][2]speedPlan, error) {
	plans := make([][2]speedPlan, len(names))
	for i, name := range names {
		e, err := lookupModel(name)
		if err != nil {
			return nil, err
		}
		t, err := nn.Summary(e.New(models.Config{Blank: true}), tensor.Shape{1, e.Channels, e.Height, e.Width})
		if err != nil {
			return nil, err
		}
		for j, mode := range []string{"train", "infer"} {
			plans[i][j] = planSpeed(mode, t.MACs, speedBatch(e))
		}
	}
	return plans, nil
}

func readSpeeds(path string) (*speeds, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--speed: %w", err)
	}
	var s speeds
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("--speed: %s is no record of speeds (%w); `residual models --measure` writes one", path, err)
	}
	return &s, nil
}

// of is what is known of a model.
func (s *speeds) of(name string) (m modelSpeed, ok bool) {
	if s == nil {
		return m, false
	}
	i := slices.IndexFunc(s.Models, func(m modelSpeed) bool { return m.Model == name })
	if i < 0 {
		return m, false
	}
	return s.Models[i], true
}

// put keeps m in the place that the list of models gives it.
func (s *speeds) put(m modelSpeed) {
	s.Models = append(slices.DeleteFunc(s.Models, func(old modelSpeed) bool { return old.Model == m.Model }), m)
	names := models.Names()
	slices.SortStableFunc(s.Models, func(a, b modelSpeed) int {
		return cmp.Compare(slices.Index(names, a.Model), slices.Index(names, b.Model))
	})
}

// line says what the figures are.
func (s *speeds) line() string {
	if len(s.Models) == 0 {
		return "No speed has been measured.\n"
	}
	var days []string
	for _, m := range s.Models {
		days = append(days, m.Date)
	}
	day := slices.Min(days)
	if last := slices.Max(days); last != day {
		day += " to " + last
	}
	return fmt.Sprintf("Speed is images a second in training and in inference, in fp32 on random images of the input's size, %d at a time, or %d where\n"+
		"they are no larger than 128x128: the middle of %d measurements, or one where a step has over %.0f billion operations. Measured on\n"+
		"%s, %s, with %s.\n",
		smallBatch, largeBatch, speedRepeats, longWork/1e9, s.Machine, day, s.Go)
}

// measureModels adds the speeds of the models of these names to the file at path, all
// that it lacks when there are no names. It is saved after every model.
func measureModels(ctx context.Context, cmd *cobra.Command, path string, names []string) error {
	f := benchFlags{feed: feedMemory, device: deviceFlags{kernels: "auto", device: "auto", precision: "fp32"}}
	s, power, err := f.speedsHere(path)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = slices.DeleteFunc(models.Names(), func(name string) bool {
			_, known := s.of(name)
			return known
		})
	}
	if len(names) == 0 {
		printf(cmd, "%s has every model; name those that are to be measured again\n", path)
		return nil
	}
	plans, err := planSpeeds(names)
	if err != nil {
		return err
	}
	if err := s.save(path); err != nil { // before there is something to lose
		return err
	}
	left, done := 0.0, 0.0
	for _, p := range plans {
		left += p[0].work + p[1].work
	}
	printf(cmd, "%s to measure%s\n", plural(len(names), "model"), inAbout(left, power/2)) // half the peak, until there is something to go by
	start := time.Now()
	for i, name := range names {
		m, err := f.speedOf(ctx, name, plans[i])
		if err != nil {
			return fmt.Errorf("%s: %w; %s has the models before it, and the same command goes on", name, err, path)
		}
		s.put(m)
		if err := s.save(path); err != nil {
			return err
		}
		work := plans[i][0].work + plans[i][1].work
		left, done = left-work, done+work
		rest := ""
		if i+1 < len(names) {
			rest = inAbout(left, done/time.Since(start).Seconds()) + " more"
		}
		printf(cmd, "%d of %d: %s, %s images/s in training, %s in inference%s\n", i+1, len(names), name, rate(m.Train), rate(m.Infer), rest)
	}
	return nil
}

// inAbout says how long work takes at a speed, both in operations; nothing where the
// speed is not known.
func inAbout(work, speed float64) string {
	if speed <= 0 {
		return ""
	}
	return "; " + about(max(time.Second, time.Duration(work/speed*float64(time.Second))))
}

// speedOf measures one model.
func (f *benchFlags) speedOf(ctx context.Context, name string, plan [2]speedPlan) (modelSpeed, error) {
	e, err := lookupModel(name)
	if err != nil {
		return modelSpeed{}, err
	}
	f.model, f.batch = name, speedBatch(e)
	m := modelSpeed{Model: name, Batch: f.batch, Date: time.Now().UTC().Format(time.DateOnly)}
	if m.Train, err = f.speed(ctx, e, plan[0]); err == nil {
		m.Infer, err = f.speed(ctx, e, plan[1])
	}
	return m, err
}

// speedsHere is the record at path, which must be of this machine, or a new one, and
// the machine's peak in operations a second, 0 of a device whose peak is not measured.
func (f *benchFlags) speedsHere(path string) (*speeds, float64, error) {
	dev, err := f.device.open()
	if err != nil {
		return nil, 0, err
	}
	defer dev.Close()
	s := &speeds{Machine: fmt.Sprintf("%s, %s", host.CPU(), dev.Describe()), Go: runtime.Version()}
	old, err := readSpeeds(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, 0, err
	case old.Machine != s.Machine:
		return nil, 0, fmt.Errorf("--speed: %s has figures of another machine (%s; this is %s); give another file", path, old.Machine, s.Machine)
	default:
		s.Models = old.Models
	}
	return s, 1e9 * peak(dev, f.device.on(dev)), nil
}

// speed is the images a second of a model, in as many digits as mean something.
func (f *benchFlags) speed(ctx context.Context, e models.Entry, plan speedPlan) (float64, error) {
	dev, err := f.device.open()
	if err != nil {
		return 0, err
	}
	defer dev.Close()
	f.mode, f.repeat = plan.mode, plan.repeat
	w, err := newWorkload(e, f, dev)
	if err != nil {
		return 0, err
	}
	r, err := f.measure(ctx, w, dev)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strconv.FormatFloat(r.ImagesPerSecond, 'g', 4, 64), 64)
}

func (s *speeds) save(path string) error {
	return checkpoint.WriteFile(path, func(w io.Writer) error { return printJSON(w, s) })
}
