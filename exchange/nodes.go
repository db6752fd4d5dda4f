package exchange

import (
	"fmt"
	"strings"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// node writes the ONNX node, or nodes, of one node of a trace.
func (e *exporter) node(n *graph.Node) error {
	switch op := n.Op.(type) {
	case *graph.Leaf:
		name := op.Variable.Name
		if name == "" {
			name = e.unique(fmt.Sprintf("parameter_%d", n.ID))
		}
		e.names[n] = e.initialiser(name, op.Variable.Value)
	case *graph.Constant:
		e.names[n] = e.initialiser(e.unique(fmt.Sprintf("constant_%d", n.ID)), tensor.New(op.Size...).Fill(float32(op.Value)))
	case graph.Conv2d:
		kernel := n.Inputs[1].Shape[2:]
		e.weighted(n, "Conv", sizes("kernel_shape", kernel[0], kernel[1]), sizes("strides", op.StrideH, op.StrideW),
			sizes("pads", op.PadH, op.PadW, op.PadH, op.PadW), sizes("dilations", op.DilationH, op.DilationW), number("group", op.Groups))
	case graph.Linear:
		e.weighted(n, "Gemm", number("transB", 1))
	case graph.Stack:
		return nil // the batch norm that takes it writes its inputs
	case graph.BatchNorm:
		return e.batchNorm(n, op)
	case graph.ReLU:
		e.plain(n, "Relu")
	case graph.Sigmoid, graph.Tanh:
		e.plain(n, n.Op.Name())
	case graph.Add, graph.Mul:
		e.plain(n, n.Op.Name())
	case graph.Scale:
		factor := e.initialiser(e.unique(fmt.Sprintf("scale_%d", n.ID)), tensor.New().Fill(float32(op.Factor)))
		e.names[n] = e.name(n, "Mul", "")
		e.emit(e.title(n, "Mul", ""), "Mul", []string{e.names[n.Inputs[0]], factor}, e.names[n])
	case graph.Softmax:
		e.plain(n, "Softmax", number("axis", 1))
	case graph.MaxPool2d:
		e.plain(n, "MaxPool", sizes("kernel_shape", op.KH, op.KW), sizes("strides", op.StrideH, op.StrideW),
			sizes("pads", op.PadH, op.PadW, op.PadH, op.PadW), sizes("dilations", op.DilationH, op.DilationW), flag("ceil_mode", op.CeilMode))
	case graph.AvgPool2d:
		return e.averagePool(n, op)
	case graph.AdaptiveAvgPool2d:
		return e.adaptivePool(n, op)
	case graph.PadChannels:
		e.padChannels(n, op)
	case graph.Reshape:
		return e.reshape(n, op)
	default:
		return fmt.Errorf("Export does not support this operation")
	}
	return nil
}

func sizes(name string, values ...int) onnx.Attribute {
	v := make([]int64, len(values))
	for i := range values {
		v[i] = int64(values[i])
	}
	return onnx.Attribute{Name: name, Value: v}
}

func number(name string, value int) onnx.Attribute {
	return onnx.Attribute{Name: name, Value: int64(value)}
}

func flag(name string, value bool) onnx.Attribute {
	if value {
		return number(name, 1)
	}
	return number(name, 0)
}

// title names an ONNX node after the module whose weights it takes, or else after its
// number in the trace.
func (e *exporter) title(n *graph.Node, op, path string) string {
	if path == "" {
		return fmt.Sprintf("%s_%d", op, n.ID)
	}
	return path + "/" + op
}

// name chooses the name of a node's output.
func (e *exporter) name(n *graph.Node, op, path string) string {
	if n == e.out {
		return OutputName
	}
	return e.unique(e.title(n, op, path) + "_output")
}

// plain writes an ONNX node whose inputs are those of the traced node.
func (e *exporter) plain(n *graph.Node, op string, attributes ...onnx.Attribute) {
	var in []string
	for _, node := range n.Inputs {
		in = append(in, e.names[node])
	}
	e.names[n] = e.name(n, op, "")
	e.emit(e.title(n, op, ""), op, in, e.names[n], attributes...)
}

// path returns the path of the module that a parameter belongs to, "" for other nodes.
func path(n *graph.Node) string {
	l, ok := n.Op.(*graph.Leaf)
	if !ok {
		return ""
	}
	if dot := strings.LastIndexByte(l.Variable.Name, '.'); dot > 0 {
		return l.Variable.Name[:dot]
	}
	return ""
}

// weighted writes a convolution or linear layer, together with the batch norm that is
// folded into it, if any.
func (e *exporter) weighted(n *graph.Node, op string, attributes ...onnx.Attribute) {
	at, result := path(n.Inputs[1]), n
	in := []string{e.names[n.Inputs[0]]}
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
			in = append(in, e.names[w])
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
		in = append(in, e.names[node])
	}
	const kind = "BatchNormalization"
	e.names[n] = e.name(n, kind, at)
	e.emit(e.title(n, kind, at), kind, in, e.names[n], onnx.Attribute{Name: "epsilon", Value: float32(op.Eps)})
	return nil
}

