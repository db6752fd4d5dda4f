package exchange

import (
	"fmt"
	"math"
	"strings"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// writeLayer writes the operations of layers.
func (e *exporter) writeLayer(n *graph.Node) (known bool, err error) {
	switch op := n.Op.(type) {
	case graph.Conv2d:
		kernel := n.Inputs[1].Shape[2:]
		e.weighted(n, "Conv", intsAttribute("kernel_shape", kernel[0], kernel[1]), intsAttribute("strides", op.StrideH, op.StrideW),
			intsAttribute("pads", op.PadH, op.PadW, op.PadH, op.PadW), intsAttribute("dilations", op.DilationH, op.DilationW), intAttribute("group", op.Groups))
	case graph.Conv2dGradInput:
		e.convTranspose(n, op)
	case graph.Linear:
		e.weighted(n, "Gemm", intAttribute("transB", 1))
	case graph.Stack:
		// the batch norm that takes the Stack writes its inputs
	case graph.BatchNorm:
		return true, e.batchNorm(n, op)
	case graph.LayerNorm:
		e.sameInputs(n, "LayerNormalization", intAttribute("axis", -op.Dims), floatAttribute("epsilon", op.Eps))
	case graph.GroupNorm:
		e.groupNorm(n, op)
	case graph.Softmax:
		e.sameInputs(n, "Softmax", intAttribute("axis", 1))
	case graph.MaxPool2d:
		e.sameInputs(n, "MaxPool", intsAttribute("kernel_shape", op.KH, op.KW), intsAttribute("strides", op.StrideH, op.StrideW),
			intsAttribute("pads", op.PadH, op.PadW, op.PadH, op.PadW), intsAttribute("dilations", op.DilationH, op.DilationW), boolAttribute("ceil_mode", op.CeilMode))
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
	at, result := path(unquantised(n.Inputs[1])), n
	in := []string{e.value(n.Inputs[0])}
	bn := e.folded[n]
	if bn != nil {
		result = bn
	}
	if rounding, ok := quantisedWeight(n); ok {
		in = append(in, e.weightedQuantised(n, bn, rounding)...)
	} else if bn != nil {
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
	e.emit(e.title(n, kind, at), kind, in, e.names[n], floatAttribute("epsilon", op.Eps))
	return nil
}

// averagePool writes AveragePool. ONNX cannot express a divisor, so the mean over a window is
// multiplied by the window's size divided by the divisor.
func (e *exporter) averagePool(n *graph.Node, op graph.AvgPool2d) error {
	if op.CeilMode && op.Divisor != 0 {
		return fmt.Errorf("ONNX's runtimes disagree about the divisor of windows that reach beyond the padding; leave CeilMode or Divisor out")
	}
	if op.CeilMode && !op.ExcludePad && (op.PadH > 0 || op.PadW > 0) {
		return fmt.Errorf("ONNX's runtimes disagree about windows that reach beyond the padding; leave CeilMode out or set ExcludePad")
	}
	attributes := []onnx.Attribute{
		intsAttribute("kernel_shape", op.KH, op.KW), intsAttribute("strides", op.StrideH, op.StrideW), intsAttribute("pads", op.PadH, op.PadW, op.PadH, op.PadW),
		boolAttribute("ceil_mode", op.CeilMode), boolAttribute("count_include_pad", !op.ExcludePad || op.Divisor != 0),
	}
	if op.Divisor == 0 || op.Divisor == op.KH*op.KW {
		e.sameInputs(n, "AveragePool", attributes...)
		return nil
	}
	mean := e.intermediate(n, "AveragePool", []string{e.value(n.Inputs[0])}, attributes...)
	e.result(n, "Mul", []string{mean, e.scalar(n, float64(op.KH*op.KW)/float64(op.Divisor))})
	return nil
}

// adaptivePool writes the pooling to one pixel as GlobalAveragePool. Other sizes become an
// AveragePool if they divide the image into windows of equal size. Otherwise two matrix
// multiplications average rows and columns.
func (e *exporter) adaptivePool(n *graph.Node, op graph.AdaptiveAvgPool2d) {
	x := n.Inputs[0].Shape
	if op.H == 1 && op.W == 1 {
		e.sameInputs(n, "GlobalAveragePool")
		return
	}
	if x[2]%op.H == 0 && x[3]%op.W == 0 {
		h, w := x[2]/op.H, x[3]/op.W
		e.sameInputs(n, "AveragePool", intsAttribute("kernel_shape", h, w), intsAttribute("strides", h, w))
		return
	}
	rows, columns := tensor.New(op.H, x[2]), tensor.New(x[3], op.W)
	for i := range op.H {
		windowWeights(i, op.H, x[2], func(k int, weight float32) { rows.Data()[i*x[2]+k] = weight })
	}
	for i := range op.W {
		windowWeights(i, op.W, x[3], func(k int, weight float32) { columns.Data()[k*op.W+i] = weight })
	}
	lines := e.intermediate(n, "MatMul", []string{e.initialiser(e.unique(fmt.Sprintf("rows_%d", n.ID)), rows), e.value(n.Inputs[0])})
	e.result(n, "MatMul", []string{lines, e.initialiser(e.unique(fmt.Sprintf("columns_%d", n.ID)), columns)})
}

// windowWeights visits the pixels in window i of n along an axis of the given size, and their weights.
func windowWeights(i, n, size int, visit func(k int, weight float32)) {
	from, to := i*size/n, ((i+1)*size+n-1)/n
	for k := from; k < to; k++ {
		visit(k, float32(1/float64(to-from)))
	}
}

// groupNorm writes an InstanceNormalization of a tensor whose channels are the groups, and then
// applies weight and bias, as PyTorch's exporter does: ONNX has GroupNormalization only since
// version 18.
func (e *exporter) groupNorm(n *graph.Node, op graph.GroupNorm) {
	x := e.value(n.Inputs[0])
	groups := e.intermediate(n, "Reshape", []string{x, e.integers("groups", n, 0, op.Groups, -1)})
	one := e.initialiser(e.unique(fmt.Sprintf("ones_%d", n.ID)), tensor.New(op.Groups).Fill(1))
	zero := e.initialiser(e.unique(fmt.Sprintf("zeros_%d", n.ID)), tensor.New(op.Groups))
	y := e.intermediate(n, "InstanceNormalization", []string{groups, one, zero}, floatAttribute("epsilon", op.Eps))
	y = e.intermediate(n, "Reshape", []string{y, e.intermediate(n, "Shape", []string{x})})
	to := []int{n.Shape[1]}
	for range n.Shape[2:] {
		to = append(to, 1)
	}
	shape := e.integers("shape", n, to...)
	y = e.intermediate(n, "Mul", []string{y, e.intermediate(n, "Reshape", []string{e.value(n.Inputs[1]), shape})})
	e.result(n, "Add", []string{y, e.intermediate(n, "Reshape", []string{e.value(n.Inputs[2]), shape})})
}

// upsample writes Resize, with scales so that the graph takes any batch size. Runtimes disagree
// about the nearest pixel if a scale is not an integer; then Gather nodes choose the rows and
// columns instead.
func (e *exporter) upsample(n *graph.Node, op graph.Upsample) {
	x, in := n.Inputs[0].Shape, e.value(n.Inputs[0])
	h, w := scaleOf(x[2], op.H, op.ScaleH), scaleOf(x[3], op.W, op.ScaleW)
	if !op.Bilinear && (h != math.Trunc(h) || w != math.Trunc(w)) {
		rows := e.intermediate(n, "Gather", []string{in, e.integers("rows", n, nearestSources(op.Rows(x[2]))...)}, intAttribute("axis", 2))
		e.result(n, "Gather", []string{rows, e.integers("columns", n, nearestSources(op.Columns(x[3]))...)}, intAttribute("axis", 3))
		return
	}
	scales := tensor.FromSlice([]float32{1, 1, float32(h), float32(w)}, 4)
	names := []string{in, "", e.initialiser(e.unique(fmt.Sprintf("scales_%d", n.ID)), scales)}
	switch {
	case !op.Bilinear:
		e.result(n, "Resize", names, stringAttribute("mode", "nearest"), stringAttribute("coordinate_transformation_mode", "asymmetric"), stringAttribute("nearest_mode", "floor"))
	case op.AlignCorners:
		e.result(n, "Resize", names, stringAttribute("mode", "linear"), stringAttribute("coordinate_transformation_mode", "align_corners"))
	default:
		e.result(n, "Resize", names, stringAttribute("mode", "linear"), stringAttribute("coordinate_transformation_mode", "half_pixel"))
	}
}

// nearestSources lists the source pixels of an interpolation to the nearest pixel.
func nearestSources(taps [][]graph.Tap) []int {
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
	e.result(n, "ConvTranspose", []string{e.value(dy), e.value(w)}, intsAttribute("kernel_shape", kernel[0], kernel[1]), intsAttribute("strides", op.StrideH, op.StrideW),
		intsAttribute("pads", op.PadH, op.PadW, op.PadH, op.PadW), intsAttribute("dilations", op.DilationH, op.DilationW), intAttribute("group", op.Groups),
		intsAttribute("output_padding", padding(op.H, dy.Shape[2], op.StrideH, op.PadH, op.DilationH, kernel[0]), padding(op.W, dy.Shape[3], op.StrideW, op.PadW, op.DilationW, kernel[1])))
}
