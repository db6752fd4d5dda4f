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

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
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
	Classes int          // the size of Output if that has one dimension, as a classifier's has, and otherwise 0
	// Softmax says that the graph ends in a softmax. Forward leaves the softmax out and
	// returns logits, unless Probabilities is set.
	Softmax       bool
	Probabilities bool

	Metadata map[string]string // the metadata of the ONNX file

	head      string                  `nn:"-"` // path of the last linear layer
	originals map[string]nn.Module    `nn:"-"` // the file's layers that were replaced, by their paths
	replaced  map[nn.Module]nn.Module `nn:"-"` // the modules that have replaced them

	quantised map[nn.Module]graph.FakeQuantize `nn:"-"` // how the weights of the file's layers are quantised

	nodes         []computedNode   `nn:"-"`
	constants     map[string]value `nn:"-"` // constants that the nodes use
	inputName     string           // name of the value that holds the images
	outputName    string           // name of the value that holds the logits
	oneImage      bool             // the graph takes one image at a time, so the images of a batch are traced one by one
	flattenLogits bool             // all numbers of an image are logits, whatever the shape of the output
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
		panic(tensor.Misusef("the ONNX graph's input %q: images have shape %v, but must be [N, %d, H, W]", n.Input.Name, x.Shape, n.Input.Channels))
	}
	if batch := x.Shape[0]; n.oneImage && batch > 1 {
		var rows []*graph.Node
		for i := range batch {
			rows = append(rows, n.Forward(x.Slice(0, i, i+1)))
		}
		return x.Graph.Record(n, first, graph.Join(0, rows...))
	}
	values := map[string]value{n.inputName: {node: x}}
	bounds := bounds{checked: first}
	label := ""
	defer func() {
		if m := tensor.Recovered(recover()); m != nil {
			panic(tensor.Misusef("%s: %w", label, m))
		}
	}()
	for _, s := range n.nodes {
		label = s.label
		in := make([]value, len(s.in))
		for i, name := range s.in {
			v, ok := values[name]
			if !ok {
				v = n.constants[name]
			}
			in[i] = v
		}
		out := s.run(in)
		bounds.check(x.Graph)
		bounds.count(in, out)
		values[s.out] = out
	}
	y := values[n.outputName].node
	if s := y.Shape; len(s) > 2 && (n.flattenLogits || s[2:].Numel() == 1) {
		y = nn.Flatten{}.Forward(y)
	}
	if n.Probabilities && n.Softmax {
		y = nn.Softmax{}.Forward(y)
	}
	return x.Graph.Record(n, first, y)
}

// check traces the network on one image to learn the number of classes. Then it traces two
// images, which must give two rows; anything else would mean that the network mixes the
// images of a batch. A graph whose file fixes the batch to one image is marked oneImage instead.
func (n *Network) check(fixed int64) (err error) {
	h, w := n.Input.tracedSize()
	nn.Named(n)
	y, err := n.outputShape(1, h, w)
	if err != nil {
		return fmt.Errorf("%w; the graph does not suit its input", err)
	}
	if len(y) < 1 || y[0] != 1 || y.Numel() == 0 {
		return fmt.Errorf("the output is %v for one image, but its first dimension must be the batch", y)
	}
	n.Output = y[1:]
	if len(n.Output) == 1 {
		n.Classes = n.Output[0]
	}
	two, err := n.outputShape(2, h, w)
	switch {
	case err == nil && two.Equal(append(tensor.Shape{2}, n.Output...)):
	case fixed == 1:
		n.oneImage = true
	case err != nil:
		return fmt.Errorf("takes one image but not two at once: %w", err)
	default:
		return fmt.Errorf("the output is %v for one image and %v for two: it mixes the images of a batch", y, two)
	}
	return nil
}

// outputShape returns the shape of the output for a batch of images of h by w pixels.
func (n *Network) outputShape(batch, h, w int) (y tensor.Shape, err error) {
	err = catchMisuse(func() {
		g := graph.New(graph.Eval)
		y = n.Forward(g.Input(n.Input.Name, tensor.Float32, batch, n.Input.Channels, h, w)).Shape
	})
	return y, err
}

// tracedSize returns the image size that the graph is traced with: its own, or 224 where it takes any.
func (in *Input) tracedSize() (h, w int) {
	const any = 224
	return cmp.Or(in.Height, any), cmp.Or(in.Width, any)
}
