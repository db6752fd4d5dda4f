package engine

import (
	"fmt"
	"path"
	"runtime"
	"strings"

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
// user or a file has chosen. The error names the module of the user's own in whose Forward it
// happened, if there is one. Any other panic passes.
func Trace(forward func(*graph.Node) *graph.Node, x *graph.Node) (out *graph.Node, err error) {
	defer func() {
		if m := tensor.Recovered(recover()); m != nil {
			out, err = nil, fmt.Errorf("an input of shape %v does not fit: %w%s", x.Shape, m, ownForward())
		}
	}()
	return forward(x), nil
}

// ownForward names the innermost Forward outside of this module that is running, with its place
// in the source; it is "" if there is none. A function that recovers may call it.
func ownForward() string {
	const module = "github.com/residual-ml/residual/"
	pcs := make([]uintptr, 256)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for {
		f, more := frames.Next()
		of, name := path.Split(f.Function)
		test := strings.Contains(name, "_test.")
		if method := strings.Index(name, ".Forward"); method > 0 && (test || !strings.HasPrefix(of+name, module)) {
			return fmt.Sprintf("; in %s, %s:%d", name[:method+len(".Forward")], path.Base(f.File), f.Line)
		}
		if !more {
			return ""
		}
	}
}
