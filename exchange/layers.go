package exchange

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// operations says how each operation of ONNX is read.
var operations map[string]func(*importer, *onnx.Node, *attributes) error

func init() { // not a literal, which would depend on itself through the list of names
	operations = map[string]func(*importer, *onnx.Node, *attributes) error{
		"Conv": (*importer).conv, "BatchNormalization": (*importer).batchNorm,
		"Relu": activation(nn.ReLU{}), "Sigmoid": activation(nn.Sigmoid{}), "Tanh": activation(nn.Tanh{}),
		"MaxPool": (*importer).maxPool, "AveragePool": (*importer).averagePool,
		"GlobalAveragePool": (*importer).globalPool, "ReduceMean": (*importer).reduceMean,
		"Add": (*importer).arithmetic, "Sub": (*importer).arithmetic, "Mul": (*importer).arithmetic, "Div": (*importer).arithmetic,
		"Gemm": (*importer).gemm, "MatMul": (*importer).matMul, "Softmax": (*importer).softmax,
		"Flatten": (*importer).flatten, "Reshape": (*importer).reshape, "Squeeze": (*importer).squeeze,
		"Identity": (*importer).identity, "Dropout": (*importer).dropout, "Cast": (*importer).cast, "Transpose": (*importer).transpose,
		"Constant": (*importer).constantNode, "Expand": (*importer).expand, "CastLike": (*importer).castLike, "Shape": (*importer).shape, "Gather": (*importer).gather,
		"Unsqueeze": (*importer).unsqueeze, "Concat": (*importer).concat, "Pad": (*importer).pad,
	}
}

// node reads one node.
func (imp *importer) node(n *onnx.Node) error {
	if n.Domain != "" {
		return fmt.Errorf("belongs to the operator set %q; only ONNX's own is supported", n.Domain)
	}
	read, ok := operations[n.Op]
	if !ok {
		var names []string
		for name := range operations {
			names = append(names, name)
		}
		slices.Sort(names)
		return fmt.Errorf("the operation is not supported, only %s", strings.Join(names, ", "))
	}
	a := &attributes{node: n}
	if err := read(imp, n, a); err != nil {
		return err
	}
	for _, name := range n.Outputs[1:] {
		if imp.uses[name] > 0 {
			return fmt.Errorf("its output %q is not supported, only the first one", name)
		}
	}
	return nil
}

func activation(m nn.Module) func(*importer, *onnx.Node, *attributes) error {
	return func(imp *importer, n *onnx.Node, a *attributes) error {
		x, rank, err := imp.activation(n, 0)
		if err != nil {
			return err
		}
		imp.layer(n, rank, x, m)
		return a.done()
	}
}

// image is activation for operations on [N, C, H, W].
func (imp *importer) image(n *onnx.Node) (string, error) {
	x, rank, err := imp.activation(n, 0)
	if err == nil && rank != 4 {
		err = fmt.Errorf("its input has %d dimensions, where only images [N, C, H, W] are supported", rank)
	}
	return x, err
}

func (imp *importer) conv(n *onnx.Node, a *attributes) error {
	x, err := imp.image(n)
	if err != nil {
		return err
	}
	weight, err := imp.parameter(n, 1, 4, true)
	if err != nil {
		return err
	}
	var bias *nn.Parameter
	if len(n.Inputs) < 3 || !imp.zeros[imp.resolve(n.Inputs[2])] {
		if bias, err = imp.vector(n, 2, "bias", weight.Value.Shape()[0], true); err != nil {
			return err
		}
	}
	w := weight.Value.Shape()
	l := &nn.Conv2d{Weight: weight, Bias: bias}
	o := &l.Geometry
	o.StrideH, o.StrideW = a.pair("strides", 1, 1)
	o.DilationH, o.DilationW = a.pair("dilations", 1, 1)
	o.PadH, o.PadW = a.pads()
	groups := a.int("group", 1)
	kh, kw := w[2], w[3]
	if size := a.ints("kernel_shape"); size != nil && (len(size) != 2 || size[0] != int64(kh) || size[1] != int64(kw)) {
		a.fail("kernel_shape=%v for a weight of %v", size, w)
	}
	if err := a.done(); err != nil {
		return err
	}
	if w.Numel() == 0 || groups < 1 || groups > int64(w[0]) || w[0]%int(groups) != 0 {
		return fmt.Errorf("group=%d for a weight of %v", groups, w)
	}
	if reachH, reachW := o.DilationH*(kh-1), o.DilationW*(kw-1); o.PadH > reachH || o.PadW > reachW {
		return fmt.Errorf("pads %d, %d are wider than the kernel reaches, which makes outputs of padding alone", o.PadH, o.PadW)
	}
	o.Groups = int(groups)
	if x == imp.net.from && imp.net.Input.Channels == 0 {
		imp.net.Input.Channels = w[1] * o.Groups
	}
	imp.keep(n, l, imp.title(n.Inputs[1]))
	imp.layer(n, 4, x, l)
	return nil
}

