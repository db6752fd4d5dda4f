package exchange

import (
	"fmt"
	"maps"
	"math"
	"reflect"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// The names that an exported graph gives its input, its output and the batch dimension.
const (
	InputName  = "images"
	OutputName = "logits"
	BatchName  = "N"
)

// The versions of the ONNX format and of its operators that Export writes. All current
// readers support them.
const (
	writtenIR    = 8
	writtenOpset = 17
)

// ExportConfig describes the ONNX graph that Export writes.
type ExportConfig struct {
	Channels, Height, Width int // size of the images that the network is traced with

	// AnySize lets the graph take images of any height and width.
	AnySize bool

	// Fold merges each batch norm into the convolution or linear layer before it.
	Fold bool

	// Bytes makes the graph take uint8 images, which it scales and normalises as
	// Preprocess says. The caller still resizes images and converts colours to grey.
	Bytes        bool
	ChannelsLast bool // with Bytes: images are [N, H, W, C], not [N, C, H, W]
	Preprocess   prepare.Steps

	Metadata map[string]string
}

// Export writes a classifier in evaluation mode as an ONNX graph. The graph has one input,
// "images" [N, C, H, W] of floats, and one output, "logits" [N, classes], for any batch
// size N. Its initialisers have the names of m's parameters. If m uses an operation that
// ONNX does not have, the error names it.
func Export(m nn.Module, c ExportConfig) (*onnx.Model, error) {
	if c.Channels < 1 || c.Height < 1 || c.Width < 1 {
		return nil, fmt.Errorf("exchange.Export: images of %dx%dx%d: channels, height and width must be at least 1", c.Channels, c.Height, c.Width)
	}
	if err := c.checkPreprocess(); err != nil {
		return nil, err
	}
	model, err := export(m, c)
	if err != nil || !c.AnySize {
		return model, err
	}
	// A graph for any size must come out the same when it is traced at another size.
	other := c
	other.Height, other.Width = c.Height+32, c.Width+64
	second, err := export(m, other)
	if err != nil || !reflect.DeepEqual(model.Graph.Nodes, second.Graph.Nodes) || !reflect.DeepEqual(shapes(model), shapes(second)) {
		return nil, fmt.Errorf("%s depends on the size of its images, so one graph cannot take every size; export it for one size", nn.Class(m))
	}
	return model, nil
}

// shapes lists the integer initialisers, which hold shapes and not weights.
func shapes(m *onnx.Model) (list []tensor.Named) {
	for _, t := range m.Graph.Initialisers {
		if t.Tensor.DType() == tensor.Int64 {
			list = append(list, t)
		}
	}
	return list
}

// checkPreprocess reports whether the graph can prepare images as Preprocess says.
func (c *ExportConfig) checkPreprocess() error {
	p := c.Preprocess
	if c.Bytes && p.BGR {
		return fmt.Errorf("takes channels in the order blue, green, red, and a graph that takes uint8 images is only written for red, green, blue; leave Bytes out")
	}
	for i, values := range [][]float64{p.Mean, p.Std} {
		name := []string{"mean", "std"}[i]
		if c.Bytes && len(values) != 0 && len(values) != c.Channels {
			return fmt.Errorf("exchange.Export: the %s has %d values for %d channels", name, len(values), c.Channels)
		}
	}
	if c.ChannelsLast && !c.Bytes {
		return fmt.Errorf("exchange.Export: ChannelsLast is for uint8 images; set Bytes too")
	}
	return nil
}

// tracedBatch is the batch size of the trace. It is not 1, so that it differs from sizes that broadcast.
const tracedBatch = 2

// export traces m on images of one size and writes every node.
func export(m nn.Module, c ExportConfig) (*onnx.Model, error) {
	nn.Named(m) // gives the parameters their names
	g := graph.New(graph.Eval)
	x := g.Input(InputName, tensor.Float32, tracedBatch, c.Channels, c.Height, c.Width)
	y, err := engine.Trace(m.Forward, x)
	if err != nil {
		return nil, err
	}
	if len(y.Shape) != 2 || y.Shape[0] != tracedBatch {
		return nil, fmt.Errorf("%s returns %v for images of %v, but a classifier returns [N, classes]", nn.Class(m), y.Shape, x.Shape)
	}
	version, _ := checkpoint.Versions()
	e := &exporter{
		conf: c, names: map[*graph.Node]string{}, used: map[string]bool{InputName: true, OutputName: true}, titles: map[string]bool{},
		out: y, uses: map[*graph.Node]int{}, folded: map[*graph.Node]*graph.Node{},
		model: &onnx.Model{
			IRVersion: writtenIR, Opset: writtenOpset, Producer: "residual", ProducerVersion: version,
			Graph:    onnx.Graph{Name: nn.Class(m)},
			Metadata: maps.Clone(c.Metadata),
		},
	}
	e.values(x, y)
	live := e.live(g)
	// Reserve the names of all parameters first, so that no other value takes them.
	for _, n := range g.Nodes {
		if l, ok := n.Op.(*graph.Leaf); ok && live[n] && l.Variable.Name != "" {
			if e.used[l.Variable.Name] {
				return nil, fmt.Errorf("a parameter cannot be called %s in an ONNX graph; rename its field", l.Variable.Name)
			}
			e.used[l.Variable.Name] = true
		}
	}
	e.prepare(x)
	for _, n := range g.Nodes {
		if !live[n] || n == x {
			continue
		}
		if err := e.node(n); err != nil {
			return nil, fmt.Errorf("%v: %w", n, err)
		}
	}
	if e.names[y] != OutputName { // the output is the input itself, or a weight
		e.emit(OutputName, "Identity", []string{e.names[y]}, OutputName)
	}
	return e.model, nil
}

// exporter writes the nodes of a trace as ONNX nodes, in their order.
type exporter struct {
	conf   ExportConfig
	model  *onnx.Model
	names  map[*graph.Node]string
	used   map[string]bool // names of values
	titles map[string]bool // names of nodes
	out    *graph.Node
	uses   map[*graph.Node]int         // how many nodes take a node's output
	folded map[*graph.Node]*graph.Node // the batch norm that is folded into each layer
}

// values describes the input and the output of the graph.
func (e *exporter) values(x, y *graph.Node) {
	batch := onnx.Dim{Name: BatchName}
	side := func(size int, name string) onnx.Dim {
		if e.conf.AnySize {
			return onnx.Dim{Name: name}
		}
		return onnx.Dim{Size: size}
	}
	h, w := side(x.Shape[2], "H"), side(x.Shape[3], "W")
	in := onnx.Value{Name: InputName, Type: onnx.Float, Shape: []onnx.Dim{batch, {Size: x.Shape[1]}, h, w}}
	if e.conf.Bytes {
		in.Type = onnx.Uint8
	}
	if e.conf.ChannelsLast {
		in.Shape = []onnx.Dim{batch, h, w, {Size: x.Shape[1]}}
	}
	e.model.Graph.Inputs = []onnx.Value{in}
	e.model.Graph.Outputs = []onnx.Value{{Name: OutputName, Type: onnx.Float, Shape: []onnx.Dim{batch, {Size: y.Shape[1]}}}}
}

// live returns the nodes that the output depends on. It also counts how often each node is
// used and chooses the batch norms to fold.
func (e *exporter) live(g *graph.Graph) map[*graph.Node]bool {
	live := map[*graph.Node]bool{e.out: true}
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		n := g.Nodes[i]
		if !live[n] {
			continue
		}
		for _, in := range n.Inputs {
			live[in] = true
			e.uses[in]++
		}
	}
	if !e.conf.Fold {
		return live
	}
	for _, n := range g.Nodes {
		if op, ok := n.Op.(graph.BatchNorm); ok && live[n] && op.Frozen && e.foldable(n) {
			e.folded[n.Inputs[0]] = n
		}
	}
	// A folded layer gets new weights, so its old ones and the batch norm's are not written.
	for layer, bn := range e.folded {
		for _, n := range append([]*graph.Node{bn.Inputs[1]}, append(bn.Inputs[1].Inputs, layer.Inputs[1:]...)...) {
			delete(live, n)
		}
		for _, n := range bn.Inputs[2:] {
			delete(live, n)
		}
	}
	return live
}