func (e *exporter) averagePool(n *graph.Node, op graph.AvgPool2d) error {
	if op.Divisor != 0 && (op.Divisor != op.KH*op.KW || op.ExcludePad || op.CeilMode) {
		return fmt.Errorf("ONNX cannot express AvgPool2d's Divisor; leave Divisor out")
	}
	if op.CeilMode && !op.ExcludePad && (op.PadH > 0 || op.PadW > 0) {
		return fmt.Errorf("ONNX's runtimes disagree about windows that reach beyond the padding; leave CeilMode out or set ExcludePad")
	}
	e.plain(n, "AveragePool", sizes("kernel_shape", op.KH, op.KW), sizes("strides", op.StrideH, op.StrideW),
		sizes("pads", op.PadH, op.PadW, op.PadH, op.PadW), flag("ceil_mode", op.CeilMode), flag("count_include_pad", !op.ExcludePad))
	return nil
}

// adaptivePool writes the pooling to one pixel as GlobalAveragePool. Other sizes become an
// AveragePool, which is possible if they divide the image into windows of equal size.
func (e *exporter) adaptivePool(n *graph.Node, op graph.AdaptiveAvgPool2d) error {
	x := n.Inputs[0].Shape
	if op.H == 1 && op.W == 1 {
		e.plain(n, "GlobalAveragePool")
		return nil
	}
	if x[2]%op.H != 0 || x[3]%op.W != 0 {
		return fmt.Errorf("an image of %dx%d does not divide into %dx%d windows of equal size, as ONNX requires; choose another image size", x[2], x[3], op.H, op.W)
	}
	h, w := x[2]/op.H, x[3]/op.W
	e.plain(n, "AveragePool", sizes("kernel_shape", h, w), sizes("strides", h, w))
	return nil
}

func (e *exporter) reshape(n *graph.Node, op graph.Reshape) error {
	from := n.Inputs[0].Shape
	if len(from) < 1 || len(op.To) < 1 || from[0] != tracedBatch || op.To[0] != tracedBatch {
		return fmt.Errorf("from %v changes the batch dimension, which is impossible in an ONNX graph for any batch size", from)
	}
	if len(op.To) == 2 {
		e.plain(n, "Flatten", number("axis", 1))
		return nil
	}
	to := []int64{0} // 0 keeps the batch size
	for _, d := range op.To[1:] {
		to = append(to, int64(d))
	}
	shape := e.initialiser(e.unique(fmt.Sprintf("shape_%d", n.ID)), tensor.FromInts(to, len(to)))
	e.names[n] = e.name(n, "Reshape", "")
	e.emit(e.title(n, "Reshape", ""), "Reshape", []string{e.names[n.Inputs[0]], shape}, e.names[n])
	return nil
}

// padChannels writes a Pad node. ONNX lists the padding at the beginning of every dimension
// first, then that at the end.
func (e *exporter) padChannels(n *graph.Node, op graph.PadChannels) {
	pads := tensor.FromInts([]int64{0, 0, 0, 0, 0, int64(op.To - n.Inputs[0].Shape[1]), 0, 0}, 8)
	in := []string{e.names[n.Inputs[0]], e.initialiser(e.unique(fmt.Sprintf("pads_%d", n.ID)), pads)}
	e.names[n] = e.name(n, "Pad", "")
	e.emit(e.title(n, "Pad", ""), "Pad", in, e.names[n], onnx.Attribute{Name: "mode", Value: "constant"})
}
