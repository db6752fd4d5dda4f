package engine

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Call computes forward on x once and returns the result. Use it to try out a block or
// a layer:
//
//	y, err := engine.Call(dev, graph.Train, block.Forward, x)
//
// The mode corresponds to PyTorch's train() and eval(): in graph.Train a batch norm
// uses the statistics of x and updates its running statistics. If forward does not
// accept the shape of x, Call returns an error. It compiles forward on every call; to
// compute the same forward many times, use Compile once instead.
func Call(dev Device, mode graph.Mode, forward func(*graph.Node) *graph.Node, x *tensor.Tensor) (*tensor.Tensor, error) {
	g := graph.New(mode)
	in := g.Input("x", x.DType(), x.Shape()...)
	out, err := Trace(forward, in)
	if err != nil {
		return nil, err
	}
	store := NewStore(dev)
	p, err := Compile(g, store, Spec{Outputs: []*graph.Node{out}})
	if err != nil {
		return nil, err
	}
	if err := p.Feed(in, x); err != nil {
		return nil, err
	}
	if err := p.Run(0); err != nil {
		return nil, err
	}
	y := tensor.New(out.Shape...)
	p.Read(out, y)
	if err := dev.Err(); err != nil {
		return nil, err
	}
	if len(g.Assignments) > 0 {
		store.Pull()
	}
	return y, nil
}

// Trace adds forward(x) to the graph of x. A tensor.Misuse that forward panics with, such as
// one about shapes, becomes an error, so Trace is the way to build a graph for a shape that a
// user or a file has chosen. Any other panic passes.
func Trace(forward func(*graph.Node) *graph.Node, x *graph.Node) (out *graph.Node, err error) {
	defer func() {
		if m := tensor.Recovered(recover()); m != nil {
			out, err = nil, fmt.Errorf("an input of shape %v does not fit: %w", x.Shape, m)
		}
	}()
	return forward(x), nil
}
