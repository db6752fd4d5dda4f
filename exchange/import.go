package exchange

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/weights/onnx"
)

// Import turns an ONNX graph into a network that computes the same logits. The error
// names the node that is not supported.
func Import(m *onnx.Model) (*Network, error) {
	if m.Opset < oldestOpset {
		return nil, fmt.Errorf("uses version %d of ONNX's operators, and %d is the oldest that is supported; export with a newer opset_version", m.Opset, oldestOpset)
	}
	if n := len(m.Graph.Nodes); n > maxNodes {
		return nil, fmt.Errorf("has %d nodes, and at most %d are supported", n, maxNodes)
	}
	imp := newImporter(m)
	if err := imp.input(); err != nil {
		return nil, err
	}
	for i := range m.Graph.Nodes {
		n := &m.Graph.Nodes[i]
		if err := imp.node(n); err != nil {
			return nil, fmt.Errorf("%v: %w", n, err)
		}
	}
	if err := imp.output(); err != nil {
		return nil, err
	}
	return imp.net, imp.net.check(imp.batch())
}

const (
	oldestOpset = 7     // older versions had a training mode in BatchNormalization
	maxNodes    = 5_000 // ten times as many as the largest residual networks have
)

// input reads the description of the graph's images.
func (imp *importer) input() error {
	g := &imp.model.Graph
	if len(g.Inputs) != 1 {
		var names []string
		for _, v := range g.Inputs[:min(len(g.Inputs), 6)] {
			names = append(names, v.Name)
		}
		return fmt.Errorf("takes %d inputs (%s), but an image classifier takes one", len(g.Inputs), strings.Join(names, ", "))
	}
	v := g.Inputs[0]
	in := &imp.net.Input
	in.Name = v.Name
	in.Bytes = v.Type == onnx.Uint8
	if !in.Bytes && !v.Type.IsFloat() {
		return fmt.Errorf("input %q: has elements of type %v, but images must be FLOAT or UINT8", v.Name, v.Type)
	}
	if len(v.Shape) != 4 {
		return fmt.Errorf("input %q: has %d dimensions, but images have four: [N, C, H, W]; export with the shape of the input", v.Name, len(v.Shape))
	}
	for _, d := range v.Shape[1:] {
		if d.Size > maxSide {
			return fmt.Errorf("input %q: has a side of %d, and at most %d is supported", v.Name, d.Size, maxSide)
		}
	}
	in.Channels, in.Height, in.Width = v.Shape[1].Size, v.Shape[2].Size, v.Shape[3].Size
	imp.preparedImages = v.Name
	imp.net.inputName = v.Name
	found, direct := imp.channelsLast(v.Name)
	if !found {
		return nil
	}
	in.ChannelsLast = true
	in.Height, in.Width, in.Channels = in.Channels, in.Height, in.Width
	if imp.transposePending = direct; !direct {
		imp.preparedImages = ""
		imp.net.inputName = "\x00" + v.Name // no readable ONNX graph has a name with a NUL byte
		imp.apply("the input", v.Name, []string{imp.net.inputName}, func(in []value) value {
			return value{node: in[0].node.Transpose(0, 2, 3, 1)}
		})
	}
	return imp.err
}

// channelsLast follows the images through element-wise nodes. found reports whether they
// end in a Transpose from [N, H, W, C] to [N, C, H, W]; direct reports whether Input can
// describe everything that happens before it.
func (imp *importer) channelsLast(name string) (found, direct bool) {
	takers := map[string][]*onnx.Node{}
	for i := range imp.model.Graph.Nodes {
		n := &imp.model.Graph.Nodes[i]
		for _, in := range n.Inputs {
			takers[in] = append(takers[in], n)
		}
	}
	direct = true
	for range maxBeforeTranspose {
		direct = direct && imp.uses[name] == 1
		next := ""
		for _, n := range takers[name] {
			switch n.Op {
			case "Transpose":
				a := attributes{node: n}
				if slices.Equal(a.ints("perm"), []int64{0, 3, 1, 2}) {
					return true, direct
				}
			case "Cast", "Identity":
				next = n.Outputs[0]
			case "Add", "Sub", "Mul", "Div", "Sum", "Clip", "Relu":
				next = n.Outputs[0]
				direct = direct && imp.net.Input.Bytes && len(n.Op) == 3
			}
		}
		if next == "" {
			return false, false
		}
		name = next
	}
	return false, false
}

// maxBeforeTranspose is how many nodes channelsLast follows before it gives up.
const maxBeforeTranspose = 16

