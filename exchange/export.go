package exchange

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights/onnx"
)

// The versions of the ONNX format and of its operators that Export writes. All current
// readers support them.
const (
	writtenIR    = 8
	writtenOpset = 17
)

// ExportConfig describes the ONNX graph that Export writes.
type ExportConfig struct {
	// Input has the channels and the size of the images with which the network is traced and,
	// for Bytes, how they are prepared.
	Input prepare.Input

	// AnySize lets the graph take images of any height and width.
	AnySize bool

	// Fold merges each batch norm into the convolution or linear layer before it.
	Fold bool

	// Bytes makes the graph take uint8 images, which it scales and normalises as
	// Input.Preprocess says. The caller still resizes images and converts colours to grey.
	Bytes        bool
	ChannelsLast bool // with Bytes: images are [N, H, W, C], not [N, C, H, W]

	Metadata map[string]string

	// The outputs are multiplied by outputStd, and outputMean is added; nil leaves them as they are.
	outputMean, outputStd []float64
}

// Export writes a network in evaluation mode as an ONNX graph. The graph has one input,
// "images" [N, C, H, W] of floats, and one output, "logits" [N, ...], for any batch size N; the
// output of a classifier is [N, classes]. Its initialisers have the names of m's parameters. If m
// uses an operation that ONNX does not have, the error names it and the layer.
func Export(m nn.Module, c ExportConfig) (*onnx.Model, error) {
	if c.Input.Channels < 1 || c.Input.Height < 1 || c.Input.Width < 1 {
		return nil, fmt.Errorf("exchange.Export: images of %dx%dx%d: channels, height and width must be at least 1", c.Input.Channels, c.Input.Height, c.Input.Width)
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
	other.Input.Height, other.Input.Width = c.Input.Height+32, c.Input.Width+64
	second, err := export(m, other)
	if err != nil || !reflect.DeepEqual(model.Graph.Nodes, second.Graph.Nodes) || !sameValues(model, second) {
		return nil, sizeError(m)
	}
	return model, nil
}

// sizeError is the error of a network that one graph cannot compute for images of every size.
func sizeError(m nn.Module) error {
	return fmt.Errorf("%s depends on the size of its images, so one graph cannot take every size; export it for one size", nn.Class(m))
}

// sameValues reports whether two graphs have the same initialisers. For large tensors, which are
// weights, it compares only the shapes.
func sameValues(a, b *onnx.Model) bool {
	return slices.EqualFunc(a.Graph.Initialisers, b.Graph.Initialisers, func(x, y tensor.Named) bool {
		const large = 1 << 16
		return x.Name == y.Name && x.Tensor.Shape().Equal(y.Tensor.Shape()) && (x.Tensor == y.Tensor || x.Tensor.Numel() > large || reflect.DeepEqual(x.Tensor, y.Tensor))
	})
}

// checkPreprocess reports whether the graph can prepare images as Preprocess says.
func (c *ExportConfig) checkPreprocess() error {
	p := c.Input.Preprocess
	if c.Bytes && p.BGR {
		return fmt.Errorf("takes channels in the order blue, green, red, and a graph that takes uint8 images is only written for red, green, blue; leave Bytes out")
	}
	for i, values := range [][]float64{p.Mean, p.Std} {
		name := []string{"mean", "std"}[i]
		if c.Bytes && len(values) != 0 && len(values) != c.Input.Channels {
			return fmt.Errorf("exchange.Export: the %s has %d values for %d channels", name, len(values), c.Input.Channels)
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
	x := g.Input(InputName, tensor.Float32, tracedBatch, c.Input.Channels, c.Input.Height, c.Input.Width)
	y, err := engine.Trace(c.forward(m), x)
	if err != nil {
		return nil, err
	}
	others, err := c.otherTraces(m, g)
	if err != nil {
		return nil, err
	}
	if len(y.Shape) < 1 || y.Shape[0] != tracedBatch || others[0].Nodes[y.ID].Shape[0] != otherBatch {
		return nil, fmt.Errorf("%s returns %v for images of %v, but the first dimension of its output must be the batch", nn.Class(m), y.Shape, x.Shape)
	}
	version, _ := checkpoint.Versions()
	e := &exporter{
		names: map[*graph.Node]string{}, used: map[string]bool{InputName: true, OutputName: true}, titles: map[string]bool{},
		out: y, others: others, broadcasts: map[*graph.Node]pendingBroadcast{}, conditions: map[*graph.Node]string{},
		sums: sumsOf(m), uses: map[*graph.Node]int{}, folded: map[*graph.Node]*graph.Node{},
		model: &onnx.Model{
			IRVersion: writtenIR, Opset: writtenOpset, Producer: "residual", ProducerVersion: version,
			Graph:    onnx.Graph{Name: nn.Class(m)},
			Metadata: maps.Clone(c.Metadata),
		},
	}
	e.describeValues(x, y, c)
	live := e.live(g, c.Fold)
	// Reserve the names of all parameters first, so that no other value takes them.
	for _, n := range g.Nodes {
		if l, ok := n.Op.(*graph.Leaf); ok && live[n] && l.Variable.Name != "" {
			if e.used[l.Variable.Name] {
				return nil, fmt.Errorf("a parameter cannot be called %s in an ONNX graph; rename its field", l.Variable.Name)
			}
			e.used[l.Variable.Name] = true
		}
	}
	e.prepare(x, c)
	for _, n := range g.Nodes {
		if !live[n] || n == x {
			continue
		}
		if err := e.node(n); err != nil {
			return nil, fmt.Errorf("%v%s: %w", n, layerOf(n), err)
		}
	}
	if e.value(y) != OutputName { // the output is the input itself, or a weight
		e.emit(OutputName, "Identity", []string{e.names[y]}, OutputName)
	}
	return e.model, nil
}

// forward returns the network to write: m, with its outputs converted to their units.
func (c *ExportConfig) forward(m nn.Module) func(x *graph.Node) *graph.Node {
	if c.outputStd == nil {
		return m.Forward
	}
	return func(x *graph.Node) *graph.Node { return inUnits(m.Forward(x), c.outputMean, c.outputStd) }
}

// unitsWeight and unitsBias name the parameters of the layer that inUnits adds.
const unitsWeight, unitsBias = "value_std", "value_mean"

// inUnits converts standardised values [N, K] to their units. It uses a linear layer, which every
// reader of ONNX supports for any batch size.
func inUnits(y *graph.Node, mean, std []float64) *graph.Node {
	k := len(mean)
	weight, bias := tensor.New(k, k), tensor.New(k)
	for i := range k {
		weight.Data()[i*k+i], bias.Data()[i] = float32(std[i]), float32(mean[i])
	}
	g := y.Graph
	return g.Apply(graph.Linear{}, y, g.Variable(&graph.Variable{Value: weight, Name: unitsWeight}), g.Variable(&graph.Variable{Value: bias, Name: unitsBias}))
}

// layerOf names the layer whose Forward added n, the innermost if there are several.
func layerOf(n *graph.Node) string {
	layer, nodes := "", len(n.Graph.Nodes)+1
	for _, c := range n.Graph.Calls {
		if c.First <= n.ID && n.ID < c.Last && c.Last-c.First < nodes {
			layer, nodes = " in a "+nn.Class(c.Module), c.Last-c.First
		}
	}
	return layer
}

// otherBatch is the batch size of a second trace, which shows the dimensions that depend on it.
const otherBatch = 3

// otherTraces traces m with another batch size and, for images of any size, with another image
// size. Every trace must have the nodes of g, apart from their shapes.
func (c *ExportConfig) otherTraces(m nn.Module, g *graph.Graph) (list []*graph.Graph, err error) {
	trace := func(batch, h, w int) bool {
		other := graph.New(graph.Eval)
		_, err = engine.Trace(c.forward(m), other.Input(InputName, tensor.Float32, batch, c.Input.Channels, h, w))
		list = append(list, other)
		return err == nil && slices.EqualFunc(g.Nodes, other.Nodes, func(a, b *graph.Node) bool {
			return a.Op.Name() == b.Op.Name() && len(a.Shape) == len(b.Shape)
		})
	}
	switch {
	case !trace(otherBatch, c.Input.Height, c.Input.Width) && err == nil:
		return nil, fmt.Errorf("%s computes something else for %d images than for %d, so one graph cannot take every batch", nn.Class(m), otherBatch, tracedBatch)
	case err == nil && c.AnySize && !trace(tracedBatch, c.Input.Height+32, c.Input.Width+64):
		return nil, sizeError(m)
	}
	return list, err
}

// describeValues describes the input and the output of the graph.
func (e *exporter) describeValues(x, y *graph.Node, c ExportConfig) {
	batch := onnx.Dim{Name: BatchName}
	side := func(size int, name string) onnx.Dim {
		if c.AnySize {
			return onnx.Dim{Name: name}
		}
		return onnx.Dim{Size: size}
	}
	h, w := side(x.Shape[2], "H"), side(x.Shape[3], "W")
	in := onnx.Value{Name: InputName, Type: onnx.Float, Shape: []onnx.Dim{batch, {Size: x.Shape[1]}, h, w}}
	if c.Bytes {
		in.Type = onnx.Uint8
	}
	if c.ChannelsLast {
		in.Shape = []onnx.Dim{batch, h, w, {Size: x.Shape[1]}}
	}
	e.model.Graph.Inputs = []onnx.Value{in}
	out := []onnx.Dim{batch}
	for d := 1; d < len(y.Shape); d++ {
		dim := onnx.Dim{Size: y.Shape[d]}
		if e.varies(y, d) {
			dim = onnx.Dim{Name: fmt.Sprintf("D%d", d)}
		}
		out = append(out, dim)
	}
	e.model.Graph.Outputs = []onnx.Value{{Name: OutputName, Type: onnx.Float, Shape: out}}
}

// live returns the nodes that the output depends on. It also counts how often each node is
// used and chooses the batch norms to fold.
func (e *exporter) live(g *graph.Graph, fold bool) map[*graph.Node]bool {
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
	e.planQuantised(g, live)
	for _, n := range g.Nodes {
		op, ok := n.Op.(graph.BatchNorm)
		if !ok || !live[n] || !op.Frozen || !e.foldable(n) {
			continue
		}
		// Between integers there is no batch norm.
		if _, ok := quantisedWeight(n.Inputs[0]); ok || fold {
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

// prepare writes the nodes that convert and normalise uint8 images, and names the result.
func (e *exporter) prepare(x *graph.Node, c ExportConfig) {
	at := InputName
	next := func(op string, in []string, attributes ...onnx.Attribute) {
		out := e.unique("preprocess/" + op)
		e.emit(out, op, append([]string{at}, in...), out, attributes...)
		at = out
	}
	if c.Bytes {
		next("Cast", nil, onnx.Attribute{Name: "to", Value: int64(onnx.Float)})
		if c.ChannelsLast {
			next("Transpose", nil, onnx.Attribute{Name: "perm", Value: []int64{0, 3, 1, 2}})
		}
		p := c.Input.Preprocess
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
