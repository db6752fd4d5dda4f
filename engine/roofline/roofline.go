// Package roofline computes how long the steps of a compiled program take at least on a
// device. After the roofline model (Williams, Waterman and Patterson, 2009,
// https://doi.org/10.1145/1498765.1498785), a step is limited by its multiply-adds or by the
// bytes it moves, whichever takes longer at the device's peak rates:
//
//	peaks, err := roofline.Measure(device, engine.FP32)
//	...
//	steps := roofline.Describe(program.Steps(), peaks)
//	work := roofline.Sum(steps, peaks)
//	fmt.Println(*work.Milliseconds, "ms at least")
//
// Peaks are the rates, Step describes one step of a program, Work sums all of them, and
// ByKind groups them. FLOPs counts the arithmetic of a graph before it is compiled, and
// CPUPeak measures the multiply-adds of a processor.
package roofline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
)

// Peaks are the highest rates of a device for the two things that a step waits for.
type Peaks struct {
	GFLOPPerSecond float64 `json:"gflop_per_second"` // of multiply-adds, each counted as two operations
	GBPerSecond    float64 `json:"gb_per_second"`    // read and written, 1e9 bytes to a gigabyte
	Measured       bool    `json:"measured"`         // whether Measure found them; false if they were given
}

// Floor returns the least time of a step in milliseconds: that of its arithmetic or that of
// its bytes, whichever is longer.
func (p *Peaks) Floor(gflop float64, bytes int64) float64 {
	return 1e3 * max(gflop/p.GFLOPPerSecond, float64(bytes)/1e9/p.GBPerSecond)
}

// Step describes one step of a program. Its times are filled in by code that measures them.
type Step struct {
	Kind         string  `json:"kind"`
	What         string  `json:"what"`         // the shapes that it reads and writes
	Milliseconds float64 `json:"milliseconds"` // the median of several runs; 0 if it was not timed
	Least        float64 `json:"least_milliseconds"`
	GFLOP        float64 `json:"gflop,omitempty"` // two operations for each multiply-add, padding included
	WeightBytes  int64   `json:"weight_bytes,omitempty"`
	Bytes        int64   `json:"bytes"`                        // all operands read once and all results written once
	Floor        float64 `json:"floor_milliseconds,omitempty"` // the least time at the given peaks
}

// Kind sums the steps of one kind.
type Kind struct {
	Kind         string  `json:"kind"`
	Steps        int     `json:"steps"`
	Milliseconds float64 `json:"milliseconds"`
	Share        float64 `json:"share"` // of the time of all steps
	GFLOP        float64 `json:"gflop,omitempty"`
	Bytes        int64   `json:"bytes"`
	Floor        float64 `json:"floor_milliseconds,omitempty"`
}

// Work is what one run of a program has to do, and how long that takes at least.
type Work struct {
	GFLOPPerStep float64  `json:"gflop_per_step"`               // two operations for each multiply-add, padding included
	BytesPerStep int64    `json:"bytes_per_step"`               // every step reads each operand once and writes each result once
	Milliseconds *float64 `json:"floor_milliseconds,omitempty"` // the sum over the steps; nil without Peaks
	Peaks        *Peaks   `json:"floor_peaks,omitempty"`        // the rates from which Milliseconds is computed; nil if they are not known
}

// Describe lists the steps of a program in their order. If peaks is not nil, every step has
// its floor.
func Describe(steps []engine.Step, peaks *Peaks) []Step {
	described := make([]Step, len(steps))
	for i, s := range steps {
		described[i] = describe(s)
	}
	return WithFloors(described, peaks)
}

// Update describes the optimiser's pass over n float32 parameters, which is not a step of the
// program. It reads each parameter and its gradient and writes the parameter.
func Update(n int64) Step {
	return Step{Kind: "Update", What: fmt.Sprintf("[%d]", n), Bytes: 3 * 4 * n}
}

// WithFloors fills in the floors of steps and returns them; nil peaks leave them as they are.
func WithFloors(steps []Step, peaks *Peaks) []Step {
	if peaks != nil {
		for i := range steps {
			steps[i].Floor = peaks.Floor(steps[i].GFLOP, steps[i].Bytes)
		}
	}
	return steps
}

