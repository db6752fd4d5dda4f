//go:build cuda && !windows

package cuda

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// counting is a device that counts the kernels of assignments.
type counting struct {
	*Device
	copies *int
}

func (c counting) Bind(b engine.Binding) (engine.Executable, error) {
	e, err := c.Device.Bind(b)
	if err != nil {
		return nil, err
	}
	for i, s := range b.Steps {
		if _, ok := s.(*engine.Assign); ok {
			*c.copies += len(e.(*executable).steps[i])
		}
	}
	return e, nil
}

// Running statistics are written directly to their variables, without a copy, unless
// another step uses them or the variable.
func TestRunningStatistics(t *testing.T) {
	d, _ := emulated(t)
	move := func(g *graph.Graph, mean *graph.Variable, from, stats *graph.Node) *graph.Node {
		to := g.Apply(graph.RunningStats{Momentum: 0.25}, from, stats)
		g.Assign(mean, to)
		return to
	}
	once := []float32{1, -2, 3} // the variable before every run
	for _, c := range []struct {
		name   string
		build  func(g *graph.Graph, mean *graph.Variable, stats *graph.Node) (output *graph.Node)
		copies int
		output func(before, after float32) float32
		moves  int
	}{
		{"alone", func(g *graph.Graph, mean *graph.Variable, stats *graph.Node) *graph.Node {
			move(g, mean, g.Variable(mean), stats)
			return g.Apply(graph.Row{I: 0}, stats)
		}, 0, nil, 1},
		{"also an output", func(g *graph.Graph, mean *graph.Variable, stats *graph.Node) *graph.Node {
			return move(g, mean, g.Variable(mean), stats)
		}, 1, func(_, after float32) float32 { return after }, 1},
		{"also read", func(g *graph.Graph, mean *graph.Variable, stats *graph.Node) *graph.Node {
			return g.Apply(graph.Scale{Factor: 2}, move(g, mean, g.Variable(mean), stats))
		}, 1, func(_, after float32) float32 { return 2 * after }, 1},
		{"the old ones also read", func(g *graph.Graph, mean *graph.Variable, stats *graph.Node) *graph.Node {
			move(g, mean, g.Variable(mean), stats)
			return g.Apply(graph.Scale{Factor: 2}, g.Variable(mean))
		}, 1, func(before, _ float32) float32 { return 2 * before }, 1},
		{"moved twice", func(g *graph.Graph, mean *graph.Variable, stats *graph.Node) *graph.Node {
			move(g, mean, move(g, mean, g.Variable(mean), stats), stats)
			return g.Apply(graph.Row{I: 0}, stats)
		}, 2, nil, 2},
	} {
		copies := 0
		mean := &graph.Variable{Name: "mean", Value: tensor.FromSlice(slices.Clone(once), 3)}
		g := graph.New(graph.Train)
		x := g.Input("x", tensor.Float32, 4, 3)
		output := c.build(g, mean, g.Apply(graph.BatchNormStats{}, x))
		store := engine.NewStore(counting{d, &copies})
		p, err := engine.Compile(g, store, engine.Spec{Outputs: []*graph.Node{output}})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Feed(x, tensor.FromSlice([]float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, 4, 3)); err != nil {
			t.Fatal(err)
		}
		if copies != c.copies {
			t.Errorf("%s: %d copies, want %d", c.name, copies, c.copies)
		}
		want := slices.Clone(once)
		for range 2 {
			p.Run(0)
			store.Pull()
			got := tensor.New(3)
			p.Read(output, got)
			for i, batch := range []float32{5.5, 6.5, 7.5} {
				before := want[i]
				for range c.moves {
					want[i] += (batch - want[i]) / 4
				}
				if v := mean.Value.Data()[i]; v != want[i] {
					t.Errorf("%s: the variable became %v, want %v", c.name, v, want[i])
				}
				of := batch
				if c.output != nil {
					of = c.output(before, want[i])
				}
				if got.Data()[i] != of {
					t.Errorf("%s: the output is %v, want %v", c.name, got.Data()[i], of)
				}
			}
		}
	}
}

// The gradient of a bias before a batch norm is exactly zero and needs no pass over memory,
// unless the norm is frozen.
func TestBiasBeforeBatchNorm(t *testing.T) {
	d, _ := emulated(t)
	r := rand.New(rand.NewPCG(25, 26))
	for _, frozen := range []bool{false, true} {
		for _, channels := range []int{8, 3} {
			g := graph.New(graph.Train)
			feeds := map[*graph.Node]*tensor.Tensor{}
			in := func(shape ...int) *graph.Node {
				n := g.Input(fmt.Sprint("in", len(feeds)), tensor.Float32, shape...)
				feeds[n] = conformance.Random(r, shape...)
				return n
			}
			x, w, bias, gamma, beta := in(3, 2, 5, 7), in(channels, 2, 1, 1), in(channels), in(channels), in(channels)
			y := g.Apply(pointwise, x, w, bias)
			stats := g.Apply(graph.BatchNormStats{}, y)
			if frozen {
				stats = g.Apply(graph.Stack{}, beta, g.Apply(graph.Mul{}, gamma, gamma))
			}
			z := g.Apply(graph.BatchNorm{Eps: 1, Frozen: frozen}, y, stats, gamma, beta)
			outputs := append(graph.Gradients(conformance.Weighted(g, z, feeds, r), []*graph.Node{bias, w}), z)
			want := conformance.Case{Graph: g, Feeds: feeds, Outputs: outputs}.Reference()
			if !frozen {
				clear(want[0])
			}
			for _, precision := range []engine.Precision{engine.FP32, engine.BF16} {
				tolerance := 1e-5
				if precision == engine.BF16 {
					tolerance = conformance.BF16Tolerance
				}
				got := conformance.Evaluate(t, d, g, feeds, engine.Spec{Outputs: outputs, Precision: precision})
				for i, n := range outputs {
					conformance.Compare(t, fmt.Sprintf("%v, %v, frozen %v", n, precision, frozen), got[i], want[i], tolerance, 0)
				}
			}
		}
	}
}

var pointwise = graph.Conv2d{StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1, Groups: 1}
