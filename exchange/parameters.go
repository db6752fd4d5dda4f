package exchange

import (
	"fmt"
	"strings"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// parameter returns input i of a node as a parameter with the given number of dimensions.
// Nodes that take the same initialiser share its parameter.
func (imp *importer) parameter(n *onnx.Node, i, rank int, trainable bool) (*nn.Parameter, error) {
	t, err := imp.constant(n, i)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, fmt.Errorf("has no input %d", i)
	}
	if t.DType() != tensor.Float32 || len(t.Shape()) != rank {
		return nil, fmt.Errorf("input %q is %v %v, where only a float tensor of %d dimensions is supported", n.Inputs[i], t.DType(), t.Shape(), rank)
	}
	name := imp.resolve(n.Inputs[i])
	p, ok := imp.parameters[name]
	if !ok {
		p = &nn.Parameter{Value: t, Trainable: trainable}
		imp.parameters[name] = p
	}
	return p, nil
}

// vector returns input i as a parameter with one number for each channel, or nil if the
// input is left out.
func (imp *importer) vector(n *onnx.Node, i int, what string, channels int, trainable bool) (*nn.Parameter, error) {
	t, err := imp.constant(n, i)
	if t == nil || err != nil {
		return nil, err
	}
	if s := t.Shape(); len(s) == 2 && s[0] == 1 { // the bias of a Gemm may be a row
		imp.constants[imp.resolve(n.Inputs[i])] = t.Reshape(s[1])
	}
	p, err := imp.parameter(n, i, 1, trainable)
	if err == nil && p.Value.Numel() != channels {
		err = fmt.Errorf("input %q: %s of %d numbers for %d channels", n.Inputs[i], what, p.Value.Numel(), channels)
	}
	return p, err
}

// title returns the path of the module that parameters of these names belong to, which is
// everything before the last word. It returns "" if no name ends like a parameter's.
func (imp *importer) title(names ...string) string {
	for _, name := range names {
		name = imp.resolve(name)
		if integers, ok := imp.integersName[name]; ok {
			name = strings.TrimSuffix(integers, "_quantized") // ONNX Runtime's suffix
		}
		for _, last := range []string{".weight", ".bias", ".running_mean", ".running_var"} {
			if path, ok := strings.CutSuffix(name, last); ok && path != "" {
				return path
			}
		}
	}
	return ""
}

// registerLayer adds a layer with parameters to the network under the given path, or under the path
// of its node if that is empty. A path that is in use gets a number.
func (imp *importer) registerLayer(n *onnx.Node, m nn.Module, path string) {
	if path == "" {
		path = scope(n)
	}
	unique := path
	for imp.net.Layers[unique] != nil {
		imp.pathCopies[path]++ // remember the count: thousands of nodes may share one weight
		unique = fmt.Sprintf("%s_%d", path, imp.pathCopies[path]+1)
	}
	imp.net.Layers[unique] = m
	if _, ok := m.(*nn.Linear); ok && imp.resolve(n.Inputs[1]) != unitsWeight { // the layer before inUnits makes the values
		imp.net.head = unique
	}
}

// scope returns the path of the module that a node was exported from, as far as its name
// tells. PyTorch names the convolution conv1 of layer1.0 "/layer1/layer1.0/conv1/Conv".
func scope(n *onnx.Node) string {
	name := n.Name
	if name == "" {
		name = n.Outputs[0]
	}
	words := strings.Split(strings.Trim(name, "/"), "/")
	if len(words) < 2 {
		return strings.ReplaceAll(words[0], "::", "_")
	}
	var path []string
	for _, w := range words[:len(words)-1] {
		if last := len(path) - 1; last >= 0 && strings.HasPrefix(w, path[last]+".") {
			path[last] = w
		} else {
			path = append(path, w)
		}
	}
	return strings.Join(path, ".")
}