// Sum adds up what all steps have to do.
func Sum(steps []Step, peaks *Peaks) Work {
	w, floor := Work{Peaks: peaks}, 0.0
	for _, s := range steps {
		w.GFLOPPerStep += s.GFLOP
		w.BytesPerStep += s.Bytes
		floor += s.Floor
	}
	if peaks != nil {
		w.Milliseconds = &floor
	}
	return w
}

// ByKind sums the steps of each kind. The kind that takes longest comes first; if nothing
// was timed, the one with the highest floor, or with the most bytes.
func ByKind(steps []Step) []Kind {
	kinds := map[string]*Kind{}
	total := 0.0
	for _, s := range steps {
		k := kinds[s.Kind]
		if k == nil {
			k = &Kind{Kind: s.Kind}
			kinds[s.Kind] = k
		}
		k.Steps++
		k.Milliseconds += s.Milliseconds
		k.GFLOP += s.GFLOP
		k.Bytes += s.Bytes
		k.Floor += s.Floor
		total += s.Milliseconds
	}
	var sums []Kind
	for _, k := range kinds {
		if total > 0 {
			k.Share = k.Milliseconds / total
		}
		sums = append(sums, *k)
	}
	slices.SortFunc(sums, func(a, b Kind) int {
		return cmp.Or(cmp.Compare(b.Milliseconds, a.Milliseconds), cmp.Compare(b.Floor, a.Floor), cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Kind, b.Kind))
	})
	return sums
}

// FLOPs counts the arithmetic of one run of g: two operations for each multiply-add of
// convolutions and linear layers. Training needs two more products of the same size for
// each, the gradients of the weight and of the input; the gradient of the images themselves
// is never computed.
func FLOPs(g *graph.Graph, train bool) float64 {
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

// describe returns the shapes, the arithmetic and the bytes of a step.
func describe(s engine.Step) Step {
	d := Step{Kind: strings.TrimPrefix(fmt.Sprintf("%T", s), "*engine."), Bytes: bytesOf(s)}
	switch s := s.(type) {
	case *engine.Conv:
		d.convolution(s.Window, s.X, s.Y, s.W)
	case *engine.ConvGradInput:
		d.convolution(s.Window, s.DX, s.DY, s.W)
	case *engine.ConvGradWeight:
		d.convolution(s.Window, s.X, s.DY, s.DW)
	case *engine.Compute:
		d.Kind = strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T", s.Op), "*"), "graph.")
		d.What = fmt.Sprint(s.Out.Shape)
	default:
		if w := s.Writes(); len(w) > 0 {
			d.What = fmt.Sprint(w[0].Shape)
		}
	}
	return d
}

// convolution describes a convolution from x to y, or one of its gradients, which have the
// same number of multiplications.
func (d *Step) convolution(w engine.Window, x, y, weight *engine.Value) {
	d.What = fmt.Sprintf("%v to %v, %dx%d", x.Shape, y.Shape, w.KH, w.KW)
	if w.StrideH > 1 || w.StrideW > 1 {
		d.What += fmt.Sprintf(" stride %d", max(w.StrideH, w.StrideW))
	}
	if w.Groups > 1 {
		d.What += fmt.Sprintf(" in %d groups", w.Groups)
	}
	d.WeightBytes = valueBytes(weight)
	d.GFLOP = 2e-9 * float64(weight.Numel()) * float64(y.Numel()/max(1, y.Shape[1]))
}

// bytesOf returns the bytes that a step must move: it reads every operand once and writes
// every result once.
func bytesOf(s engine.Step) (n int64) {
	if c, ok := s.(*engine.Compute); ok && isView(c) {
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

// isView reports whether the result of a step is a view of its operand, so that nothing moves.
func isView(c *engine.Compute) bool {
	switch op := c.Op.(type) {
	case graph.Reshape:
		return c.Out.Root() == c.In[0].Root() && engine.SameOrder(c.In[0], c.Out)
	case graph.Row:
		return c.Out.IsRow(op.I, c.In[0])
	}
	return false
}

func valueBytes(v *engine.Value) int64 { return int64(v.Numel()) * int64(v.DType.Size()) }
