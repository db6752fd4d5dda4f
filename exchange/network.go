// Package exchange turns networks into ONNX graphs and ONNX graphs into
// networks. It says what the nodes mean that package weights/onnx reads and
// writes: https://onnx.ai/onnx/operators/.
package exchange

import (
	"fmt"
	"slices"
	"strings"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// Network is an ONNX graph as a module: images [N, C, H, W] -> logits [N, classes].
// Its parameters have the names of the graph's initialisers where these are paths
// of a module, as PyTorch's exporter and ours write them (layer1.0.conv1.weight);
// those that an exporter has made up are named by their node.
type Network struct {
	// Layers holds the modules with parameters, by their path.
	Layers map[string]nn.Module `nn:""`

	Input   Input
	Classes int
	// Softmax says that the graph ends in a softmax. Forward leaves it out unless
	// Probabilities is set: the networks here give logits.
	Softmax       bool
	Probabilities bool

	Metadata map[string]string // of the file

	steps []step           `nn:"-"`
	known map[string]value `nn:"-"` // integers that steps take: shapes and axes
	from  string           // name of the value that the images are
	to    string           // name of the value that the logits are
}

// Input is what an ONNX graph says of its images.
type Input struct {
	Name                    string
	Channels, Height, Width int // a height and width of 0 mean any

	// Bytes says that the graph takes images as bytes and turns them into numbers
	// itself: byte·Scale[c] + Shift[c] in channel c. Forward does not: it takes the
	// numbers. Scale and Shift are nil otherwise.
	Bytes        bool
	Scale, Shift []float64
	// ChannelsLast says that the graph takes [N, H, W, C]. Forward takes [N, C, H, W].
	ChannelsLast bool
}

// value is what a name stands for while a graph is traced: a node, or integers
// that are known then.
type value struct {
	node *graph.Node
	ints []int64
}

// step is one node of an ONNX graph that is not a constant.
type step struct {
	label string // the node, for messages
	in    []string
	out   string
	run   func(in []value) value
}

// Forward runs the graph on images x [N, C, H, W]. It panics when they have not
// the size that the graph takes; the panic names the node.
func (n *Network) Forward(x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	if len(x.Shape) != 4 || x.Shape[1] != n.Input.Channels {
		panic(fmt.Sprintf("the ONNX graph's input %q: images of %v: wants [N, %d, H, W]", n.Input.Name, x.Shape, n.Input.Channels))
	}
	values := map[string]value{n.from: {node: x}}
	label := ""
	defer func() {
		switch r := recover().(type) {
		case nil:
		case string:
			panic(label + ": " + r)
		default:
			panic(r)
		}
	}()
	for _, s := range n.steps {
		label = s.label
		in := make([]value, len(s.in))
		for i, name := range s.in {
			v, ok := values[name]
			if !ok {
				v = n.known[name]
			}
			in[i] = v
		}
		values[s.out] = s.run(in)
	}
	y := values[n.to].node
	if n.Probabilities && n.Softmax {
		y = nn.Softmax{}.Forward(y)
	}
	return x.Graph.Record(n, first, y)
}

// mostElements bounds one activation of one image, so that a small file cannot
// ask for more memory than any network of images takes.
const mostElements = 1 << 30

// check traces the network on one image and notes the number of classes.
func (n *Network) check() (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case string:
			err = fmt.Errorf("%s; the graph does not suit its input", r)
		default:
			panic(r)
		}
	}()
	h, w := n.Input.Height, n.Input.Width
	if h == 0 {
		h = 224
	}
	if w == 0 {
		w = 224
	}
	g := graph.New(graph.Eval)
	nn.Named(n)
	y := n.Forward(g.Input(n.Input.Name, tensor.Float32, 1, n.Input.Channels, h, w))
	if len(y.Shape) != 2 || y.Shape[0] != 1 || y.Shape[1] < 1 {
		return fmt.Errorf("the output is %v for one image, where a classifier gives [N, classes]; cut the graph after its last linear layer", y.Shape)
	}
	n.Classes = y.Shape[1]
	for _, node := range g.Nodes {
		size := 1
		for _, d := range node.Shape {
			if d > 0 && size > mostElements/d {
				return fmt.Errorf("asks for an activation of %v for an image of %dx%d; the file is damaged", node.Shape, h, w)
			}
			size *= d
		}
	}
	return nil
}

