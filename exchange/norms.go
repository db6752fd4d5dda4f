package exchange

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// lrn reads the local response normalisation of Krizhevsky et al. 2012, section 3.3:
// y = x / (bias + alpha/size · Σ x²)^beta, where the sum is over size neighbouring channels.
// It computes the sum as a 1x1 convolution of x² with ones near the diagonal.
func (imp *importer) lrn(n *onnx.Node, a *attributes) error {
	x, err := imp.image(n)
	if err != nil {
		return err
	}
	alpha, beta, bias, size := a.float("alpha", 1e-4), a.float("beta", 0.75), a.float("bias", 1), a.int("size", 0)
	if size < 1 || size > maxWindow {
		a.fail("size=%d: a size is from 1 to %d", size, maxWindow)
	}
	if err := a.done(); err != nil {
		return err
	}
	v, err := imp.value(x)
	if err != nil {
		return err
	}
	channels := v.node.Shape[1]
	if channels > maxSide {
		return fmt.Errorf("its input has %d channels, and at most %d are supported", channels, maxSide)
	}
	band := tensor.New(channels, channels, 1, 1)
	before := int(size-1) / 2
	for c := range channels {
		for from := max(c-before, 0); from <= min(c+int(size)-1-before, channels-1); from++ {
			band.Data()[c*channels+from] = 1
		}
	}
	near := buffer(band)
	imp.apply(n.String(), n.Outputs[0], []string{x}, func(in []value) value {
		x, g := in[0].node, in[0].node.Graph
		o := graph.Conv2d{StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1, Groups: 1}
		sums := g.Apply(o, x.Mul(x), g.Variable(near))
		return value{node: x.Mul(scaled(sums, alpha/float64(size)).Add(g.Constant(bias)).Pow(-beta))}
	})
	return nil
}

// normalised returns (x - mean) / √(variance + eps), with mean and variance over some axes.
func normalised(x *graph.Node, eps float64, axes ...int) *graph.Node {
	d := x.Sub(x.Mean(axes...))
	return d.Div(d.Mul(d).Mean(axes...).Add(x.Graph.Constant(eps)).Sqrt())
}

// affineOf returns x·scale + shift, with both reshaped to shape; a nil one is left out.
func affineOf(x, scale, shift *graph.Node, shape ...int) *graph.Node {
	for i, p := range []*graph.Node{scale, shift} {
		if p == nil {
			continue
		}
		if p = p.Reshape(shape...); i == 0 {
			x = x.Mul(p)
		} else {
			x = x.Add(p)
		}
	}
	return x
}

func (imp *importer) instanceNorm(n *onnx.Node, a *attributes) error {
	eps := a.float("epsilon", 1e-5)
	if len(n.Inputs) != 3 {
		return fmt.Errorf("has %d inputs, not three", len(n.Inputs))
	}
	return imp.compute(n, a, onNodes(asFloats, func(in []*graph.Node) *graph.Node {
		x := in[0]
		if len(x.Shape) < 3 {
			panic(tensor.Misusef("its input is %v, and only [N, C, ...] is supported", x.Shape))
		}
		return x.GroupNorm(x.Shape[1], in[1], in[2], eps)
	}))
}

// groupNorm reads group normalisation. The scale has one number for each channel or, up to
// version 20, for each group.
func (imp *importer) groupNorm(n *onnx.Node, a *attributes) error {
	eps, groups := a.float("epsilon", 1e-5), a.int("num_groups", 0)
	a.want("stash_type", 1, 1)
	if len(n.Inputs) != 3 {
		return fmt.Errorf("has %d inputs, not three", len(n.Inputs))
	}
	return imp.compute(n, a, onNodes(asFloats, func(in []*graph.Node) *graph.Node {
		x := in[0]
		s := x.Shape
		if len(s) < 3 || groups < 1 || int64(s[1])%groups != 0 {
			panic(tensor.Misusef("num_groups=%d does not suit an input of %v", groups, s))
		}
		k, per := int(groups), s[1]/int(groups)
		if in[1].Shape.Numel() == k && per > 1 {
			for i := range in[1:] {
				in[1+i] = in[1+i].Reshape(k, 1).Broadcast(k, per).Reshape(s[1])
			}
		}
		return x.GroupNorm(k, in[1], in[2], eps)
	}))
}

// layerNorm reads LayerNormalization, and RMSNormalization, which does not subtract the mean.
func (imp *importer) layerNorm(n *onnx.Node, a *attributes) error {
	eps, axis := a.float("epsilon", 1e-5), a.int("axis", -1)
	a.want("stash_type", 1, 1)
	if len(n.Inputs) < 2 || n.Inputs[1] == "" {
		return fmt.Errorf("has no input 1")
	}
	if err := a.done(); err != nil {
		return err
	}
	imp.apply(n.String(), n.Outputs[0], imp.inputNames(n, 3), onNodes(asFloats, func(in []*graph.Node) *graph.Node {
		x := in[0]
		axes := indices(len(x.Shape))[axisIndex(axis, len(x.Shape)):]
		if n.Op == "RMSNormalization" {
			return x.Div(x.Mul(x).Mean(axes...).Add(x.Graph.Constant(eps)).Sqrt()).Mul(in[1].Broadcast(x.Shape...))
		}
		if of := x.Shape[len(x.Shape)-len(axes):]; in[1].Shape.Equal(of) && (in[2] == nil || in[2].Shape.Equal(of)) {
			if in[2] == nil {
				in[2] = x.Graph.Constant(0, of...)
			}
			return x.LayerNorm(in[1], in[2], eps)
		}
		y := normalised(x, eps, axes...).Mul(in[1].Broadcast(x.Shape...))
		if in[2] != nil {
			y = y.Add(in[2].Broadcast(x.Shape...))
		}
		return y
	}))
	return nil
}

func (imp *importer) meanVariance(n *onnx.Node, a *attributes) error {
	axes := a.ints("axes")
	if axes == nil {
		axes = []int64{0, 2, 3}
	}
	return imp.compute(n, a, onNodes(asFloats, func(in []*graph.Node) *graph.Node {
		x := in[0]
		d := x.Sub(x.Mean(axisIndices(axes, len(x.Shape))...))
		std := d.Mul(d).Mean(axisIndices(axes, len(x.Shape))...).Sqrt()
		return d.Div(std.Add(x.Graph.Constant(1e-9)))
	}))
}

func (imp *importer) lpNorm(n *onnx.Node, a *attributes) error {
	axis, p := a.int("axis", -1), a.int("p", 2)
	if p != 1 && p != 2 {
		a.fail("p=%d is not supported, only 1 and 2", p)
	}
	return imp.compute(n, a, onNodes(asFloats, func(in []*graph.Node) *graph.Node {
		x := in[0]
		d := axisIndex(axis, len(x.Shape))
		norm := x.Abs().Sum(d)
		if p == 2 {
			norm = x.Mul(x).Sum(d).Sqrt()
		}
		return norm.Where(x.Div(norm), x.Graph.Constant(0)) // 0 where the norm is 0
	}))
}