// foldable reports whether a batch norm has running statistics and follows a layer whose
// output and weights no other node uses.
func (e *exporter) foldable(bn *graph.Node) bool {
	layer := bn.Inputs[0]
	switch layer.Op.(type) {
	case graph.Conv2d, graph.Linear:
	default:
		return false
	}
	if e.uses[layer] != 1 || layer == e.out {
		return false
	}
	stats := bn.Inputs[1]
	if _, ok := stats.Op.(graph.Stack); !ok || e.uses[stats] != 1 {
		return false
	}
	weights := append(append([]*graph.Node{}, stats.Inputs...), bn.Inputs[2:]...)
	for _, n := range append(weights, layer.Inputs[1:]...) {
		if _, ok := constantValues(n); !ok || e.uses[n] != 1 {
			return false
		}
	}
	return true
}

// constantValues returns the elements of a variable or a constant. ok is false for other nodes.
func constantValues(n *graph.Node) ([]float32, bool) {
	switch op := n.Op.(type) {
	case *graph.Leaf:
		return op.Variable.Value.Data(), op.Variable.Value.DType() == tensor.Float32
	case *graph.Constant:
		return tensor.New(op.Size...).Fill(float32(op.Value)).Data(), true
	}
	return nil, false
}

// unique returns a name that no other value of the graph has.
func (e *exporter) unique(name string) string { return unique(e.used, name) }

