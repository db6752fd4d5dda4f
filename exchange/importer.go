package exchange

import (
	"fmt"
	"maps"
	"slices"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// importer turns the nodes of an ONNX graph into nodes of a Network, in their order. It
// traces each on one image right away, so that all shapes are known.
type importer struct {
	model            *onnx.Model
	net              *Network
	graph            *graph.Graph     // the trace
	values           map[string]value // the values of the trace that depend on the image
	bounds           bounds
	err              error // the first error of the current node
	constants        map[string]*tensor.Tensor
	types            map[string]onnx.ElementType   // of constants with small integers, and of the outputs of QuantizeLinear
	quantised        map[string]quantisedValue     // the outputs of QuantizeLinear that depend on the image
	integersName     map[string]string             // for the name of a constant that DequantizeLinear made, that of its integers
	weights          map[string]graph.FakeQuantize // for the name of a constant that DequantizeLinear made of weights, their quantisation
	zeroBiases       map[string]bool               // constants of zeros, which a convolution ignores as its bias
	computedElements int64                         // elements of all constants that nodes have computed
	foldedElements   int64                         // elements of all constants that they were computed from
	alias            map[string]string             // the input's name for the output of a node that changes nothing
	reshapedFrom     map[string]string             // the input's name for the output of a node that only reshapes
	softmaxes        map[string]string             // the input's name for the output of a softmax over all numbers of an image
	uses             map[string]int                // how many nodes take each name
	parameters       map[string]*nn.Parameter
	matmuls          map[string]*nn.Linear // linear layers made from MatMul, by the name of their output
	pathCopies       map[string]int        // how many more nodes ask for the same path
	preparedImages   string                // the name of the images, as long as Input can describe everything done to them
	transposePending bool                  // the images are [N, H, W, C], and a Transpose of preparedImages will follow
}

func newImporter(m *onnx.Model) *importer {
	imp := &importer{
		model: m, net: &Network{Layers: map[string]nn.Module{}, Metadata: m.Metadata, constants: map[string]value{}},
		graph: graph.New(graph.Eval), values: map[string]value{},
		types: map[string]onnx.ElementType{}, quantised: map[string]quantisedValue{}, weights: map[string]graph.FakeQuantize{}, integersName: map[string]string{},
		constants: map[string]*tensor.Tensor{}, zeroBiases: map[string]bool{}, alias: map[string]string{}, reshapedFrom: map[string]string{}, softmaxes: map[string]string{}, uses: map[string]int{},
		parameters: map[string]*nn.Parameter{}, matmuls: map[string]*nn.Linear{}, pathCopies: map[string]int{},
	}
	for _, t := range m.Graph.Initialisers {
		imp.constants[t.Name] = t.Tensor
	}
	maps.Copy(imp.types, m.Graph.Types)
	for i := range m.Graph.Nodes {
		for _, name := range m.Graph.Nodes[i].Inputs {
			imp.uses[name]++
		}
	}
	for _, v := range m.Graph.Outputs {
		imp.uses[v.Name]++
	}
	return imp
}

// resolve returns the name of the value that name is an alias of, or name itself.
func (imp *importer) resolve(name string) string {
	if to, ok := imp.alias[name]; ok {
		return to
	}
	return name
}

// noChannels is the error of an input whose number of channels is unknown.
func (imp *importer) noChannels() error {
	return fmt.Errorf("input %q: does not say how many channels it has; export with the shape of the input", imp.net.Input.Name)
}

// batch returns the batch size that the graph's input is fixed to, or 0 if it takes any.
func (imp *importer) batch() int64 {
	if d := imp.model.Graph.Inputs[0].Shape[0]; d.Size > 0 {
		return int64(d.Size)
	}
	return 0
}

// inputNames returns the resolved names of all inputs of a node, padded with "" to at least count.
// Inputs that are left out are "". The node uses the images itself if it takes preparedImages, so
// Input no longer describes everything done to them.
func (imp *importer) inputNames(n *onnx.Node, count int) []string {
	names := make([]string, max(count, len(n.Inputs)))
	for i, name := range n.Inputs {
		if name == imp.preparedImages || imp.resolve(name) == imp.preparedImages {
			if imp.preparedImages != "" {
				imp.preparedImages = "" // Input would not describe this node's input
			}
		}
		if name != "" {
			names[i] = imp.resolve(name)
		}
	}
	return names
}

// unchangedInputNames returns the resolved names of the inputs of a node that does not change them.
func (imp *importer) unchangedInputNames(n *onnx.Node) []string {
	names := make([]string, max(1, len(n.Inputs)))
	for i, name := range n.Inputs {
		names[i] = imp.resolve(name)
	}
	return names
}

// value returns the value of a resolved name in the trace.
func (imp *importer) value(name string) (value, error) {
	if name == "" {
		return value{}, nil
	}
	if v, ok := imp.values[name]; ok {
		return v, nil
	}
	if t, ok := imp.constants[name]; ok {
		return value{data: t}, nil
	}
	if v, ok := imp.quantised[name]; ok { // a node takes the integers themselves
		imp.apply("the integers of "+name, name, []string{v.numbers}, func(in []value) value { return value{node: v.by.integersOf(in[0].node)} })
		return imp.values[name], imp.err
	}
	if name != imp.net.inputName {
		return value{}, fmt.Errorf("input %q is not known", name)
	}
	in := &imp.net.Input
	if in.Channels == 0 {
		return value{}, imp.noChannels()
	}
	if imp.transposePending {
		return value{}, fmt.Errorf("takes uint8 images with the channels last; before their Transpose only Add, Sub, Mul and Div with one number, or one for each channel, are supported")
	}
	h, w := in.tracedSize()
	v := value{node: imp.graph.Input(in.Name, tensor.Float32, 1, in.Channels, h, w)}
	imp.values[name] = v
	return v, nil
}

// apply runs an operation on resolved names and gives its result the name out. The result is
// a constant if all inputs are, and otherwise becomes a node of the network. Errors go to
// imp.err.
func (imp *importer) apply(label, out string, in []string, run operation) {
	if imp.err == nil && in[0] == "" {
		imp.err = fmt.Errorf("has no input 0")
	}
	if imp.err != nil {
		return
	}
	values := make([]value, len(in))
	constant := true
	for i, name := range in {
		if values[i], imp.err = imp.value(name); imp.err != nil {
			return
		}
		if _, ok := imp.constants[name]; !ok && name != "" {
			constant = false
		}
	}
	if !constant {
		for i, name := range in {
			if t, ok := imp.constants[name]; ok {
				v, ok := imp.net.constants[name]
				if !ok {
					v = value{data: t, parameter: buffer(t)}
					imp.net.constants[name] = v
				}
				values[i] = v
			}
		}
	}
	var result value
	if imp.err = catchMisuse(func() {
		result = run(values)
		imp.bounds.check(imp.graph)
		if !constant {
			imp.bounds.count(values, result)
		}
	}); imp.err != nil {
		return
	}
	if constant {
		imp.err = imp.addConstant(out, result.data, values)
		return
	}
	imp.values[out] = result
	imp.net.nodes = append(imp.net.nodes, computedNode{label: label, in: in, out: out, run: run})
}

// addConstant adds a constant that a node has computed from others.
func (imp *importer) addConstant(out string, t *tensor.Tensor, of []value) error {
	size := int64(t.Numel())
	for _, v := range of {
		if v.data == nil {
			continue
		}
		if sameNumbers(v.data, t) {
			imp.constants[out] = t
			return nil
		}
		size += int64(v.data.Numel())
	}
	if imp.computedElements += int64(t.Numel()); imp.computedElements > maxComputed {
		return fmt.Errorf("makes a constant of shape %v, and all constants together would have more than %d numbers", t.Shape(), int(maxComputed))
	}
	if len(of) > 0 && size > int64(t.Numel())+maxIntegers {
		if imp.foldedElements += size; imp.foldedElements > maxFolded {
			return fmt.Errorf("computes a constant from others that have more than %d numbers together; let the exporter fold constants", maxFolded)
		}
	}
	imp.constants[out] = t
	return nil
}

// sameNumbers reports whether two tensors share their memory.
func sameNumbers(a, b *tensor.Tensor) bool {
	if a.Numel() == 0 || a.Numel() != b.Numel() || a.DType() != b.DType() {
		return false
	}
	if a.DType() == tensor.Int64 {
		return &a.Ints()[0] == &b.Ints()[0]
	}
	return &a.Data()[0] == &b.Data()[0]
}

// compute adds a node whose first output is computed from all its inputs, none of which may
// be left out.
func (imp *importer) compute(n *onnx.Node, a *attributes, run operation) error {
	if i := slices.Index(n.Inputs, ""); i >= 0 {
		return fmt.Errorf("has no input %d", i)
	}
	return imp.computeOptional(n, a, run)
}

// computeOptional is compute for nodes whose inputs after the first may be left out.
func (imp *importer) computeOptional(n *onnx.Node, a *attributes, run operation) error {
	if err := a.done(); err != nil {
		return err
	}
	imp.apply(n.String(), n.Outputs[0], imp.inputNames(n, 1), run)
	return nil
}

// layer adds a node that applies a module to one input.
func (imp *importer) layer(n *onnx.Node, _ int, in string, m nn.Module) {
	net := imp.net
	imp.apply(n.String(), n.Outputs[0], []string{in}, func(in []value) value { return value{node: net.forward(m, in[0].node)} })
}

// aliasInput makes a node's output an alias of its input.
func (imp *importer) aliasInput(n *onnx.Node, x string) { imp.alias[n.Outputs[0]] = x }

// computedInput returns the resolved name and the rank of an input that is computed from the images.
func (imp *importer) computedInput(n *onnx.Node, i int) (string, int, error) {
	if i >= len(n.Inputs) || n.Inputs[i] == "" {
		return "", 0, fmt.Errorf("has no input %d", i)
	}
	name := imp.resolve(n.Inputs[i])
	if name == imp.preparedImages && imp.uses[n.Inputs[i]] != 1 {
		imp.preparedImages = "" // Input would also describe the other nodes' input
	}
	if name == imp.net.inputName {
		return name, 4, nil
	}
	if v, err := imp.value(name); err == nil && v.node != nil {
		return name, len(v.node.Shape), nil
	}
	return "", 0, fmt.Errorf("input %q is not computed from the images", n.Inputs[i])
}

// image returns the name of a node's first input, which must be images [N, C, H, W].
func (imp *importer) image(n *onnx.Node) (string, error) {
	x, rank, err := imp.computedInput(n, 0)
	if err == nil && rank != 4 {
		err = fmt.Errorf("its input has %d dimensions, where only images [N, C, H, W] are supported", rank)
	}
	return x, err
}

// shapeOf returns the shape of a value computed for one image, or nil if it is not traced.
func (imp *importer) shapeOf(name string) tensor.Shape {
	if v, ok := imp.values[name]; ok && v.node != nil {
		return v.node.Shape
	}
	return nil
}

// constant returns an input that is a weight or another constant, or nil if it is left out.
func (imp *importer) constant(n *onnx.Node, i int) (*tensor.Tensor, error) {
	if i >= len(n.Inputs) || n.Inputs[i] == "" {
		return nil, nil
	}
	t, ok := imp.constants[imp.resolve(n.Inputs[i])]
	if !ok {
		return nil, fmt.Errorf("input %q is computed, but must be constant", n.Inputs[i])
	}
	return t, nil
}
