package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/engine/cpu/kernel"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/internal/host"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/optim"
	"github.com/residual-ml/residual/tensor"
)

// benchResult is what bench --json prints.
type benchResult struct {
	Model     string `json:"model"`
	Mode      string `json:"mode"`
	Batch     int    `json:"batch"`
	Channels  int    `json:"channels"`
	Height    int    `json:"height"`
	Width     int    `json:"width"`
	Device    string `json:"device"`
	Threads   int    `json:"threads"`
	Kernels   string `json:"kernels"`
	Precision string `json:"precision"`
	Recompute bool   `json:"recompute"`
	Feed      string `json:"feed"`           // memory, loader, photos or none
	Data      string `json:"data,omitempty"` // of the loader

	Repeat             int       `json:"repeat"`
	Warmup             int       `json:"warmup"`
	StepsPerRepeat     int       `json:"steps_per_repeat"`
	ImagesPerSecond    float64   `json:"images_per_second"` // the median
	ImagesPerSecondMin float64   `json:"images_per_second_min"`
	ImagesPerSecondMax float64   `json:"images_per_second_max"`
	Spread             float64   `json:"spread"` // (max - min) / median
	Measurements       []float64 `json:"measurements"`
	StepMilliseconds   float64   `json:"step_milliseconds"` // at the median

	LoaderImagesPerSecond float64 `json:"loader_images_per_second,omitempty"` // alone, on one core

	GFLOPPerImage      float64 `json:"gflop_per_image"`
	GFLOPPerSecond     float64 `json:"gflop_per_second"`
	PeakGFLOPPerSecond float64 `json:"peak_gflop_per_second"` // mean of before and after; 0 where it is not measured, as on a GPU
	PeakBefore         float64 `json:"peak_gflop_per_second_before"`
	PeakAfter          float64 `json:"peak_gflop_per_second_after"`
	FractionOfPeak     float64 `json:"fraction_of_peak"`

	PlannedBytes       int64   `json:"planned_bytes"`
	ArenaBytes         int64   `json:"arena_bytes"`
	OwnBytes           int64   `json:"own_bytes"`
	ScratchBytes       int64   `json:"scratch_bytes"`
	VariableBytes      int64   `json:"variable_bytes"`
	PeakRSSBytes       int64   `json:"peak_rss_bytes"`       // 0 where the system does not tell
	AllocationsPerStep float64 `json:"allocations_per_step"` // likewise the median

	floorResult

	Profile []profileRow `json:"profile,omitempty"`
	Steps   []stepRow    `json:"steps,omitempty"`
}

// workload is a compiled program with a batch to feed it.
type workload struct {
	*engine.Program
	train          bool
	x, labels, out *graph.Node
	images         *tensor.Tensor
	targets        *tensor.Tensor
	result         *tensor.Tensor
	optimizer      optim.Optimizer
	outputs        []*graph.Node
	updates        []engine.Update
	passes         []engine.Pass                // of a training step, where the device makes it as one
	meanwhile      func()                       // what the host does while the device computes the next step; may be nil
	next           func() error                 // feeds the batch of a step; nil where it stays
	alone          func() (*data.Loader, error) // the loader by itself, on one core; nil without one
	flops          float64                      // of a step
	key            int64
}

// benchRate is small: the images are noise, and the weights must stay finite.
const benchRate = 0.01

func newWorkload(e models.Entry, f *benchFlags, dev engine.Device) (*workload, error) {
	m := e.New(models.Config{})
	nn.Init(m, 1, nn.XavierUniform)
	nn.Named(m)
	w := &workload{train: f.mode == "train", optimizer: optim.SGD{}}
	g := graph.New(graph.Eval)
	if w.train {
		g = graph.New(graph.Train)
	}
	w.x = g.Input("images", tensor.Float32, f.batch, e.Channels, cmp.Or(f.resize, e.Height), cmp.Or(f.resize, e.Width))
	logits, err := engine.Trace(m.Forward, w.x)
	if err != nil {
		return nil, usagef("%s: %w; choose another --resize", e.Name, err)
	}
	spec := engine.Spec{Outputs: []*graph.Node{logits}, Precision: f.device.on(dev), Recompute: f.recompute}
	w.out = logits
	if w.train {
		w.labels = g.Input("labels", tensor.Int64, f.batch)
		w.out = g.Apply(graph.CrossEntropy{}, logits, w.labels)
		spec.Outputs[0] = w.out
		w.updates = updates(g, m, w.out)
		spec.Updates = w.updates
		w.outputs = spec.Outputs
		w.passes = []engine.Pass{{Updater: w.optimizer, LR: benchRate, Counts: true}}
	}
	w.flops = stepFLOPs(g, w.train)
	if err := room(leastBytes(g, w.train && !f.recompute, spec.Precision)); err != nil && threadsOf(dev) > 0 { // a GPU has its own memory
		advice := "choose a smaller --batch or --resize"
		if w.train && !f.recompute {
			advice += ", or --recompute"
		}
		return nil, usagef("--batch %d of %dx%d: %w; %s", f.batch, w.x.Shape[2], w.x.Shape[3], err, advice)
	}
	if w.Program, err = engine.Compile(g, engine.NewStore(dev), spec); err != nil {
		return nil, err
	}
	return w, w.fill(e.Classes)
}

