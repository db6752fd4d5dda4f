package study

import (
	"context"
	"errors"
	"io"
	"math"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/tensor"
)

// norms are the squared L2 norms of a block's branch and shortcut, summed over images.
type norms struct{ branch, shortcut float64 }

// share returns the branch's norm over the shortcut's.
func (n norms) share() Value { return Value(math.Sqrt(n.branch / n.shortcut)) }

// probe measures the branch and the shortcut of every block for batches of one size.
type probe struct {
	*engine.Program
	input *graph.Node
	sides [][2]*graph.Node // [N,C,1,1]: means of the squares over the pixels
	areas []float64        // number of pixels of each block's output
}

// newProbe compiles the probe in fp32, whatever precision the net is used in: bf16 has
// too few digits for sums of squares.
func newProbe(net models.Net, store *engine.Store, shape tensor.Shape) (*probe, error) {
	g := graph.New(graph.Eval)
	p := &probe{input: g.Input("images", tensor.Float32, shape...)}
	mean := func(x *graph.Node) *graph.Node {
		return g.Apply(graph.AdaptiveAvgPool2d{H: 1, W: 1}, x.Mul(x))
	}
	forward := func(x *graph.Node) *graph.Node {
		return net.Through(x, func(b models.Block, x *graph.Node) *graph.Node {
			branch, shortcut := b.Parts(x)
			p.sides = append(p.sides, [2]*graph.Node{mean(branch), mean(shortcut)})
			p.areas = append(p.areas, float64(branch.Shape[2]*branch.Shape[3]))
			return b.Forward(x)
		})
	}
	if _, err := engine.Trace(forward, p.input); err != nil {
		return nil, err
	}
	var outputs []*graph.Node
	for _, s := range p.sides {
		outputs = append(outputs, s[0], s[1])
	}
	var err error
	p.Program, err = engine.Compile(g, store, engine.Spec{Outputs: outputs})
	return p, err
}

// add runs a batch and adds its squared norms to the sums.
func (p *probe) add(images *tensor.Tensor, sums []norms) error {
	if err := p.Feed(p.input, images); err != nil {
		return err
	}
	p.Run(0)
	for i, s := range p.sides {
		for side, to := range []*float64{&sums[i].branch, &sums[i].shortcut} {
			t := tensor.New(s[side].Shape...)
			p.Read(s[side], t)
			for _, v := range t.Data() {
				*to += float64(v) * p.areas[i]
			}
		}
	}
	return p.Device().Err()
}

// branchShares returns, for every block of the net, the norm of its branch over that of its
// shortcut on the test images.
func (o *opened) branchShares(ctx context.Context, dev engine.Device) ([]Value, error) {
	l, err := data.NewLoader(o.classifier.Images(o.test), data.LoaderConfig{Batch: o.Batch})
	if err != nil {
		return nil, err
	}
	e := l.Epoch(ctx, 0)
	defer e.Close()
	store := engine.NewStore(dev)
	probes := map[int]*probe{}
	var sums []norms
	for {
		b, err := e.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		n := len(b.Indices)
		if probes[n] == nil {
			if probes[n], err = newProbe(o.net, store, b.Images.Shape()); err != nil {
				return nil, err
			}
		}
		if sums == nil {
			sums = make([]norms, len(probes[n].sides))
		}
		o.classifier.Scale(b.Images)
		err = probes[n].add(b.Images, sums)
		b.Release()
		if err != nil {
			return nil, err
		}
	}
	values := make([]Value, len(sums))
	for i, s := range sums {
		values[i] = s.share()
	}
	return values, nil
}
