package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/tensor"
)

// peaks are what a device does at most of the two things a step waits for.
type peaks struct {
	GFLOPPerSecond float64 `json:"gflop_per_second"` // of products
	GBPerSecond    float64 `json:"gb_per_second"`    // read and written
	Measured       bool    `json:"measured"`         // through the engine; else they were given
}

// floorResult is what a step has to do, and how long that takes at least.
type floorResult struct {
	GFLOPPerStep float64  `json:"gflop_per_step"` // of plain sums, padding included
	BytesPerStep int64    `json:"bytes_per_step"` // every operand of a step of the program read once, every result written once
	Milliseconds *float64 `json:"floor_milliseconds,omitempty"`
	Peaks        *peaks   `json:"floor_peaks,omitempty"` // that the floor is of; none on a CPU unless given
}

// parsePeaks reads TFLOP/s and GB/s.
func parsePeaks(text string) (*peaks, error) {
	if text == "" {
		return nil, nil
	}
	words := strings.Split(text, ",")
	values := make([]float64, len(words))
	for i, w := range words {
		v, err := strconv.ParseFloat(w, 64)
		if err != nil || !(v > 0) {
			return nil, usagef("--peaks %s: give TFLOP/s and GB/s, such as 989,3350", text)
		}
		values[i] = v
	}
	if len(values) != 2 {
		return nil, usagef("--peaks %s: give two numbers, TFLOP/s and GB/s, such as 989,3350", text)
	}
	return &peaks{GFLOPPerSecond: 1e3 * values[0], GBPerSecond: values[1]}, nil
}

// stepBytes is what a step must move: all it reads once, all it writes once.
func stepBytes(s engine.Step) (n int64) {
	if c, ok := s.(*engine.Compute); ok && isName(c) {
		return 0
	}
	reads := s.Reads()
	for i, v := range reads {
		if !slices.Contains(reads[:i], v) {
			n += valueBytes(v)
		}
	}
	for _, v := range s.Writes() {
		n += valueBytes(v)
	}
	return n
}

// isName says that what a step makes is another name for memory that is there.
func isName(c *engine.Compute) bool {
	switch op := c.Op.(type) {
	case *graph.Reshape:
		return c.Out.Root() == c.In[0].Root() && engine.SameOrder(c.In[0], c.Out)
	case graph.Row:
		return c.Out.IsRow(op.I, c.In[0])
	}
	return false
}

func valueBytes(v *engine.Value) int64 { return int64(v.Numel()) * int64(v.DType.Size()) }

// floor is the least time of a step in milliseconds: that of its products or that of its
// bytes, whichever is longer.
func (p *peaks) floor(gflop float64, bytes int64) float64 {
	return 1e3 * max(gflop/p.GFLOPPerSecond, float64(bytes)/1e9/p.GBPerSecond)
}

// describe lists the steps of the program and, in training, the optimiser's pass.
func (w *workload) describe(p *peaks) (rows []stepRow) {
	for _, s := range w.Steps() {
		rows = append(rows, describeStep(s))
	}
	if w.train {
		var n int64
		for _, u := range w.updates {
			n += int64(u.Variable.Value.Numel())
		}
		// It reads a parameter and its gradient and writes the parameter.
		rows = append(rows, stepRow{Kind: "Update", What: fmt.Sprintf("[%d]", n), Bytes: 3 * 4 * n})
	}
	if p != nil {
		for i := range rows {
			rows[i].Floor = p.floor(rows[i].GFLOP, rows[i].Bytes)
		}
	}
	return rows
}

// sum is what all steps together have to do.
func sum(rows []stepRow, p *peaks) floorResult {
	r, least := floorResult{Peaks: p}, 0.0
	for _, row := range rows {
		r.GFLOPPerStep += row.GFLOP
		r.BytesPerStep += row.Bytes
		least += row.Floor
	}
	if p != nil {
		r.Milliseconds = &least
	}
	return r
}

