//go:build cuda

package cuda

import (
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// A weight gradient is an asynchronous step: it begins when the gradient of the output is
// computed, and the next weight gradient and the end of the program wait for it.
func TestWeightsBesideTheRest(t *testing.T) {
	f := newFake()
	d := f.open(t)
	g := graph.New(graph.Train)
	c := graph.Conv2d{StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, DilationH: 1, DilationW: 1, Groups: 1}
	x := g.Input("x", tensor.Float32, 2, 3, 5, 5)
	weights := []*graph.Node{g.Input("w0", tensor.Float32, 4, 3, 3, 3), g.Input("w1", tensor.Float32, 4, 4, 3, 3)}
	y := g.Apply(graph.Sum{}, g.Apply(graph.Sigmoid{}, g.Apply(c, g.Apply(graph.Sigmoid{}, g.Apply(c, x, weights[0])), weights[1])))
	p, err := engine.Compile(g, engine.NewStore(d), engine.Spec{Outputs: graph.Gradients(y, weights)})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range append(weights, x) {
		if err := p.Feed(n, tensor.New(n.Shape...)); err != nil {
			t.Fatal(err)
		}
	}
	f.calls = nil
	if err := p.Run(0); err != nil {
		t.Fatal(err)
	}
	var calls []string // without repetitions of the same call
	for _, c := range f.calls {
		c = strings.ReplaceAll(c, " 0 in", " in")
		if len(calls) == 0 || calls[len(calls)-1] != c {
			calls = append(calls, c)
		}
	}
	const main, side = "1", "3"
	forked, joined := "1", "2" // the first events that the device has created
	beside := []string{"record " + forked + " in " + main, "after " + forked + " in " + side, "launch in " + side, "record " + joined + " in " + side}
	join := "after " + joined + " in " + main
	want := slices.Concat([]string{"launch in " + main}, beside, []string{"launch in " + main, join}, beside, []string{join})
	if !slices.Equal(calls, want) {
		t.Errorf("%q\nwant %q", calls, want)
	}
}

// A step that reads the result of an asynchronous step waits for it.
func TestJoinForReaders(t *testing.T) {
	f := newFake()
	d := f.open(t)
	v := func() *engine.Value { return &engine.Value{Shape: tensor.Shape{4}} }
	dw, other, out := v(), v(), v()
	part := v()
	part.Alias = dw
	steps := []engine.Step{
		&engine.ConvGradWeight{X: other, DY: other, DW: dw},
		&engine.Compute{Op: graph.ReLU{}, In: []*engine.Value{other}, Out: out},
		&engine.Compute{Op: graph.ReLU{}, In: []*engine.Value{part}, Out: out},
		&engine.Compute{Op: graph.ReLU{}, In: []*engine.Value{part}, Out: out},
		&engine.ConvGradWeight{X: other, DY: other, DW: dw},
	}
	s := d.sideStepsOf(steps)
	if !slices.Equal(s.join, []bool{false, false, true, false, false}) || !slices.Equal(s.beside, []bool{true, false, false, false, true}) {
		t.Errorf("%+v", s)
	}
}
