// Package exchange connects Residual's models with other programs: it interprets files of
// weights in any format, exports models as ONNX graphs and runs ONNX graphs as networks.
//
// FromFile finds out which model an open file holds and returns the module with its weights,
// a description (classes, image preparation) and notes on every choice that the file left
// open. Package modelfile opens the file and calls it:
//
//	m, err := modelfile.Open("resnet18.pth", modelfile.Options{Identify: true})
//
// Save writes a model as an ONNX file, and SaveGo as a Go package that embeds it. The
// Example exports a network and imports it again.
//
// The important types are:
//
//   - ModelConfig, what the caller knows about a file that the file does not say;
//   - Weights, the named tensors of a file, which Load copies into a model of your own;
//   - Network, an ONNX graph as an nn.Module;
//   - ExportConfig, the form of the ONNX graph that Export and Save write.
//
// Package weights/onnx reads and writes the bytes of ONNX files; this package knows what
// their operators compute (https://onnx.ai/onnx/operators/).
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

// Network is an ONNX graph as a module: it maps images [N, C, H, W] to logits
// [N, classes]. A parameter keeps the name of its initialiser when that name is the path
// of a module, as in the files of PyTorch's exporter and ours (layer1.0.conv1.weight).
// Otherwise it is named after the node that uses it.
type Network struct {
	// Layers holds the modules that have parameters, keyed by their path.
	Layers map[string]nn.Module `nn:""`

	Input   Input
	Output  tensor.Shape // of one image
	Classes int          // the size of Output if that is a list, as a classifier's, and otherwise 0
	// Softmax says that the graph ends in a softmax. Forward leaves the softmax out and
	// returns logits, unless Probabilities is set.
	Softmax       bool
	Probabilities bool

	Metadata map[string]string // the metadata of the ONNX file

	head      string                  `nn:"-"` // path of the last linear layer
	originals map[string]nn.Module    `nn:"-"` // the file's layers that were replaced, by their paths
	replaced  map[nn.Module]nn.Module `nn:"-"` // what has taken their places

	steps  []step           `nn:"-"`
	known  map[string]value `nn:"-"` // constants that the nodes use
	from   string           // name of the value that holds the images
	to     string           // name of the value that holds the logits
	single bool             // the graph takes one image at a time, so the images of a batch are traced one by one
	flat   bool             // all numbers of an image are logits, whatever the shape of the output
}

// Input describes the images that an ONNX graph takes.
type Input struct {
	Name                    string
	Channels, Height, Width int // a height or width of 0 means any

	// Bytes says that the graph takes uint8 images and converts them itself: channel c
	// becomes byte·Scale[c] + Shift[c]. Forward takes images that are converted already.
	// Scale and Shift are nil if Bytes is false.
	Bytes        bool
	Scale, Shift []float64
	// ChannelsLast says that the graph takes [N, H, W, C]. Forward always takes [N, C, H, W].
	ChannelsLast bool
}

// Forward runs the graph on images x [N, C, H, W]. It panics if x does not have the size
// that the graph takes; the message names the node.
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

// check traces the network on one image to learn the number of classes. Then it traces two
// images, which must give two rows; anything else would mean that the network mixes the
// images of a batch. A graph whose file fixes the batch to one image is marked single instead.
func (n *Network) check(fixed int64) (err error) {
	h, w := n.Input.sides()
	nn.Named(n)
	y, err := n.sized(1, h, w)
	if err != nil {
		return fmt.Errorf("%w; the graph does not suit its input", err)
	}
	if len(y) < 1 || y[0] != 1 || y.Numel() == 0 {
		return fmt.Errorf("the output is %v for one image, where the first dimension must be that of the images", y)
	}
	n.Output = y[1:]
	if len(n.Output) == 1 {
		n.Classes = n.Output[0]
	}
	two, err := n.sized(2, h, w)
	switch {
	case err == nil && two.Equal(append(tensor.Shape{2}, n.Output...)):
	case fixed == 1:
		n.single = true
	case err != nil:
		return fmt.Errorf("takes one image but not two at once: %w", err)
	default:
		return fmt.Errorf("the output is %v for one image and %v for two: it mixes the images of a batch", y, two)
	}
	return nil
}