// rows adds what is said to a table; step is the time of a step, 0 where none ran.
func (r *floorResult) rows(t *report.Table, step float64) {
	t.Row("work of a step", report.SI(1e9*r.GFLOPPerStep, "FLOP"), report.Bytes(r.BytesPerStep)+" to move: what the program's steps read and write, each once")
	if r.Milliseconds == nil {
		return
	}
	by := "as given"
	if r.Peaks.Measured {
		by = "measured through this program's own 1x1 convolution and ReLU"
	}
	t.Row("floor of a step", fmt.Sprintf("%.3f ms", *r.Milliseconds), fmt.Sprintf("step by step, at %s and %.4g GB/s, %s",
		report.SI(1e9*r.Peaks.GFLOPPerSecond, "FLOP/s"), r.Peaks.GBPerSecond, by))
	if step > 0 {
		t.Row("share of the floor", fmt.Sprintf("%.1f %%", 100**r.Milliseconds/step), "the floor's part of the time of a step")
	}
}

// enough is the time from which on a larger program tells no more of a rate.
const enough = 50 * time.Millisecond

// measurePeaks finds a device's rates by large programs of the engine's own: products of a
// 1x1 convolution, and copies by a ReLU. They are what its kernels reach, so a floor by
// them says how far a step is from these kernels' best and not from the hardware's.
func measurePeaks(dev engine.Device, precision engine.Precision) (*peaks, error) {
	p := &peaks{Measured: true}
	for _, size := range []struct{ channels, side int }{{256, 8}, {512, 16}, {1024, 23}, {2048, 32}} {
		g := graph.New(graph.Eval)
		x := g.Input("x", tensor.Float32, 16, size.channels, size.side, size.side)
		m := nn.NewConv2d(size.channels, size.channels, 1)
		nn.Init(m, 1, nn.XavierUniform)
		gflops, _, took, err := bestRates(dev, precision, g, x, m.Forward(x))
		if err != nil {
			return nil, err
		}
		p.GFLOPPerSecond = max(p.GFLOPPerSecond, gflops)
		if took > enough {
			break
		}
	}
	for _, side := range []int{16, 128, 1024} {
		g := graph.New(graph.Eval)
		x := g.Input("x", tensor.Float32, 64, 1, side, side)
		_, gbs, took, err := bestRates(dev, precision, g, x, g.Apply(graph.ReLU{}, x))
		if err != nil {
			return nil, err
		}
		p.GBPerSecond = gbs // of the largest, which no cache holds
		if took > enough {
			break
		}
	}
	return p, nil
}

// bestRates runs the program of out a few times: the best rates among its steps, in GFLOP/s
// and GB/s, and the time of the slowest.
func bestRates(dev engine.Device, precision engine.Precision, g *graph.Graph, x, out *graph.Node) (gflops, gbs float64, slowest time.Duration, err error) {
	p, err := engine.Compile(g, engine.NewStore(dev), engine.Spec{Outputs: []*graph.Node{out}, Precision: precision})
	if err != nil {
		return 0, 0, 0, err
	}
	images, rng := tensor.New(x.Shape...), rand.New(rand.NewPCG(1, 2))
	for i := range images.Data() {
		images.Data()[i] = rng.Float32() - 0.5
	}
	if err := p.Feed(x, images); err != nil {
		return 0, 0, 0, err
	}
	least := p.Profile()
	for range 5 {
		for i, t := range p.Profile() {
			least[i] = min(least[i], t)
		}
	}
	for i, t := range least {
		if t == 0 { // it needs no work
			continue
		}
		row := describeStep(p.Steps()[i])
		gflops, gbs = max(gflops, row.GFLOP/t.Seconds()), max(gbs, float64(row.Bytes)/1e9/t.Seconds())
		slowest = max(slowest, t)
	}
	return gflops, gbs, slowest, dev.Err()
}