// unique returns the name itself, or with a number appended if it is used already.
func unique(used map[string]bool, name string) string {
	free := name
	for i := 2; used[free]; i++ {
		free = fmt.Sprintf("%s_%d", name, i)
	}
	used[free] = true
	return free
}

// initialiser adds a tensor under a name and returns the name.
func (e *exporter) initialiser(name string, t *tensor.Tensor) string {
	e.model.Graph.Initialisers = append(e.model.Graph.Initialisers, tensor.Named{Name: name, Tensor: t})
	return name
}

// emit adds an ONNX node.
func (e *exporter) emit(name, op string, in []string, out string, attributes ...onnx.Attribute) {
	name = unique(e.titles, name) // a layer that is called twice becomes two nodes
	e.model.Graph.Nodes = append(e.model.Graph.Nodes, onnx.Node{Name: name, Op: op, Inputs: in, Outputs: []string{out}, Attributes: attributes})
}

// prepare writes the nodes that convert and normalise uint8 images, and names the result.
func (e *exporter) prepare(x *graph.Node) {
	at := InputName
	next := func(op string, in []string, attributes ...onnx.Attribute) {
		out := e.unique("preprocess/" + op)
		e.emit(out, op, append([]string{at}, in...), out, attributes...)
		at = out
	}
	if e.conf.Bytes {
		next("Cast", nil, onnx.Attribute{Name: "to", Value: int64(onnx.Float)})
		if e.conf.ChannelsLast {
			next("Transpose", nil, onnx.Attribute{Name: "perm", Value: []int64{0, 3, 1, 2}})
		}
		p := e.conf.Preprocess
		number := func(name string, values ...float64) []string {
			t := tensor.New(1, len(values), 1, 1)
			for i, v := range values {
				t.Data()[i] = float32(v)
			}
			return []string{e.initialiser(e.unique("preprocess."+name), t)}
		}
		if p.Scale == 0 || p.Scale == prepare.UnitScale { // v*(1/255) differs from v/255 in the last bit
			next("Div", number("bytes", 255))
		} else {
			next("Mul", number("scale", p.Scale))
		}
		if len(p.Mean) > 0 {
			next("Sub", number("mean", p.Mean...))
		}
		if len(p.Std) > 0 {
			next("Div", number("std", p.Std...))
		}
	}
	e.names[x] = at
}

// fold merges a batch norm into the layer before it and returns the layer's new weight and
// bias, computed in float64:
//
//	w'[o,...] = w[o,...]·gamma[o]/√(var[o]+eps)    b'[o] = (b[o]-mean[o])·gamma[o]/√(var[o]+eps) + beta[o]
func fold(layer, bn *graph.Node) (weight, bias *tensor.Tensor) {
	numbers := func(n *graph.Node) []float32 { v, _ := constantValues(n); return v }
	mean, variance := numbers(bn.Inputs[1].Inputs[0]), numbers(bn.Inputs[1].Inputs[1])
	gamma, beta := numbers(bn.Inputs[2]), numbers(bn.Inputs[3])
	w := numbers(layer.Inputs[1])
	weight, bias = tensor.New(layer.Inputs[1].Shape...), tensor.New(len(mean))
	row := len(w) / len(mean)
	for o := range mean {
		factor := float64(gamma[o]) / math.Sqrt(float64(variance[o])+bn.Op.(graph.BatchNorm).Eps)
		b := 0.0
		if len(layer.Inputs) == 3 {
			b = float64(numbers(layer.Inputs[2])[o])
		}
		bias.Data()[o] = float32((b-float64(mean[o]))*factor + float64(beta[o]))
		for i := o * row; i < (o+1)*row; i++ {
			weight.Data()[i] = float32(float64(w[i]) * factor)
		}
	}
	return weight, bias
}