// sized returns the shape of the output for a batch of images of h by w pixels.
func (n *Network) sized(batch, h, w int) (y tensor.Shape, err error) {
	err = guarded(func() {
		g := graph.New(graph.Eval)
		y = n.Forward(g.Input(n.Input.Name, tensor.Float32, batch, n.Input.Channels, h, w)).Shape
	})
	return y, err
}

// sides returns the image size that the graph is traced with: its own, or 224 where it takes any.
func (in *Input) sides() (h, w int) {
	const any = 224
	return cmp.Or(in.Height, any), cmp.Or(in.Width, any)
}

// Import turns an ONNX graph into a network that computes the same logits. The error
// names the node that is not supported.
func Import(m *onnx.Model) (*Network, error) {
	if m.Opset < oldestOpset {
		return nil, fmt.Errorf("uses version %d of ONNX's operators, and %d is the oldest that is supported; export with a newer opset_version", m.Opset, oldestOpset)
	}
	if n := len(m.Graph.Nodes); n > mostNodes {
		return nil, fmt.Errorf("has %d nodes, and at most %d are supported", n, mostNodes)
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
	mostNodes   = 5_000 // ten times as many as the largest residual networks have
)

// importer turns the nodes of an ONNX graph into nodes of a Network, in their order. It
// traces each on one image right away, so that all shapes are known.
type importer struct {
	model      *onnx.Model
	net        *Network
	graph      *graph.Graph     // the trace
	values     map[string]value // the values of the trace that depend on the image
	bounds     bounds
	failed     error // the first error of the current node
	constants  map[string]*tensor.Tensor
	zeros      map[string]bool   // constants of zeros, which a convolution ignores as its bias
	made       int64             // elements of all constants that nodes have computed
	folded     int64             // elements of all constants that they were computed from
	alias      map[string]string // the input's name for the output of a node that changes nothing
	shaped     map[string]string // the input's name for the output of a node that only reshapes
	softmaxes  map[string]string // the input's name for the output of a softmax over all numbers of an image
	uses       map[string]int    // how many nodes take each name
	parameters map[string]*nn.Parameter
	matmuls    map[string]*nn.Linear // linear layers made from MatMul, by the name of their output
	copies     map[string]int        // how many more nodes ask for the same path
	prepared   string                // the name of the images, as long as Input can describe everything done to them
	turn       bool                  // the images are [N, H, W, C], and a Transpose of prepared will follow
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
		if d.Size > mostSide {
			return fmt.Errorf("input %q: a side of %d, and at most %d is supported", v.Name, d.Size, mostSide)
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
		imp.net.from = "\x00" + v.Name // no readable ONNX graph has a name with a NUL byte
		imp.apply("the input", v.Name, []string{imp.net.from}, func(in []value) value {
			return value{node: in[0].node.Transpose(0, 2, 3, 1)}
		})
	}
	return imp.failed
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

// mostBeforeTurn is how many nodes channelsLast follows before it gives up.
const mostBeforeTurn = 16

// output finds the value that holds the logits.
func (imp *importer) output() error {
	g := &imp.model.Graph
	if len(g.Outputs) != 1 {
		return fmt.Errorf("has %d outputs, but a classifier has one; export the logits alone", len(g.Outputs))
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

// noChannels is the error of an input whose number of channels is unknown.
func (imp *importer) noChannels() error {
	return fmt.Errorf("input %q: does not say how many channels it has; export with the shape of the input", imp.net.Input.Name)
}

// resolve returns the name of the value that name is an alias of, or name itself.
func (imp *importer) resolve(name string) string {
	if to, ok := imp.alias[name]; ok {
		return to
	}
	return name
}