// Import turns an ONNX graph into a network that computes the same. The error
// names the node that is not understood.
func Import(m *onnx.Model) (*Network, error) {
	if m.Opset < oldestOpset {
		return nil, fmt.Errorf("uses version %d of ONNX's operators, where %d is the oldest that is read; export with a newer opset_version", m.Opset, oldestOpset)
	}
	if n := len(m.Graph.Nodes); n > mostNodes {
		return nil, fmt.Errorf("has %d nodes, where at most %d are possible", n, mostNodes)
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
	return imp.net, imp.net.check()
}

const (
	oldestOpset = 7     // since then batch norm has no mode of its own
	mostNodes   = 5_000 // ten times the largest residual networks'
)

// kind is what is known of a value before anything is traced.
type kind struct {
	rank   int // of an activation; 0 for integers
	length int // how many integers
}

// importer reads the nodes of a graph in their order.
type importer struct {
	model      *onnx.Model
	net        *Network
	constants  map[string]*tensor.Tensor
	zeros      map[string]bool   // constants that stand for no bias
	expanded   int64             // numbers that Expand has made
	kinds      map[string]kind   // of what is computed
	alias      map[string]string // of values that nothing changes
	uses       map[string]int    // how often each name is taken
	parameters map[string]*nn.Parameter
	matmuls    map[string]*nn.Linear // by their output
	copies     map[string]int        // of a path that several nodes want
	prepared   string                // the images, as long as Input can say what is done to them
}

func newImporter(m *onnx.Model) *importer {
	imp := &importer{
		model: m, net: &Network{Layers: map[string]nn.Module{}, Metadata: m.Metadata, known: map[string]value{}},
		constants: map[string]*tensor.Tensor{}, zeros: map[string]bool{}, kinds: map[string]kind{}, alias: map[string]string{}, uses: map[string]int{},
		parameters: map[string]*nn.Parameter{}, matmuls: map[string]*nn.Linear{}, copies: map[string]int{},
	}
	for _, t := range m.Graph.Initialisers {
		imp.constants[t.Name] = t.Tensor
	}
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

// input reads what the graph says of its images.
func (imp *importer) input() error {
	const mostSide = 1 << 12
	g := &imp.model.Graph
	if len(g.Inputs) != 1 {
		var names []string
		for _, v := range g.Inputs[:min(len(g.Inputs), 6)] {
			names = append(names, v.Name)
		}
		return fmt.Errorf("takes %d inputs (%s), where a classifier of images takes one", len(g.Inputs), strings.Join(names, ", "))
	}
	v := g.Inputs[0]
	in := &imp.net.Input
	in.Name = v.Name
	in.Bytes = v.Type == onnx.Uint8
	if !in.Bytes && !v.Type.IsFloat() {
		return fmt.Errorf("input %q: has elements of %v, where images are FLOAT or UINT8", v.Name, v.Type)
	}
	if len(v.Shape) != 4 {
		return fmt.Errorf("input %q: has %d dimensions, where images have four: [N, C, H, W]; export with the shape of the input", v.Name, len(v.Shape))
	}
	for _, d := range v.Shape[1:] {
		if d.Size > mostSide {
			return fmt.Errorf("input %q: a size of %d, where at most %d are possible", v.Name, d.Size, mostSide)
		}
	}
	in.Channels, in.Height, in.Width = v.Shape[1].Size, v.Shape[2].Size, v.Shape[3].Size
	imp.kinds[v.Name] = kind{rank: 4}
	imp.prepared = v.Name
	imp.net.from = v.Name
	return nil
}

// output finds where the logits are.
func (imp *importer) output() error {
	g := &imp.model.Graph
	if len(g.Outputs) != 1 {
		return fmt.Errorf("gives %d outputs, where a classifier gives one; export the logits alone", len(g.Outputs))
	}
	name := imp.resolve(g.Outputs[0].Name)
	k, ok := imp.kinds[name]
	if !ok || k.rank == 0 {
		return fmt.Errorf("output %q does not depend on the input", g.Outputs[0].Name)
	}
	imp.net.to = name
	in := &imp.net.Input
	if in.Channels == 0 {
		return fmt.Errorf("input %q: does not say how many channels it has; export with the shape of the input", in.Name)
	}
	if in.Bytes && in.Scale == nil {
		in.Scale, in.Shift = slices.Repeat([]float64{1}, in.Channels), make([]float64, in.Channels)
	}
	return nil
}

func (imp *importer) resolve(name string) string {
	if to, ok := imp.alias[name]; ok {
		return to
	}
	return name
}

// activation returns the resolved name and rank of an input that is computed.
func (imp *importer) activation(n *onnx.Node, i int) (string, int, error) {
	if i >= len(n.Inputs) || n.Inputs[i] == "" {
		return "", 0, fmt.Errorf("has no input %d", i)
	}
	name := imp.resolve(n.Inputs[i])
	k := imp.kinds[name]
	if name == imp.prepared && imp.uses[n.Inputs[i]] != 1 {
		imp.prepared = "" // what Input says would hold for the others too
	}
	if k.rank == 0 {
		return "", 0, fmt.Errorf("input %q is not computed from the images", n.Inputs[i])
	}
	return name, k.rank, nil
}

// constant returns an input that is a weight or another constant; nil where it
// is left out.
func (imp *importer) constant(n *onnx.Node, i int) (*tensor.Tensor, error) {
	if i >= len(n.Inputs) || n.Inputs[i] == "" {
		return nil, nil
	}
	t, ok := imp.constants[imp.resolve(n.Inputs[i])]
	if !ok {
		return nil, fmt.Errorf("input %q is computed, where only a constant is possible", n.Inputs[i])
	}
	return t, nil
}

// add appends a step that makes the node's output of the given rank.
func (imp *importer) add(n *onnx.Node, rank int, in []string, run func(in []value) value) {
	imp.kinds[n.Outputs[0]] = kind{rank: rank}
	imp.net.steps = append(imp.net.steps, step{label: n.String(), in: in, out: n.Outputs[0], run: run})
}

// layer adds a step that is a module on one input.
func (imp *importer) layer(n *onnx.Node, rank int, in string, m nn.Module) {
	imp.add(n, rank, []string{in}, func(in []value) value { return value{node: m.Forward(in[0].node)} })
}