// output finds the value that holds the logits.
func (imp *importer) output() error {
	g := &imp.model.Graph
	if len(g.Outputs) != 1 {
		return fmt.Errorf("has %d outputs, but a classifier has one; export only the logits", len(g.Outputs))
	}
	name := imp.resolve(g.Outputs[0].Name)
	in := &imp.net.Input
	if v, ok := imp.values[name]; name != imp.net.inputName && (!ok || v.node == nil) {
		return fmt.Errorf("output %q does not depend on the input", g.Outputs[0].Name)
	}
	imp.net.outputName = name
	for imp.softmaxes[name] == "" && imp.reshapedFrom[name] != "" {
		name = imp.reshapedFrom[name]
	}
	if logits := imp.softmaxes[name]; logits != "" {
		imp.net.outputName, imp.net.Softmax, imp.net.flattenLogits = logits, true, true
	}
	if in.Channels == 0 {
		return imp.noChannels()
	}
	if in.Bytes && in.Scale == nil {
		in.Scale, in.Shift = slices.Repeat([]float64{1}, in.Channels), make([]float64, in.Channels)
	}
	return nil
}

// operations maps the name of each ONNX operator to the method that reads its nodes.
var operations map[string]func(*importer, *onnx.Node, *attributes) error

func init() { // a literal would refer to itself: node lists the names
	operations = map[string]func(*importer, *onnx.Node, *attributes) error{
		"Conv": (*importer).conv, "ConvTranspose": (*importer).convTranspose, "BatchNormalization": (*importer).batchNorm,
		"Relu": activation(nn.ReLU{}), "Sigmoid": activation(nn.Sigmoid{}), "Tanh": activation(nn.Tanh{}), "Clip": (*importer).clip, "PRelu": (*importer).pRelu,
		"MaxPool": (*importer).maxPool, "AveragePool": (*importer).averagePool, "LpPool": (*importer).lpPool,
		"GlobalAveragePool": (*importer).globalPool, "GlobalMaxPool": (*importer).globalPool, "GlobalLpPool": (*importer).globalPool,
		"Add": (*importer).arithmetic, "Sub": (*importer).arithmetic, "Mul": (*importer).arithmetic, "Div": (*importer).arithmetic, "Mod": (*importer).mod,
		"Where": (*importer).where, "Not": (*importer).not, "Neg": (*importer).neg,
		"Gemm": (*importer).gemm, "MatMul": (*importer).matMul, "Softmax": (*importer).softmax, "LogSoftmax": (*importer).softmax,
		"LRN": (*importer).lrn, "InstanceNormalization": (*importer).instanceNorm, "GroupNormalization": (*importer).groupNorm,
		"LayerNormalization": (*importer).layerNorm, "RMSNormalization": (*importer).layerNorm,
		"MeanVarianceNormalization": (*importer).meanVariance, "LpNormalization": (*importer).lpNorm,
		"Flatten": (*importer).flatten, "Reshape": (*importer).reshape, "Squeeze": (*importer).squeeze, "Unsqueeze": (*importer).unsqueeze,
		"Identity": (*importer).identity, "Dropout": (*importer).dropout, "Cast": (*importer).cast, "CastLike": (*importer).cast, "Transpose": (*importer).transpose,
		"Constant": (*importer).constantNode, "ConstantOfShape": (*importer).constantOfShape, "Expand": (*importer).expand, "Range": (*importer).rangeNode, "Tile": (*importer).tile,
		"Shape": (*importer).size, "Size": (*importer).size, "Gather": (*importer).gather, "GatherElements": (*importer).gatherElements, "Slice": (*importer).slice, "Split": (*importer).split,
		"Concat": (*importer).concat, "Pad": (*importer).pad, "DepthToSpace": (*importer).depthToSpace, "SpaceToDepth": (*importer).spaceToDepth,
		"Resize": (*importer).resize, "Upsample": (*importer).resize,
		"QuantizeLinear": (*importer).quantize, "DequantizeLinear": (*importer).dequantize,
	}
	for name := range unaryFunctions {
		operations[name] = (*importer).unary
	}
	for name := range binaryFunctions {
		if operations[name] == nil {
			operations[name] = (*importer).variadic
		}
	}
	for name := range reductions {
		operations[name] = (*importer).reduce
	}
}

// node reads one ONNX node.
func (imp *importer) node(n *onnx.Node) error {
	if known, err := imp.integerNode(n); known {
		return err
	}
	if n.Domain != "" {
		return fmt.Errorf("belongs to the operator set %q; only ONNX's own is supported", n.Domain)
	}
	read, ok := operations[n.Op]
	if slices.Contains(dynamicOperators, n.Op) {
		read, ok = dynamicQuantisation, true
	}
	if !ok {
		return fmt.Errorf("the operation is not supported, only %s", strings.Join(slices.Sorted(maps.Keys(operations)), ", "))
	}
	a := &attributes{node: n}
	if err := read(imp, n, a); err != nil {
		return err
	}
	if err := cmp.Or(imp.err, a.err); err != nil {
		return err
	}
	for _, name := range n.Outputs[1:] {
		if _, made := imp.values[name]; imp.uses[name] > 0 && !made && imp.constants[name] == nil {
			return fmt.Errorf("its output %q is not supported, only the first one", name)
		}
	}
	return nil
}
