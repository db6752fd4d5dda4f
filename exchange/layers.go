package exchange

import (
	"fmt"
	"math"
	"slices"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// conv reads Conv, as an nn.Conv2d.
func (imp *importer) conv(n *onnx.Node, a *attributes) error {
	if t, err := imp.constant(n, 1); err == nil && t != nil && len(t.Shape()) == 3 {
		return imp.conv1(n, t)
	}
	x, err := imp.image(n)
	if err != nil {
		return err
	}
	weight, err := imp.parameter(n, 1, 4, true)
	if err != nil {
		return err
	}
	var bias *nn.Parameter
	if len(n.Inputs) < 3 || !imp.zeroBiases[imp.resolve(n.Inputs[2])] {
		if bias, err = imp.vector(n, 2, "bias", weight.Value.Shape()[0], true); err != nil {
			return err
		}
	}
	w := weight.Value.Shape()
	l := &nn.Conv2d{Weight: weight, Bias: bias}
	o := &l.Geometry
	win := a.window(w[2], w[3])
	o.StrideH, o.StrideW, o.DilationH, o.DilationW = win.h.stride, win.w.stride, win.h.dilation, win.w.dilation
	groups := a.int("group", 1)
	if err := a.done(); err != nil {
		return err
	}
	if w.Numel() == 0 || groups < 1 || groups > int64(w[0]) || w[0]%int(groups) != 0 {
		return fmt.Errorf("group=%d does not suit a weight of %v", groups, w)
	}
	o.Groups = int(groups)
	if x == imp.net.inputName && imp.net.Input.Channels == 0 {
		imp.net.Input.Channels = w[1] * o.Groups
	}
	imp.registerLayer(n, l, imp.title(n.Inputs[1]))
	imp.takeQuantised(l, n, 1, false)
	reachH, reachW := o.DilationH*(w[2]-1), o.DilationW*(w[3]-1)
	if in := imp.net.Input; win.auto != "" && in.Height > 0 && in.Width > 0 { // the size is fixed, so the padding is known
		if v, err := imp.value(x); err == nil {
			win = win.resolved(v.node.Shape[2], v.node.Shape[3])
		}
	}
	if win.auto == "" && win.h.before == win.h.after && win.w.before == win.w.after && win.h.before <= reachH && win.w.before <= reachW {
		o.PadH, o.PadW = win.h.before, win.w.before
		imp.layer(n, 4, x, l)
		return nil
	}
	net := imp.net
	imp.apply(n.String(), n.Outputs[0], []string{x}, func(in []value) value {
		return value{node: net.forward(l, win.padded(in[0].node, 0))}
	})
	return nil
}

// conv1 reads a one-dimensional Conv as a two-dimensional one on images of height 1.
func (imp *importer) conv1(n *onnx.Node, weight *tensor.Tensor) error {
	lifted := *n
	lifted.Attributes = slices.Clone(n.Attributes)
	for i, attr := range lifted.Attributes {
		list, ok := attr.Value.([]int64)
		if !ok {
			continue
		}
		switch attr.Name {
		case "kernel_shape", "strides", "dilations":
			list = append([]int64{1}, list...)
		case "pads":
			if len(list) != 2 {
				return fmt.Errorf("pads has %d sizes, where one-dimensional windows have 2", len(list))
			}
			list = []int64{0, list[0], 0, list[1]}
		}
		lifted.Attributes[i].Value = list
	}
	x, rank, err := imp.computedInput(n, 0)
	if err != nil {
		return err
	}
	if rank != 3 {
		return fmt.Errorf("its input has %d dimensions, where a weight of three takes [N, C, L]", rank)
	}
	// No readable ONNX graph has a name with a NUL byte, so these names are free.
	image, kernel, result := "\x00image "+n.Outputs[0], imp.resolve(n.Inputs[1])+"\x00", "\x00result "+n.Outputs[0]
	s := weight.Shape()
	imp.constants[kernel] = weight.Reshape(s[0], s[1], 1, s[2])
	if op, ok := imp.weights[imp.resolve(n.Inputs[1])]; ok && op.Axis == 0 {
		imp.weights[kernel] = op
	}
	imp.apply(n.String(), image, []string{x}, func(in []value) value {
		s := in[0].node.Shape
		return value{node: in[0].node.Reshape(s[0], s[1], 1, s[2])}
	})
	lifted.Inputs, lifted.Outputs = slices.Clone(n.Inputs), []string{result}
	lifted.Inputs[0], lifted.Inputs[1] = image, kernel
	if err := imp.conv(&lifted, &attributes{node: &lifted}); err != nil {
		return err
	}
	imp.apply(n.String(), n.Outputs[0], []string{result}, func(in []value) value {
		s := in[0].node.Shape
		return value{node: in[0].node.Reshape(s[0], s[1], s[3])}
	})
	return nil
}

// convTranspose reads ConvTranspose. It computes the gradient of a convolution with respect
// to its input, and then cuts off the padding.
func (imp *importer) convTranspose(n *onnx.Node, a *attributes) error {
	x, err := imp.image(n)
	if err != nil {
		return err
	}
	weight, err := imp.parameter(n, 1, 4, true)
	if err != nil {
		return err
	}
	w := weight.Value.Shape()
	win := a.window(w[2], w[3])
	groups := a.int("group", 1)
	moreH, moreW := a.pair("output_padding", 0, 0)
	toH, toW := a.pair("output_shape", 1, 0)
	if err := a.done(); err != nil {
		return err
	}
	if w.Numel() == 0 || groups < 1 || groups > int64(w[0]) || w[0]%int(groups) != 0 {
		return fmt.Errorf("group=%d does not suit a weight of %v", groups, w)
	}
	bias, err := imp.vector(n, 2, "bias", w[1]*int(groups), true)
	if err != nil {
		return err
	}
	o := graph.Conv2d{StrideH: win.h.stride, StrideW: win.w.stride, DilationH: win.h.dilation, DilationW: win.w.dilation, Groups: int(groups)}
	imp.apply(n.String(), n.Outputs[0], []string{x}, func(in []value) value {
		x := in[0].node
		h, cutH, endH := win.h.transposed(x.Shape[2], moreH, toH, win.auto)
		w, cutW, endW := win.w.transposed(x.Shape[3], moreW, toW, win.auto)
		checkSize(0, x.Shape[0], weight.Value.Shape()[1]*o.Groups, h, w)
		y := x.Graph.Apply(graph.Conv2dGradInput{Conv2d: o, H: h, W: w}, x.Graph.Variable(weight), x)
		checkSize(0, y.Shape[0], y.Shape[1], h-cutH-endH, w-cutW-endW)
		y = y.Pad(2, -cutH, -endH, 0).Pad(3, -cutW, -endW, 0)
		if bias != nil {
			y = y.Add(x.Graph.Variable(bias).Reshape(bias.Value.Numel(), 1, 1))
		}
		return value{node: y}
	})
	return nil
}

// batchNorm reads BatchNormalization, as an nn.BatchNorm1d or nn.BatchNorm2d.
func (imp *importer) batchNorm(n *onnx.Node, a *attributes) error {
	if t, err := imp.constant(n, 0); err == nil && t != nil {
		return imp.batchNormOfConstants(n, a)
	}
	x, rank, err := imp.computedInput(n, 0)
	if err != nil {
		return err
	}
	b := nn.BatchNorm{Momentum: 0.1}
	gamma, err := imp.parameter(n, 1, 1, true)
	if err != nil {
		return err
	}
	b.Weight = gamma
	for i, p := range []**nn.Parameter{&b.Bias, &b.RunningMean, &b.RunningVar} {
		if *p, err = imp.vector(n, 2+i, "statistics", gamma.Value.Numel(), i == 0); err != nil {
			return err
		}
		if *p == nil {
			return fmt.Errorf("has no input %d", 2+i)
		}
	}
	b.Eps = a.float("epsilon", 1e-5)
	a.want("training_mode", 0, 0)
	a.want("spatial", 1, 1)
	a.ignore("momentum")
	if !(b.Eps >= 0) || math.IsInf(b.Eps, 0) {
		a.fail("epsilon=%v is not a number of at least 0", b.Eps)
	}
	if err := a.done(); err != nil {
		return fmt.Errorf("%w; export the network in evaluation mode", err)
	}
	var l nn.Module
	switch rank {
	case 4:
		l = &nn.BatchNorm2d{BatchNorm: b}
	default:
		l = &nn.BatchNorm1d{BatchNorm: b}
	}
	imp.registerLayer(n, l, imp.title(n.Inputs[1:]...))
	imp.layer(n, rank, x, l)
	return nil
}

// batchNormOfConstants reads a BatchNormalization whose input is a constant. Some networks use it in
// training mode to standardise their weights.
func (imp *importer) batchNormOfConstants(n *onnx.Node, a *attributes) error {
	eps, training := a.float("epsilon", 1e-5), a.int("training_mode", 0) != 0
	a.ignore("momentum", "spatial")
	if len(n.Inputs) != 5 {
		return fmt.Errorf("has %d inputs, not five", len(n.Inputs))
	}
	return imp.compute(n, a, onNodes(asFloats, func(in []*graph.Node) *graph.Node {
		x := in[0]
		if len(x.Shape) < 2 {
			panic(tensor.Misusef("its input is %v, and only [N, C, ...] is supported", x.Shape))
		}
		to := channelShape(x.Shape, 1)
		if training {
			axes := slices.Delete(indices(len(x.Shape)), 1, 2)
			return affineOf(normalised(x, eps, axes...), in[1], in[2], to...)
		}
		std := in[4].Add(x.Graph.Constant(eps)).Sqrt()
		return affineOf(x.Sub(in[3].Reshape(to...)).Div(std.Reshape(to...)), in[1], in[2], to...)
	}))
}

// softmax reads Softmax and LogSoftmax. Since version 13 they apply to one axis, before it to
// all dimensions from the axis on. A softmax over all numbers of an image is also recorded,
// so that the network can leave it out at its end.
func (imp *importer) softmax(n *onnx.Node, a *attributes) error {
	x, rank, err := imp.computedInput(n, 0)
	if err != nil {
		return err
	}
	otherwise, all := int64(-1), imp.model.Opset < 13
	if all {
		otherwise = 1
	}
	axis := a.int("axis", otherwise)
	if axis < -int64(rank) || axis >= int64(rank) {
		a.fail("axis=%d does not exist in a tensor of %d dimensions", axis, rank)
	}
	if err := a.done(); err != nil {
		return err
	}
	at, logarithm := axisIndex(axis, rank), n.Op == "LogSoftmax"
	if s := imp.shapeOf(x); s != nil && !logarithm && at == 1 && rank >= 2 && imp.uses[n.Outputs[0]] == 1 && (all || s[2:].Numel() == 1) {
		imp.softmaxes[n.Outputs[0]] = x
	}
	imp.apply(n.String(), n.Outputs[0], []string{x}, func(in []value) value {
		x := in[0].node
		to, at := x.Shape, at
		if all && rank > 2 || all && at != rank-1 {
			x, at = x.Reshape(to[:at].Numel(), to[at:].Numel()), 1
		}
		switch {
		case logarithm:
			x = x.LogSoftmax(at)
		case len(x.Shape) == 2 && at == 1:
			x = nn.Softmax{}.Forward(x)
		default:
			e := x.Sub(x.Max(at)).Exp()
			x = e.Div(e.Sum(at))
		}
		return value{node: x.Reshape(to...)}
	})
	return nil
}
