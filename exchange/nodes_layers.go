package exchange

import (
	"fmt"
	"math"
	"strings"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// layer writes the operations of layers.
func (e *exporter) layer(n *graph.Node) (known bool, err error) {
	switch op := n.Op.(type) {
	case graph.Conv2d:
		kernel := n.Inputs[1].Shape[2:]
		e.weighted(n, "Conv", sizes("kernel_shape", kernel[0], kernel[1]), sizes("strides", op.StrideH, op.StrideW),
			sizes("pads", op.PadH, op.PadW, op.PadH, op.PadW), sizes("dilations", op.DilationH, op.DilationW), number("group", op.Groups))
	case graph.Conv2dGradInput:
		e.convTranspose(n, op)
	case graph.Linear:
		e.weighted(n, "Gemm", number("transB", 1))
	case graph.Stack:
		// the batch norm that takes it writes its inputs
	case graph.BatchNorm:
		return true, e.batchNorm(n, op)
	case graph.LayerNorm:
		e.plain(n, "LayerNormalization", number("axis", -op.Dims), real32("epsilon", op.Eps))
	case graph.GroupNorm:
		e.groupNorm(n, op)
	case graph.Softmax:
		e.plain(n, "Softmax", number("axis", 1))
	case graph.MaxPool2d:
		e.plain(n, "MaxPool", sizes("kernel_shape", op.KH, op.KW), sizes("strides", op.StrideH, op.StrideW),
			sizes("pads", op.PadH, op.PadW, op.PadH, op.PadW), sizes("dilations", op.DilationH, op.DilationW), flag("ceil_mode", op.CeilMode))
	case graph.AvgPool2d:
		return true, e.averagePool(n, op)
	case graph.AdaptiveAvgPool2d:
		e.adaptivePool(n, op)
	case graph.Upsample:
		e.upsample(n, op)
	default:
		return false, nil
	}
	return true, nil
}

// weighted writes a convolution or linear layer, together with the batch norm that is
// folded into it, if any.
func (e *exporter) weighted(n *graph.Node, op string, attributes ...onnx.Attribute) {
	at, result := path(n.Inputs[1]), n
	in := []string{e.value(n.Inputs[0])}
	if bn := e.folded[n]; bn != nil {
		result = bn
		weight, bias := fold(n, bn)
		weightName, biasName := "", e.unique(strings.TrimPrefix(at+".bias", "."))
		if l, ok := n.Inputs[1].Op.(*graph.Leaf); ok {
			weightName = l.Variable.Name
		}
		if weightName == "" {
			weightName = e.unique(fmt.Sprintf("parameter_%d", n.ID))
		}
		in = append(in, e.initialiser(weightName, weight), e.initialiser(biasName, bias))
	} else {
		for _, w := range n.Inputs[1:] {
			in = append(in, e.value(w))
		}
	}
	e.names[result] = e.name(result, op, at)
	e.emit(e.title(n, op, at), op, in, e.names[result], attributes...)
}

func (e *exporter) batchNorm(n *graph.Node, op graph.BatchNorm) error {
	if e.folded[n.Inputs[0]] == n {
		return nil
	}
	stats := n.Inputs[1]
	if _, ok := stats.Op.(graph.Stack); !ok || !op.Frozen {
		return fmt.Errorf("takes its statistics from %v, but ONNX needs a running mean and variance", stats)
	}
	at := path(n.Inputs[2])
	if at == "" {
		at = path(stats.Inputs[0])
	}
	var in []string
	for _, node := range []*graph.Node{n.Inputs[0], n.Inputs[2], n.Inputs[3], stats.Inputs[0], stats.Inputs[1]} {
		in = append(in, e.value(node))
	}
	const kind = "BatchNormalization"
	e.names[n] = e.name(n, kind, at)
	e.emit(e.title(n, kind, at), kind, in, e.names[n], real32("epsilon", op.Eps))
	return nil
}

// averagePool writes AveragePool. ONNX cannot express a divisor, so a mean over the whole window
// is multiplied by the quotient of its size and the divisor.
func (e *exporter) averagePool(n *graph.Node, op graph.AvgPool2d) error {
	if op.CeilMode && op.Divisor != 0 {
		return fmt.Errorf("ONNX's runtimes disagree about the divisor of windows that reach beyond the padding; leave CeilMode or Divisor out")
	}
	if op.CeilMode && !op.ExcludePad && (op.PadH > 0 || op.PadW > 0) {
		return fmt.Errorf("ONNX's runtimes disagree about windows that reach beyond the padding; leave CeilMode out or set ExcludePad")
	}
	attributes := []onnx.Attribute{
		sizes("kernel_shape", op.KH, op.KW), sizes("strides", op.StrideH, op.StrideW), sizes("pads", op.PadH, op.PadW, op.PadH, op.PadW),
		flag("ceil_mode", op.CeilMode), flag("count_include_pad", !op.ExcludePad || op.Divisor != 0),
	}
	if op.Divisor == 0 || op.Divisor == op.KH*op.KW {
		e.plain(n, "AveragePool", attributes...)
		return nil
	}
	mean := e.step(n, "AveragePool", []string{e.value(n.Inputs[0])}, attributes...)
	e.last(n, "Mul", []string{mean, e.scalar(n, float64(op.KH*op.KW)/float64(op.Divisor))})
	return nil
}

// adaptivePool writes the pooling to one pixel as GlobalAveragePool. Other sizes become an
// AveragePool if they divide the image into windows of equal size, and otherwise products with
// two matrices, which average rows and columns.
func (e *exporter) adaptivePool(n *graph.Node, op graph.AdaptiveAvgPool2d) {
	x := n.Inputs[0].Shape
	if op.H == 1 && op.W == 1 {
		e.plain(n, "GlobalAveragePool")
		return
	}
	if x[2]%op.H == 0 && x[3]%op.W == 0 {
		h, w := x[2]/op.H, x[3]/op.W
		e.plain(n, "AveragePool", sizes("kernel_shape", h, w), sizes("strides", h, w))
		return
	}
	rows, columns := tensor.New(op.H, x[2]), tensor.New(x[3], op.W)
	for i := range op.H {
		average(i, op.H, x[2], func(k int, weight float32) { rows.Data()[i*x[2]+k] = weight })
	}
	for i := range op.W {
		average(i, op.W, x[3], func(k int, weight float32) { columns.Data()[k*op.W+i] = weight })
	}
	lines := e.step(n, "MatMul", []string{e.initialiser(e.unique(fmt.Sprintf("rows_%d", n.ID)), rows), e.value(n.Inputs[0])})
	e.last(n, "MatMul", []string{lines, e.initialiser(e.unique(fmt.Sprintf("columns_%d", n.ID)), columns)})
}

// average visits the pixels in window i of n along an axis of the given size, with their weights.
func average(i, n, size int, visit func(k int, weight float32)) {
	from, to := i*size/n, ((i+1)*size+n-1)/n
	for k := from; k < to; k++ {
		visit(k, float32(1/float64(to-from)))
	}
}

// groupNorm writes InstanceNormalization of a tensor whose channels are the groups, then weight
// and bias, as PyTorch's exporter does: ONNX has GroupNormalization only since version 18.
func (e *exporter) groupNorm(n *graph.Node, op graph.GroupNorm) {
	x := e.value(n.Inputs[0])
	groups := e.step(n, "Reshape", []string{x, e.integers("groups", n, 0, op.Groups, -1)})
	one := e.initialiser(e.unique(fmt.Sprintf("ones_%d", n.ID)), tensor.New(op.Groups).Fill(1))
	zero := e.initialiser(e.unique(fmt.Sprintf("zeros_%d", n.ID)), tensor.New(op.Groups))
	y := e.step(n, "InstanceNormalization", []string{groups, one, zero}, real32("epsilon", op.Eps))
	y = e.step(n, "Reshape", []string{y, e.step(n, "Shape", []string{x})})
	to := []int{n.Shape[1]}
	for range n.Shape[2:] {
		to = append(to, 1)
	}
	shape := e.integers("shape", n, to...)
	y = e.step(n, "Mul", []string{y, e.step(n, "Reshape", []string{e.value(n.Inputs[1]), shape})})
	e.last(n, "Add", []string{y, e.step(n, "Reshape", []string{e.value(n.Inputs[2]), shape})})
}

// upsample writes Resize, with scales so that the graph takes any batch size. Runtimes disagree
// about the nearest pixel where a scale is not a whole number, so Gather chooses rows and columns
// then.
func (e *exporter) upsample(n *graph.Node, op graph.Upsample) {
	x, in := n.Inputs[0].Shape, e.value(n.Inputs[0])
	h, w := scaleOf(x[2], op.H, op.ScaleH), scaleOf(x[3], op.W, op.ScaleW)
	if !op.Bilinear && (h != math.Trunc(h) || w != math.Trunc(w)) {
		rows := e.step(n, "Gather", []string{in, e.integers("rows", n, sources(op.Rows(x[2]))...)}, number("axis", 2))
		e.last(n, "Gather", []string{rows, e.integers("columns", n, sources(op.Columns(x[3]))...)}, number("axis", 3))
		return
	}
	scales := tensor.FromSlice([]float32{1, 1, float32(h), float32(w)}, 4)
	names := []string{in, "", e.initialiser(e.unique(fmt.Sprintf("scales_%d", n.ID)), scales)}
	switch {
	case !op.Bilinear:
		e.last(n, "Resize", names, word("mode", "nearest"), word("coordinate_transformation_mode", "asymmetric"), word("nearest_mode", "floor"))
	case op.AlignCorners:
		e.last(n, "Resize", names, word("mode", "linear"), word("coordinate_transformation_mode", "align_corners"))
	default:
		e.last(n, "Resize", names, word("mode", "linear"), word("coordinate_transformation_mode", "half_pixel"))
	}
}

// sources lists the pixels of an interpolation to the nearest.
func sources(taps [][]graph.Tap) []int {
	list := make([]int, len(taps))
	for i, t := range taps {
		list[i] = t[0].Source
	}
	return list
}

// scaleOf returns the scale of an axis, adjusted so that its product with the size, in float32
// or in float64 and rounded down, is the new size.
func scaleOf(from, to int, factor float64) float64 {
	scale := float32(factor)
	if factor == 0 {
		scale = float32(float64(to) / float64(from))
	}
	for int(float32(from)*scale) < to || int(float64(from)*float64(scale)) < to {
		scale = math.Nextafter32(scale, 2*scale)
	}
	for int(float32(from)*scale) > to {
		scale = math.Nextafter32(scale, 0)
	}
	return float64(scale)
}

// convTranspose writes the gradient of a convolution's input, which ONNX calls ConvTranspose.
func (e *exporter) convTranspose(n *graph.Node, op graph.Conv2dGradInput) {
	w, dy := n.Inputs[0], n.Inputs[1]
	kernel := w.Shape[2:]
	padding := func(size, out, stride, pad, dilation, kernel int) int {
		return size - ((out-1)*stride - 2*pad + dilation*(kernel-1) + 1)
	}
	e.last(n, "ConvTranspose", []string{e.value(dy), e.value(w)}, sizes("kernel_shape", kernel[0], kernel[1]), sizes("strides", op.StrideH, op.StrideW),
		sizes("pads", op.PadH, op.PadW, op.PadH, op.PadW), sizes("dilations", op.DilationH, op.DilationW), number("group", op.Groups),
		sizes("output_padding", padding(op.H, dy.Shape[2], op.StrideH, op.PadH, op.DilationH, kernel[0]), padding(op.W, dy.Shape[3], op.StrideW, op.PadW, op.DilationW, kernel[1])))
}