// affine reads the sum, difference, product or quotient of an activation and a constant
// that has one number, or one for each channel.
func (imp *importer) affine(n *onnx.Node, x string, rank int, name string, t *tensor.Tensor) error {
	channels := t.Numel()
	s := t.Shape()
	axis := len(s) - (rank - 1) // of the channels, among the constant's dimensions
	if t.DType() != tensor.Float32 || channels != 1 && (axis < 0 || axis > 1 || axis >= len(s) || s[axis] != channels) || channels == 0 {
		return fmt.Errorf("the constant %q is %v %v, where only one number or one for each channel is supported", name, t.DType(), s)
	}
	if l := imp.matmuls[x]; l != nil && n.Op == "Add" && imp.uses[x] == 1 && channels == l.Weight.Value.Shape()[0] {
		l.Bias = &nn.Parameter{Value: t.Reshape(channels), Trainable: true}
		imp.alias[n.Outputs[0]] = x
		return nil
	}
	scale, shift := make([]float64, channels), make([]float64, channels)
	for i, v := range t.Data() {
		v := float64(v)
		switch n.Op {
		case "Add":
			scale[i], shift[i] = 1, v
		case "Sub":
			scale[i], shift[i] = 1, -v
		case "Mul":
			scale[i] = v
		case "Div":
			scale[i] = 1 / v
		}
	}
	if in := &imp.net.Input; in.Bytes && x == imp.preparedImages {
		return imp.prepare(n, x, scale, shift)
	}
	l := &Affine{}
	for i, p := range []**nn.Parameter{&l.Scale, &l.Shift} {
		*p = &nn.Parameter{Value: tensor.New(channels)}
		for j := range channels {
			(*p).Value.Data()[j] = float32([][]float64{scale, shift}[i][j])
		}
	}
	imp.registerLayer(n, l, "")
	imp.layer(n, rank, x, l)
	return nil
}

// prepare records in Input how the graph scales and shifts uint8 images before its first layer.
func (imp *importer) prepare(n *onnx.Node, x string, scale, shift []float64) error {
	in := &imp.net.Input
	if in.Channels == 0 {
		in.Channels = len(scale)
	}
	if len(scale) != 1 && len(scale) != in.Channels {
		return fmt.Errorf("has %d numbers for images of %d channels", len(scale), in.Channels)
	}
	if in.Scale == nil {
		in.Scale, in.Shift = make([]float64, in.Channels), make([]float64, in.Channels)
		for c := range in.Scale {
			in.Scale[c] = 1
		}
	}
	for c := range in.Scale {
		i := c % len(scale)
		in.Scale[c] *= scale[i]
		in.Shift[c] = in.Shift[c]*scale[i] + shift[i]
	}
	imp.aliasInput(n, x)
	return nil
}

// Affine scales and shifts every channel: y[n,c,...] = Scale[c]·x[n,c,...] + Shift[c]. If
// it has one number only, this is used for all channels. Scale and Shift are not trained.
type Affine struct{ Scale, Shift *nn.Parameter }

// Forward applies a batch norm with mean 0 and variance 1, which the engines fuse with other layers.
func (l *Affine) Forward(x *graph.Node) *graph.Node {
	g, first := x.Graph, len(x.Graph.Nodes)
	channels := x.Shape[1]
	node := func(p *nn.Parameter) *graph.Node {
		switch p.Value.Numel() {
		case channels:
			return g.Variable(p)
		case 1:
			return g.Constant(float64(p.Value.Data()[0]), channels)
		}
		panic(tensor.Misusef("%d numbers for %d channels", p.Value.Numel(), channels))
	}
	stats := g.Apply(graph.Stack{}, g.Constant(0, channels), g.Constant(1, channels))
	return g.Record(l, first, g.Apply(graph.BatchNorm{Frozen: true}, x, stats, node(l.Scale), node(l.Shift)))
}

// String returns the module's name and its number of channels.
func (l *Affine) String() string { return fmt.Sprintf("Affine(%d)", l.Scale.Value.Numel()) }