// updates pairs every parameter of m with the gradient of loss.
func updates(g *graph.Graph, m nn.Module, loss *graph.Node) []engine.Update {
	var leaves []*graph.Node
	parameters := nn.Parameters(m)
	for _, p := range parameters {
		leaves = append(leaves, g.Variable(p.Variable))
	}
	var list []engine.Update
	for i, gradient := range graph.Gradients(loss, leaves) {
		list = append(list, engine.Update{Variable: parameters[i].Variable, Gradient: gradient})
	}
	return list
}

// stepFLOPs counts two operations a multiply-add of convolutions and linear
// layers. Training has two more products of the same size, the gradients of the
// weight and of the input; that of the images themselves nobody needs.
func stepFLOPs(g *graph.Graph, train bool) float64 {
	var n int64
	for _, node := range g.Nodes {
		macs := graph.MACs(node)
		n += macs
		if !train || macs == 0 {
			continue
		}
		n += macs
		if _, fed := node.Inputs[0].Op.(*graph.Input); !fed {
			n += macs
		}
	}
	return 2 * float64(n)
}

// fill draws the batch and feeds it.
func (w *workload) fill(classes int) error {
	rng := rand.New(rand.NewPCG(1, 2))
	w.images = tensor.New(w.x.Shape...)
	for i := range w.images.Data() {
		w.images.Data()[i] = rng.Float32()
	}
	w.result = tensor.New(w.out.Shape...)
	if w.train {
		labels := make([]int64, w.x.Shape[0])
		for i := range labels {
			labels[i] = rng.Int64N(int64(classes))
		}
		w.targets = tensor.FromInts(labels, len(labels))
	}
	w.next = w.feed
	return w.feed()
}

func (w *workload) feed() error {
	if err := w.Feed(w.x, w.images); err != nil || !w.train {
		return err
	}
	return w.Feed(w.labels, w.targets)
}

// step is what is measured. Reading the loss or the logits waits for the device.
func (w *workload) step() error {
	if w.next != nil {
		if err := w.next(); err != nil {
			return err
		}
	}
	w.key++
	meanwhile := w.meanwhile
	w.meanwhile = nil
	if w.train {
		if _, ok := w.Train(w.key, w.passes, w.outputs, w.result.Data(), meanwhile); ok {
			return nil
		}
	}
	if err := w.Run(w.key); err != nil {
		return err
	}
	if w.train {
		w.Step(w.optimizer, benchRate)
	}
	if meanwhile != nil {
		meanwhile()
	}
	w.Read(w.out, w.result)
	return nil
}

// measure warms up, takes the repetitions and puts the result together.
func (f *benchFlags) measure(ctx context.Context, w *workload, dev engine.Device) (*benchResult, error) {
	for range f.warmup {
		if err := w.step(); err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, errors.New("interrupted before the first measurement")
		}
	}
	start := time.Now()
	if err := w.step(); err != nil {
		return nil, err
	}
	const atLeast = 200 * time.Millisecond
	steps := max(1, int(atLeast/max(time.Since(start), time.Microsecond)))

	r := f.result(w, dev, steps)
	p, err := f.peaksOf(dev)
	if err != nil {
		return nil, err
	}
	rows := w.describe(p)
	r.floorResult = sum(rows, p)
	r.PeakBefore = peak(dev, f.device.on(dev))
	if err := f.repeats(ctx, w, r); err != nil {
		return nil, err
	}
	r.PeakAfter = peak(dev, f.device.on(dev))
	r.PeakRSSBytes = host.PeakMemory()
	if w.alone != nil {
		var err error
		if r.LoaderImagesPerSecond, err = loaderAlone(ctx, w.alone); err != nil {
			return nil, err
		}
	}
	r.summarise(w.flops)
	if f.profile != "" {
		w.profile(rows)
	}
	f.show(r, rows)
	return r, dev.Err()
}

