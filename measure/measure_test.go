package measure

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/engine/roofline"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

func device(t *testing.T) *cpu.Device {
	t.Helper()
	dev, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dev.Close)
	return dev
}

func entry(t *testing.T, name string) models.Entry {
	t.Helper()
	e, err := models.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func workload(t *testing.T, c Config, dev engine.Device) *Workload {
	t.Helper()
	w, err := New(c, dev)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// TestSteadyStepAllocatesNothing covers what a training does in every step.
func TestSteadyStepAllocatesNothing(t *testing.T) {
	dev := device(t)
	for _, name := range []string{"d2l-bnlenet", "d2l-resnet18"} { // the second has convolutions of every kind of kernel
		for _, mode := range []Mode{Train, Infer} {
			for _, precision := range []engine.Precision{engine.FP32, engine.BF16, engine.INT8} {
				if precision == engine.INT8 && mode == Train {
					continue
				}
				w := workload(t, Config{Model: entry(t, name), Mode: mode, Batch: 4, Precision: precision}, dev)
				if n := testing.AllocsPerRun(5, func() {
					if err := w.Step(); err != nil {
						t.Error(err)
					}
				}); n != 0 {
					t.Errorf("%s: %s in %v allocates %v times a step", name, mode, precision, n)
				}
			}
		}
	}
}

// TestStepTrains: a step lowers the loss on the batch that is fed again and again, and that
// of inference gives the same logits every time.
func TestStepTrains(t *testing.T) {
	dev, e := device(t), entry(t, "d2l-bnlenet")
	w := workload(t, Config{Model: e, Mode: Train, Batch: 8}, dev)
	var losses []float32
	for range 30 {
		if err := w.Step(); err != nil {
			t.Fatal(err)
		}
		losses = append(losses, w.result.Data()[0])
	}
	if !(losses[29] < losses[0]) {
		t.Errorf("the losses go from %v to %v", losses[0], losses[29])
	}
	w = workload(t, Config{Model: e, Mode: Infer, Batch: 8}, dev)
	var logits [2][]float32
	for i := range logits {
		if err := w.Step(); err != nil {
			t.Fatal(err)
		}
		logits[i] = slices.Clone(w.result.Data())
	}
	if !slices.Equal(logits[0], logits[1]) || len(logits[0]) != 8*10 {
		t.Errorf("%d logits of one batch differ", len(logits[0]))
	}
}

// TestFLOPs compares with the summary: twice its multiply-adds forward, and three times that
// in training, but for the images' own gradient.
func TestFLOPs(t *testing.T) {
	dev, e := device(t), entry(t, "d2l-bnlenet")
	s, err := nn.Summary(e.New(models.Config{}), tensor.Shape{2, 1, 28, 28})
	if err != nil {
		t.Fatal(err)
	}
	first := int64(2 * 6 * 24 * 24 * 25)
	for mode, want := range map[Mode]float64{Infer: 2 * float64(s.MACs), Train: 2 * float64(3*s.MACs-first)} {
		if got := workload(t, Config{Model: e, Mode: mode, Batch: 2}, dev).FLOPs(); got != want {
			t.Errorf("%s: %v operations, not %v", mode, got, want)
		}
	}
}

// TestDescribe holds the operations of the steps to those of the graph, and the floor to the
// sum over the steps. Nothing runs.
func TestDescribe(t *testing.T) {
	dev, e := device(t), entry(t, "cifar-resnet8")
	peaks := &roofline.Peaks{GFLOPPerSecond: 1000, GBPerSecond: 10}
	for _, mode := range []Mode{Train, Infer} {
		w := workload(t, Config{Model: e, Mode: mode, Batch: 4, Peaks: peaks}, dev)
		r := w.Describe()
		if want := w.FLOPs() / 1e9; math.Abs(r.GFLOPPerStep-want) > 1e-9*want {
			t.Errorf("%s: the steps have %v GFLOP, the graph %v", mode, r.GFLOPPerStep, want)
		}
		arithmetic, memory := 1e3*r.GFLOPPerStep/1000, float64(r.BytesPerStep)/1e6/10
		if least := *r.Milliseconds; least < max(arithmetic, memory)*(1-1e-9) || least > arithmetic+memory {
			t.Errorf("%s: a floor of %v ms for %v of arithmetic and %v of memory", mode, least, arithmetic, memory)
		}
		if r.Measurements == nil || len(r.Measurements) > 0 || w.key != 0 || r.PlannedBytes <= 0 {
			t.Errorf("%s: %d steps ran, and it says %+v", mode, w.key, r)
		}
		if last := r.Steps[len(r.Steps)-1]; mode == Train && (last.Kind != "Update" || last.Bytes != 12*e.Params) {
			t.Errorf("the optimiser's pass is %+v", last)
		}
	}
}

func TestMeasure(t *testing.T) {
	w := workload(t, Config{Model: entry(t, "d2l-bnlenet"), Mode: Train, Batch: 4, Repeat: 2, Warmup: 1, Profile: true}, device(t))
	r, err := w.Measure(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Measurements) != 2 || r.Mode != Train || r.Feed != FeedMemory || r.Threads != 2 || r.StepsPerRepeat < 1 || !(r.PeakGFLOPPerSecond > 0) {
		t.Errorf("%+v", r)
	}
	for _, s := range r.Steps {
		if s.Milliseconds < s.Least || s.Kind == "" {
			t.Errorf("%+v", s)
		}
	}
	if last := r.Steps[len(r.Steps)-1]; last.Kind != "Update" || !(last.Milliseconds > 0) {
		t.Errorf("the optimiser's pass is %+v", last)
	}
}

func TestSummarise(t *testing.T) {
	r := Result{Batch: 10, Measurements: []float64{400, 100, 200, 300}, PeakBefore: 4, PeakAfter: 6}
	r.summarise(20e9) // of a step
	got := []float64{r.ImagesPerSecond, r.ImagesPerSecondMin, r.ImagesPerSecondMax, r.Spread, r.StepMilliseconds, r.GFLOPPerImage, r.GFLOPPerSecond, r.FractionOfPeak}
	if want := []float64{250, 100, 400, 1.2, 40, 2, 500, 100}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestInterrupted: what ends with its context says how far it came, and wraps its error.
func TestInterrupted(t *testing.T) {
	w := workload(t, Config{Model: entry(t, "d2l-bnlenet"), Mode: Infer, Batch: 2, Repeat: 3, Warmup: 1}, device(t))
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := w.Measure(ctx); !errors.Is(err, context.Canceled) || err.Error() != "interrupted before the first measurement" {
		t.Error(err)
	}
	w.config.Warmup = 0
	if _, err := w.Measure(ctx); !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "interrupted") {
		t.Error(err)
	}
	err := error(&interrupted{done: 2, of: 5, cause: context.Canceled})
	if err.Error() != "interrupted after 2 of 5 measurements" {
		t.Error(err)
	}
}

// TestConfigErrors: every value that cannot be used is refused by an error that names its
// field and speaks of no flag.
func TestConfigErrors(t *testing.T) {
	dev, e := device(t), entry(t, "d2l-bnlenet")
	for _, c := range []struct {
		field string
		Config
	}{
		{"Model", Config{Mode: Train, Batch: 1}},
		{"Mode", Config{Model: e, Mode: "both", Batch: 1}},
		{"Batch", Config{Model: e, Mode: Train}},
		{"Size", Config{Model: e, Mode: Train, Batch: 1, Size: -1}},
		{"Size", Config{Model: e, Mode: Train, Batch: 1, Size: 96}}, // the model takes 28x28 alone
		{"Repeat", Config{Model: e, Mode: Train, Batch: 1, Repeat: -1}},
		{"Repeat", Config{Model: e, Mode: Train, Batch: 1, Warmup: -1}},
		{"Recompute", Config{Model: e, Mode: Infer, Batch: 1, Recompute: true}},
	} {
		_, err := New(c.Config, dev)
		if wrong := (*ConfigError)(nil); !errors.As(err, &wrong) || wrong.Field != c.field || strings.Contains(err.Error(), "--") {
			t.Errorf("%s: %v", c.field, err)
		}
	}
}

// small is a CPU with too little memory.
type small struct{ *cpu.Device }

func (small) Fits(bytes int64) error { return errors.New("it is too small") }

func TestMemoryError(t *testing.T) {
	_, err := New(Config{Model: entry(t, "d2l-bnlenet"), Mode: Train, Batch: 8}, small{device(t)})
	if m := (*engine.MemoryError)(nil); !errors.As(err, &m) || m.Err.Error() != "it is too small" {
		t.Error(err)
	}
}

// TestFeeds feeds every kind of batch and names where it comes from.
func TestFeeds(t *testing.T) {
	dev, ctx := device(t), context.Background()
	ds, err := data.Open(ctx, "garments", data.Options{Size: 20})
	if err != nil {
		t.Fatal(err)
	}
	w := workload(t, Config{Model: entry(t, "d2l-bnlenet"), Mode: Train, Batch: 8, Repeat: 1}, dev)
	if err := w.FeedLoader(ctx, ds, "garments"); err != nil {
		t.Fatal(err)
	}
	for range 5 { // an epoch has two batches
		if err := w.Step(); err != nil {
			t.Fatal(err)
		}
	}
	if r := w.Describe(); r.Feed != FeedLoader || r.Data != "garments" {
		t.Errorf("%s from %q", r.Feed, r.Data)
	}
	if speed, err := loaderSpeed(ctx, w.alone); err != nil || !(speed > 0) {
		t.Errorf("%v images/s, %v", speed, err)
	}
	w = workload(t, Config{Model: entry(t, "cifar-resnet8"), Mode: Infer, Batch: 40}, dev)
	if err := w.FeedPhotos(ctx, "", 0); err != nil {
		t.Fatal(err)
	}
	for range 2 { // of 64 photos, one batch an epoch
		if err := w.Step(); err != nil {
			t.Fatal(err)
		}
	}
	if r := w.Describe(); r.Feed != FeedPhotos || r.Data != DrawnPhotos {
		t.Errorf("%s from %q", r.Feed, r.Data)
	}
	w = workload(t, Config{Model: entry(t, "d2l-bnlenet"), Mode: Infer, Batch: 2}, dev)
	w.FeedNone()
	if err := w.Step(); err != nil || w.Describe().Feed != FeedNone {
		t.Errorf("%s, %v", w.Describe().Feed, err)
	}
}

func TestFeedErrors(t *testing.T) {
	dev, ctx := device(t), context.Background()
	ds, err := data.Open(ctx, "garments", data.Options{Size: 20})
	if err != nil {
		t.Fatal(err)
	}
	grey := func(batch int) *Workload {
		return workload(t, Config{Model: entry(t, "d2l-bnlenet"), Mode: Infer, Batch: batch}, dev)
	}
	colour := func(batch int) *Workload {
		return workload(t, Config{Model: entry(t, "cifar-resnet8"), Mode: Infer, Batch: batch}, dev)
	}
	for _, c := range []struct {
		field string
		err   error
	}{
		{"Batch", grey(21).FeedLoader(ctx, ds, "garments")},
		{"Data", colour(2).FeedLoader(ctx, ds, "garments")},
		{"Model", grey(2).FeedPhotos(ctx, "", 0)},
		{"Batch", colour(65).FeedPhotos(ctx, "", 0)},
	} {
		if wrong := (*ConfigError)(nil); !errors.As(c.err, &wrong) || wrong.Field != c.field || strings.Contains(c.err.Error(), "--") {
			t.Errorf("%s: %v", c.field, c.err)
		}
	}
	if err := colour(2).FeedPhotos(ctx, "nowhere", 0); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Error(err)
	}
}
