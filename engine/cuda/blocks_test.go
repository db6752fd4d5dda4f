//go:build cuda && !windows

package cuda

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// The shape of blocks must not change a bit, also where blocks at the edges are partial.
func TestShapes(t *testing.T) {
	d, gpu := emulated(t)
	defer func() { d.shape = "" }()
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range []struct{ n, cin, cout, size, stride int }{{40, 64, 136, 3, 1}, {24, 8, 72, 7, 2}} {
		g := graph.New(graph.Train)
		c := graph.Conv2d{StrideH: s.stride, StrideW: s.stride, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1, Groups: 1}
		feeds := map[*graph.Node]*tensor.Tensor{}
		var in []*graph.Node
		for _, shape := range []tensor.Shape{{s.n, s.cin, s.size, s.size}, {s.cout, s.cin, 3, 3}} {
			n := g.Input("in", tensor.Float32, shape...)
			feeds[n] = conformance.Random(r, shape...)
			in = append(in, n)
		}
		y := g.Apply(c, in...)
		outputs := []*graph.Node{y, g.Apply(graph.BatchNormStats{}, y)}
		outputs = append(outputs, graph.Gradients(conformance.Weighted(g, y, feeds, r), in)...)
		var first [][]float32
		for i, shape := range shapes {
			d.shape, gpu.Backward = shape.name, i%2 == 1
			got := conformance.Evaluate(t, d, g, feeds, engine.Spec{Outputs: outputs, Precision: engine.BF16})
			for k := range got {
				if first != nil && !conformance.SameBits(first[k], got[k]) {
					t.Errorf("%v: %s blocks give other bits than %s ones", outputs[k], shape.name, shapes[0].name)
				}
			}
			if first == nil {
				first = got
			}
		}
	}
}

// On a real device shapes are chosen by measuring them, once for every geometry, on memory
// that belongs to no program.
func TestShapesAreMeasured(t *testing.T) {
	f := newFake()
	d := f.open(t)
	d.measures = true
	compile := func() {
		g := graph.New(graph.Eval)
		x, w := g.Input("x", tensor.Float32, 8, 16, 5, 5), g.Input("w", tensor.Float32, 64, 16, 3, 3)
		y := g.Apply(graph.Conv2d{StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1, Groups: 1}, x, w)
		if _, err := engine.Compile(g, engine.NewStore(d), engine.Spec{Outputs: []*graph.Node{y}, Precision: engine.BF16}); err != nil {
			t.Fatal(err)
		}
	}
	compile()
	// Each shape is launched once to load it, and three times four to measure it.
	if want := (1 + 3*4) * len(shapes); f.launched != want || len(d.fastest) != 1 {
		t.Errorf("%d launches for %d shapes, and %d choices", f.launched, len(shapes), len(d.fastest))
	}
	before := f.launched
	compile()
	if f.launched != before {
		t.Errorf("%d launches to choose what was chosen before", f.launched-before)
	}

	// Without memory for measuring, the estimate is used.
	f, d.fastest = newFake(), map[string]int{}
	d = f.open(t)
	d.measures, f.memory = true, f.used+chunkBytes
	compile()
	if f.launched != 0 || d.Err() != nil {
		t.Errorf("%d launches without memory, %v", f.launched, d.Err())
	}
}

// With many blocks a large shape costs less, with few a small one.
func TestShapeCost(t *testing.T) {
	least := func(rows, columns int) string {
		return slices.MinFunc(shapes, func(a, b shape) int {
			if a.cost(rows, columns, 1, 132) < b.cost(rows, columns, 1, 132) {
				return -1
			}
			return 1
		}).name
	}
	for _, c := range []struct {
		rows, columns int
		want          string
	}{{1 << 22, 512, "large"}, {1 << 22, 64, "tall"}, {2304, 64, "small"}} {
		if got := least(c.rows, c.columns); got != c.want {
			t.Errorf("%d by %d results: %s blocks, want %s", c.rows, c.columns, got, c.want)
		}
	}
}
