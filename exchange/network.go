// Package exchange turns networks into ONNX graphs and ONNX graphs into
// networks. It says what the nodes mean that package weights/onnx reads and
// writes: https://onnx.ai/onnx/operators/.
package exchange

import (
	"cmp"
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

	steps  []step           `nn:"-"`
	known  map[string]value `nn:"-"` // constants that steps take
	from   string           // name of the value that the images are
	to     string           // name of the value that the logits are
	single bool             // the graph takes one image alone, so that those of a batch are traced one by one
	flat   bool             // the logits are all numbers of an image, whatever their shape
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

// Forward runs the graph on images x [N, C, H, W]. It panics when they have not
// the size that the graph takes; the panic names the node.
func (n *Network) Forward(x *graph.Node) *graph.Node {
	first := len(x.Graph.Nodes)
	if len(x.Shape) != 4 || x.Shape[1] != n.Input.Channels {
		panic(tensor.Misusef("the ONNX graph's input %q: images of %v: wants [N, %d, H, W]", n.Input.Name, x.Shape, n.Input.Channels))
	}
	if batch := x.Shape[0]; n.single && batch > 1 {
		var rows []*graph.Node
		for i := range batch {
			rows = append(rows, n.Forward(x.Slice(0, i, i+1)))
		}
		return x.Graph.Record(n, first, graph.Join(0, rows...))
	}
	values := map[string]value{n.from: {node: x}}
	bounds := bounds{seen: first}
	label := ""
	defer func() {
		if m := tensor.Recovered(recover()); m != nil {
			panic(tensor.Misusef("%s: %w", label, m))
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
		out := s.run(in)
		bounds.check(x.Graph)
		bounds.count(in, out)
		values[s.out] = out
	}
	y := values[n.to].node
	if s := y.Shape; len(s) > 2 && (n.flat || s[2:].Numel() == 1) {
		y = nn.Flatten{}.Forward(y)
	}
	if n.Probabilities && n.Softmax {
		y = nn.Softmax{}.Forward(y)
	}
	return x.Graph.Record(n, first, y)
}

// check traces the network on one image and notes the number of classes. On two images it
// must give two rows, or it would mix the images of a batch; a graph that the file fixes to
// one image takes them one by one then.
func (n *Network) check(fixed int64) (err error) {
	h, w := n.Input.sides()
	nn.Named(n)
	y, err := n.sized(1, h, w)
	if err != nil {
		return fmt.Errorf("%w; the graph does not suit its input", err)
	}
	if len(y) != 2 || y[0] != 1 || y[1] < 1 {
		return fmt.Errorf("the output is %v for one image, where a classifier gives [N, classes]; cut the graph after its last linear layer", y)
	}
	n.Classes = y[1]
	two, err := n.sized(2, h, w)
	switch {
	case err == nil && two.Equal(tensor.Shape{2, n.Classes}):
	case fixed == 1:
		n.single = true
	case err != nil:
		return fmt.Errorf("takes one image and not two at once: %w", err)
	default:
		return fmt.Errorf("the output is %v for one image and %v for two, where a classifier gives [N, classes]: it mixes the images of a batch", y, two)
	}
	return nil
}

// sized returns the shape of the output for a batch of images.
func (n *Network) sized(batch, h, w int) (y tensor.Shape, err error) {
	err = guarded(func() {
		g := graph.New(graph.Eval)
		y = n.Forward(g.Input(n.Input.Name, tensor.Float32, batch, n.Input.Channels, h, w)).Shape
	})
	return y, err
}

// sides returns the size of the images that the graph is tried with.
func (in *Input) sides() (h, w int) {
	const any = 224
	return cmp.Or(in.Height, any), cmp.Or(in.Width, any)
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
	return imp.net, imp.net.check(imp.batch())
}

const (
	oldestOpset = 7     // since then batch norm has no mode of its own
	mostNodes   = 5_000 // ten times the largest residual networks'
)

// importer reads the nodes of a graph in their order, and traces each on one image as
// it reads it, so that shapes are known.
type importer struct {
	model      *onnx.Model
	net        *Network
	graph      *graph.Graph     // the trace
	values     map[string]value // of what depends on the image, in the trace
	bounds     bounds
	failed     error // of the node at hand
	constants  map[string]*tensor.Tensor
	zeros      map[string]bool   // constants that stand for no bias
	made       int64             // numbers of constants that nodes have made
	folded     int64             // numbers of constants that these were worked out of
	alias      map[string]string // of values that nothing changes
	shaped     map[string]string // what a value was before it got another shape
	softmaxes  map[string]string // what a softmax over all numbers of an image takes, by what it gives
	uses       map[string]int    // how often each name is taken
	parameters map[string]*nn.Parameter
	matmuls    map[string]*nn.Linear // by their output
	copies     map[string]int        // of a path that several nodes want
	prepared   string                // the images, as long as Input can say what is done to them
	turn       bool                  // the images are [N, H, W, C] until a Transpose of prepared
}

func newImporter(m *onnx.Model) *importer {
	imp := &importer{
		model: m, net: &Network{Layers: map[string]nn.Module{}, Metadata: m.Metadata, known: map[string]value{}},
		graph: graph.New(graph.Eval), values: map[string]value{},
		constants: map[string]*tensor.Tensor{}, zeros: map[string]bool{}, alias: map[string]string{}, shaped: map[string]string{}, softmaxes: map[string]string{}, uses: map[string]int{},
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
	imp.prepared = v.Name
	imp.net.from = v.Name
	found, direct := imp.channelsLast(v.Name)
	if !found {
		return nil
	}
	in.ChannelsLast = true
	in.Height, in.Width, in.Channels = in.Channels, in.Height, in.Width
	if imp.turn = direct; !direct {
		imp.prepared = ""
		imp.net.from = "\x00" + v.Name // no name of an ONNX graph that can be read
		imp.apply("the input", v.Name, []string{imp.net.from}, func(in []value) value {
			return value{node: in[0].node.Transpose(0, 2, 3, 1)}
		})
	}
	return imp.failed
}

// channelsLast reports whether what becomes of the images, element by element, is
// transposed from [N, H, W, C] to [N, C, H, W]; direct says that Input tells all that is
// done before that.
func (imp *importer) channelsLast(name string) (found, direct bool) {
	takers := map[string][]*onnx.Node{}
	for i := range imp.model.Graph.Nodes {
		n := &imp.model.Graph.Nodes[i]
		for _, in := range n.Inputs {
			takers[in] = append(takers[in], n)
		}
	}
	direct = true
	for range mostBeforeTurn {
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

// mostBeforeTurn is how many nodes are looked at before the images are transposed.
const mostBeforeTurn = 16

// output finds where the logits are.
func (imp *importer) output() error {
	g := &imp.model.Graph
	if len(g.Outputs) != 1 {
		return fmt.Errorf("gives %d outputs, where a classifier gives one; export the logits alone", len(g.Outputs))
	}
	name := imp.resolve(g.Outputs[0].Name)
	in := &imp.net.Input
	if v, ok := imp.values[name]; name != imp.net.from && (!ok || v.node == nil) {
		return fmt.Errorf("output %q does not depend on the input", g.Outputs[0].Name)
	}
	imp.net.to = name
	for imp.softmaxes[name] == "" && imp.shaped[name] != "" {
		name = imp.shaped[name]
	}
	if logits := imp.softmaxes[name]; logits != "" {
		imp.net.to, imp.net.Softmax, imp.net.flat = logits, true, true
	}
	if in.Channels == 0 {
		return imp.noChannels()
	}
	if in.Bytes && in.Scale == nil {
		in.Scale, in.Shift = slices.Repeat([]float64{1}, in.Channels), make([]float64, in.Channels)
	}
	return nil
}

func (imp *importer) noChannels() error {
	return fmt.Errorf("input %q: does not say how many channels it has; export with the shape of the input", imp.net.Input.Name)
}

func (imp *importer) resolve(name string) string {
	if to, ok := imp.alias[name]; ok {
		return to
	}
	return name
}