// show adds the view of the steps that --profile asks for.
func (f *benchFlags) show(r *benchResult, rows []stepRow) {
	switch f.profile {
	case profileKinds:
		r.Profile = byKind(rows)
	case profileSteps:
		r.Steps = rows
	}
}

// dryRun says what a step has to do; nothing runs.
func (f *benchFlags) dryRun(w *workload, dev engine.Device) (*benchResult, error) {
	p, err := parsePeaks(f.peaks)
	if err != nil {
		return nil, err
	}
	r, rows := f.result(w, dev, 0), w.describe(p)
	r.floorResult = sum(rows, p)
	r.Measurements = []float64{}
	f.show(r, rows)
	return r, nil
}

// peaksOf are what the floor is computed by: those given, or a GPU's own.
func (f *benchFlags) peaksOf(dev engine.Device) (*peaks, error) {
	if f.peaks != "" || threadsOf(dev) > 0 {
		return parsePeaks(f.peaks)
	}
	return measurePeaks(dev, f.device.on(dev))
}

// repeats takes the measurements, and counts the objects allocated meanwhile:
// their median too, for now and then the runtime allocates one of its own.
func (f *benchFlags) repeats(ctx context.Context, w *workload, r *benchResult) error {
	var before, after runtime.MemStats
	r.Measurements = make([]float64, 0, f.repeat)
	mallocs := make([]float64, 0, f.repeat)
	runtime.GC()
	if err := w.step(); err != nil { // the runtime fills again what it dropped for the collection
		return err
	}
	for range f.repeat {
		runtime.ReadMemStats(&before)
		start := time.Now()
		for range r.StepsPerRepeat {
			if err := w.step(); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return fmt.Errorf("interrupted after %d of %d measurements", len(r.Measurements), f.repeat)
			}
		}
		r.Measurements = append(r.Measurements, float64(r.Batch*r.StepsPerRepeat)/time.Since(start).Seconds())
		runtime.ReadMemStats(&after)
		mallocs = append(mallocs, float64(after.Mallocs-before.Mallocs)/float64(r.StepsPerRepeat))
	}
	r.AllocationsPerStep = median(mallocs)
	return nil
}

// median is the middle value, or the mean of the two in the middle.
func median(values []float64) float64 {
	sorted, n := slices.Sorted(slices.Values(values)), len(values)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func (f *benchFlags) result(w *workload, dev engine.Device, steps int) *benchResult {
	shape, m := w.x.Shape, w.Memory()
	return &benchResult{
		Model: f.model, Mode: f.mode, Batch: shape[0], Channels: shape[1], Height: shape[2], Width: shape[3],
		Device: dev.Name(), Threads: threadsOf(dev), Kernels: kernelsOf(dev), Precision: f.device.on(dev).String(),
		Recompute: f.recompute,
		Feed:      f.feed, Data: f.fedFrom(), Repeat: f.repeat, Warmup: f.warmup, StepsPerRepeat: steps,
		PlannedBytes: m.Total(),
		ArenaBytes:   m.Arena, OwnBytes: m.Own, ScratchBytes: m.Scratch, VariableBytes: m.Variables,
	}
}

// kernelsOf is the instruction set of the CPU's kernels, or what there is to know about
// another device.
func kernelsOf(dev engine.Device) string {
	if d, ok := dev.(*cpu.Device); ok {
		return d.ISA().String()
	}
	return dev.Describe()
}

// summarise computes what follows from the measurements.
func (r *benchResult) summarise(flops float64) {
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

// peak is the best of a few runs of multiply-adds on registers alone, of the
// precision's numbers and on as many threads as the CPU has, in GFLOP/s; 0 of any other
// device.
func peak(d engine.Device, precision engine.Precision) float64 {
	dev, ok := d.(*cpu.Device)
	if !ok {
		return 0
	}
	multiply := kernel.For(dev.ISA()).PeakFMA
	if precision == engine.BF16 {
		multiply = kernel.For(dev.ISA()).BF16.PeakDot
	}
	const rounds = 1 << 17
	multiply(rounds)
	best := 0.0
	for range 5 {
		var wait sync.WaitGroup
		flops := make([]float64, dev.Threads())
		start := time.Now()
		for i := range flops {
			wait.Go(func() {
				for range 16 {
					flops[i] += multiply(rounds)
				}
			})
		}
		wait.Wait()
		took, sum := time.Since(start).Seconds(), 0.0
		for _, n := range flops {
			sum += n
		}
		best = max(best, sum/took/1e9)
	}
	return best
}
