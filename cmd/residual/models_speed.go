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
	"github.com/residual-ml/residual/models"
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

// Batches are large where images are small, and small where a step takes long.
const (
	smallBatch, largeBatch = 8, 128
	smallImage             = 128 * 128 // pixels
)

func speedBatch(e models.Entry) int {
	if e.Height*e.Width > smallImage {
		return smallBatch
	}
	return largeBatch
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
		"they are no larger than 128x128: the middle of three measurements on %s, %s, with %s.\n",
		smallBatch, largeBatch, s.Machine, day, s.Go)
}

// measureModels adds the speeds of the models of these names to the file at path, all
// that it lacks when there are no names. It is saved after every model.
func measureModels(ctx context.Context, cmd *cobra.Command, path string, names []string) error {
	f := benchFlags{repeat: 3, warmup: 1, feed: feedMemory, device: deviceFlags{kernels: "auto", device: "auto", precision: "fp32"}}
	s, err := f.speedsHere(path)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = slices.DeleteFunc(models.Names(), func(name string) bool {
			_, known := s.of(name)
			return known
		})
	}
	for i, name := range names {
		e, err := lookupModel(name)
		if err != nil {
			return err
		}
		f.model, f.batch = name, speedBatch(e)
		m := modelSpeed{Model: name, Batch: f.batch, Date: time.Now().UTC().Format(time.DateOnly)}
		if m.Train, err = f.speed(ctx, e, "train"); err == nil {
			m.Infer, err = f.speed(ctx, e, "infer")
		}
		if err != nil {
			return fmt.Errorf("%s: %w; %s has the models before it, and the same command goes on", name, err, path)
		}
		s.put(m)
		if err := s.save(path); err != nil {
			return err
		}
		printf(cmd, "%d of %d: %s, %s images/s in training, %s in inference\n", i+1, len(names), name, rate(m.Train), rate(m.Infer))
	}
	return nil
}

// speedsHere is the record at path, which must be of this machine, or a new one.
func (f *benchFlags) speedsHere(path string) (*speeds, error) {
	dev, err := f.device.open()
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	s := &speeds{Machine: fmt.Sprintf("%s, %s", cpuModel(), dev.Describe()), Go: runtime.Version()}
	old, err := readSpeeds(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, nil
	case err != nil:
		return nil, err
	case old.Machine != s.Machine:
		return nil, fmt.Errorf("--speed: %s has figures of another machine (%s; this is %s); give another file", path, old.Machine, s.Machine)
	}
	s.Models = old.Models
	return s, nil
}

// speed is the images a second of a model, in as many digits as mean something.
func (f *benchFlags) speed(ctx context.Context, e models.Entry, mode string) (float64, error) {
	dev, err := f.device.open()
	if err != nil {
		return 0, err
	}
	defer dev.Close()
	f.mode = mode
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