func (imp *importer) batchNorm(n *onnx.Node, a *attributes) error {
	x, rank, err := imp.activation(n, 0)
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
		a.fail("epsilon=%v", b.Eps)
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
	imp.keep(n, l, imp.title(n.Inputs[1:]...))
	imp.layer(n, rank, x, l)
	return nil
}

func (imp *importer) maxPool(n *onnx.Node, a *attributes) error {
	x, err := imp.image(n)
	if err != nil {
		return err
	}
	m := nn.MaxPool2d{Width: &nn.Axis{}}
	m.Kernel, m.Width.Kernel = a.pair("kernel_shape", 1, 0)
	m.Stride, m.Width.Stride = a.pair("strides", 1, 1)
	m.Dilation, m.Width.Dilation = a.pair("dilations", 1, 1)
	m.Padding, m.Width.Padding = a.pads()
	m.CeilMode = a.int("ceil_mode", 0) != 0
	a.ignore("storage_order") // of the indices, which are not supported
	if m.Kernel == 0 {
		a.fail("has no kernel_shape")
	}
	if *m.Width == (nn.Axis{Kernel: m.Kernel, Stride: m.Stride, Padding: m.Padding, Dilation: m.Dilation}) {
		m.Width = nil
	}
	imp.layer(n, 4, x, m)
	return a.done()
}

func (imp *importer) averagePool(n *onnx.Node, a *attributes) error {
	x, err := imp.image(n)
	if err != nil {
		return err
	}
	m := nn.AvgPool2d{Width: &nn.Axis{}}
	m.Kernel, m.Width.Kernel = a.pair("kernel_shape", 1, 0)
	m.Stride, m.Width.Stride = a.pair("strides", 1, 1)
	m.Padding, m.Width.Padding = a.pads()
	m.CeilMode = a.int("ceil_mode", 0) != 0
	m.ExcludePad = a.int("count_include_pad", 0) == 0
	if h, w := a.pair("dilations", 1, 1); h != 1 || w != 1 {
		a.fail("dilations of %d, %d are not supported", h, w)
	}
	if m.Kernel == 0 {
		a.fail("has no kernel_shape")
	}
	if *m.Width == (nn.Axis{Kernel: m.Kernel, Stride: m.Stride, Padding: m.Padding}) {
		m.Width = nil
	}
	imp.layer(n, 4, x, m)
	return a.done()
}

func (imp *importer) globalPool(n *onnx.Node, a *attributes) error {
	x, err := imp.image(n)
	if err != nil {
		return err
	}
	imp.layer(n, 4, x, nn.AdaptiveAvgPool2d{})
	return a.done()
}

// reduceMean is the global average pooling of newer exporters.
func (imp *importer) reduceMean(n *onnx.Node, a *attributes) error {
	x, err := imp.image(n)
	if err != nil {
		return err
	}
	axes := a.ints("axes")
	keep := a.int("keepdims", 1)
	a.ignore("noop_with_empty_axes")
	if t, err := imp.constant(n, 1); err != nil {
		return err
	} else if t != nil {
		axes = t.Ints()
	}
	axes = slices.Clone(axes)
	for i := range axes {
		if axes[i] < 0 {
			axes[i] += 4
		}
	}
	if slices.Sort(axes); !slices.Equal(axes, []int64{2, 3}) {
		a.fail("a mean over the axes %v is not supported, only over height and width (2, 3)", axes)
	}
	if keep != 0 {
		imp.layer(n, 4, x, nn.AdaptiveAvgPool2d{})
		return a.done()
	}
	imp.add(n, 2, []string{x}, func(in []value) value {
		return value{node: nn.Flatten{}.Forward(nn.AdaptiveAvgPool2d{}.Forward(in[0].node))}
	})
	return a.done()
}

// pad reads zeros behind the channels, the shortcut without parameters of
// residual networks.
func (imp *importer) pad(n *onnx.Node, a *attributes) error {
	x, err := imp.image(n)
	if err != nil {
		return err
	}
	pads := a.ints("pads")
	if mode := a.text("mode", "constant"); mode != "constant" {
		a.fail("mode=%s is not supported, only constant", mode)
	}
	filled := a.float("value", 0) != 0
	if t, err := imp.constant(n, 1); err != nil {
		return err
	} else if t != nil {
		pads = t.Ints()
	}
	if t, err := imp.constant(n, 2); err != nil {
		return err
	} else if t != nil {
		filled = slices.ContainsFunc(t.Data(), func(v float32) bool { return v != 0 })
	}
	if len(n.Inputs) > 3 && n.Inputs[3] != "" {
		a.fail("axes are not supported")
	}
	for i, p := range pads {
		if i != 5 && p != 0 || p < 0 || p > mostPadding {
			a.fail("pads=%v are not supported, only up to %d channels behind those of [N, C, H, W]", pads, mostPadding)
		}
	}
	if filled || len(pads) != 8 {
		a.fail("only zeros, with a size for both ends of four dimensions, are supported")
	}
	if err := a.done(); err != nil {
		return err
	}
	more := int(pads[5])
	imp.add(n, 4, []string{x}, func(in []value) value {
		return value{node: nn.PadChannels{To: in[0].node.Shape[1] + more}.Forward(in[0].node)}
	})
	return nil
}

// mostPadding is beyond the channels that a shortcut gains.
const mostPadding = 1 << 14

func (imp *importer) gemm(n *onnx.Node, a *attributes) error {
	if alpha, beta := a.float("alpha", 1), a.float("beta", 1); alpha != 1 || beta != 1 {
		a.fail("alpha=%v and beta=%v are not supported, only 1", alpha, beta)
	}
	a.want("transA", 0, 0)
	transposed := a.int("transB", 0) == 0
	if err := a.done(); err != nil {
		return err
	}
	l, x, err := imp.linear(n, transposed)
	if err != nil {
		return err
	}
	if l.Bias, err = imp.vector(n, 2, "bias", l.Weight.Value.Shape()[0], true); err != nil {
		return err
	}
	imp.layer(n, 2, x, l)
	return nil
}

func (imp *importer) matMul(n *onnx.Node, a *attributes) error {
	l, x, err := imp.linear(n, true)
	if err != nil {
		return err
	}
	imp.matmuls[n.Outputs[0]] = l // an Add may bring its bias
	imp.layer(n, 2, x, l)
	return a.done()
}

// linear makes a linear layer without bias of a node's second input, which is
// [in, out] when it is transposed against ours.
func (imp *importer) linear(n *onnx.Node, transposed bool) (*nn.Linear, string, error) {
	x, rank, err := imp.activation(n, 0)
	if err != nil {
		return nil, "", err
	}
	if rank != 2 {
		return nil, "", fmt.Errorf("its input has %d dimensions, where a linear layer takes [N, features]", rank)
	}
	weight, err := imp.parameter(n, 1, 2, true)
	if err != nil {
		return nil, "", err
	}
	if weight.Value.Numel() == 0 {
		return nil, "", fmt.Errorf("a weight of %v", weight.Value.Shape())
	}
	if transposed {
		weight = &nn.Parameter{Value: transpose(weight.Value), Trainable: true}
	}
	l := &nn.Linear{Weight: weight}
	imp.keep(n, l, imp.title(n.Inputs[1]))
	return l, x, nil
}

func transpose(t *tensor.Tensor) *tensor.Tensor {
	rows, columns := t.Shape()[0], t.Shape()[1]
	out := tensor.New(columns, rows)
	for i, v := range t.Data() {
		out.Data()[i%columns*rows+i/columns] = v
	}
	return out
}

// arithmetic reads the sum or product of two activations, or of one and a
// constant for each channel.
func (imp *importer) arithmetic(n *onnx.Node, a *attributes) error {
	if err := a.done(); err != nil {
		return err
	}
	if len(n.Inputs) != 2 {
		return fmt.Errorf("has %d inputs, not two", len(n.Inputs))
	}
	for i, name := range n.Inputs {
		if t, ok := imp.constants[imp.resolve(name)]; ok {
			x, rank, err := imp.activation(n, 1-i)
			if err != nil {
				return err
			}
			if i == 0 && (n.Op == "Sub" || n.Op == "Div") {
				return fmt.Errorf("a constant less or over what is computed is not supported")
			}
			return imp.affine(n, x, rank, name, t)
		}
	}
	x, rank, err := imp.activation(n, 0)
	if err != nil {
		return err
	}
	y, _, err := imp.activation(n, 1)
	if err != nil {
		return err
	}
	switch n.Op {
	case "Add":
		imp.add(n, rank, []string{x, y}, func(in []value) value { return value{node: in[0].node.Plus(in[1].node)} })
	case "Mul":
		imp.add(n, rank, []string{x, y}, func(in []value) value {
			return value{node: in[0].node.Times(in[1].node)}
		})
	default:
		return fmt.Errorf("is supported only with a constant")
	}
	return nil
}

func (imp *importer) softmax(n *onnx.Node, a *attributes) error {
	x, rank, err := imp.activation(n, 0)
	if err != nil {
		return err
	}
	otherwise := int64(-1)
	if imp.model.Opset < 13 {
		otherwise = 1
	}
	if axis := a.int("axis", otherwise); rank != 2 || axis != 1 && axis != -1 {
		a.fail("over axis %d of %d is not supported, only over the classes of [N, classes]", axis, rank)
	}
	if n.Outputs[0] == imp.model.Graph.Outputs[0].Name && imp.uses[n.Outputs[0]] == 1 {
		imp.net.Softmax = true
		imp.alias[n.Outputs[0]] = x
		return a.done()
	}
	imp.layer(n, 2, x, nn.Softmax{})
	return a.done()
}
