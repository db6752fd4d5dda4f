package exchange

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/weights/onnx"
)

// GraphArchitecture is the architecture of a model whose network is the ONNX graph of its
// own file, as it is none of those known by name.
const GraphArchitecture = "onnx-graph"

// RecogniseFile is Recognise for the graph of the file at path, and returns what the file
// says of itself. What is likely is the model that c names, or the one that the file, or
// config.json beside it, says it is.
func RecogniseFile(path string, c ModelConfig) (models.Match, nn.Module, map[string]string, error) {
	h, err := fromONNX(path, c, false)
	return h.match, h.module, h.metadata, err
}

// fromONNX reads a graph as a model known by name or, where graphs may be, as it stands.
func fromONNX(path string, c ModelConfig, graphs bool) (h held, err error) {
	net, notes, err := open(path, c.Output)
	if err != nil {
		return h, err
	}
	h = held{metadata: net.Metadata, input: net.Input, notes: notes}
	likely := c.Model
	if own, err := checkpoint.ModelIn(net.Metadata); err == nil {
		likely = cmp.Or(likely, own.Architecture)
	}
	if likely = cmp.Or(likely, architectureBeside(path)); likely == GraphArchitecture && graphs {
		h.match, h.module, err = net.unnamed(), net, net.classifies()
	} else if h.match, h.module, err = Recognise(net, likely); err != nil && c.Model == "" && graphs && !errors.As(err, new(*UnsaidError)) {
		h.match, h.module, err = net.unnamed(), net, net.classifies()
	}
	if err == nil && c.Model != "" && h.match.Entry.Name != c.Model {
		if e, failed := models.Lookup(c.Model); failed == nil && h.match.Same(models.Match{Entry: e}) {
			h.match.Entry, h.match.Config.Blocks = e, nil
		} else {
			err = notThat(h.match, c.Model)
		}
	}
	if err != nil {
		return h, at(path, err)
	}
	return h, nil
}

// architectureBeside is what config.json beside a file calls the network, as timm writes it.
func architectureBeside(path string) string {
	var h struct {
		Architecture string `json:"architecture"`
	}
	text, err := readSmall(filepath.Join(filepath.Dir(path), configFile))
	if err != nil || json.Unmarshal(text, &h) != nil {
		return ""
	}
	return h.Architecture
}

// unnamed is the match of a graph that is no model known by name.
func (n *Network) unnamed() models.Match {
	return models.Match{
		Entry:  models.Entry{Name: GraphArchitecture},
		Config: models.Config{Channels: n.Input.Channels, Classes: n.Classes},
	}
}

// classifies reports why the network's answers are not the logits of classes of which an
// image has one.
func (n *Network) classifies() error {
	if n.Classes < 2 {
		return fmt.Errorf("the graph gives one number for an image, where a classifier has one for each class")
	}
	h, w := cmp.Or(n.Input.Height, n.Input.Width, 224), cmp.Or(n.Input.Width, n.Input.Height, 224)
	y, err := traced(n.Forward, n.Input.Channels, h, w)
	if err != nil {
		return err
	}
	if _, ok := essential(y).Op.(graph.Sigmoid); ok {
		return fmt.Errorf("the graph ends in a Sigmoid, which gives every class a probability of its own, where an image has one class of all; export it without, if its numbers are logits of such classes")
	}
	return nil
}

// open reads an ONNX file for one of its outputs: that of the name given, or that the file
// says, or the first that has the shape of logits.
func open(path, output string) (*Network, []string, error) {
	m, err := onnx.Open(path)
	if err != nil {
		return nil, nil, err
	}
	if own, err := checkpoint.ModelIn(m.Metadata); err == nil {
		output = cmp.Or(output, own.Output)
	}
	var notes []string
	if err = chooseOutput(m, output, &notes); err == nil {
		var n *Network
		if n, err = Import(m); err == nil {
			return n, notes, nil
		}
	}
	return nil, nil, at(path, err)
}

// chooseOutput leaves a graph of several outputs the one that is named, or else the first
// whose shape is that of logits, and the nodes that it needs.
func chooseOutput(m *onnx.Model, name string, notes *[]string) error {
	outputs := m.Graph.Outputs
	if len(outputs) == 0 || len(outputs) == 1 && name == "" {
		return nil
	}
	var names []string
	for _, v := range outputs {
		names = append(names, v.Name)
	}
	at := slices.Index(names, name)
	switch {
	case name != "" && at < 0:
		return fmt.Errorf("has no output %q, only %s", name, strings.Join(names, ", "))
	case name == "":
		if at = slices.IndexFunc(outputs, likeLogits); at < 0 {
			return &UnsaidError{Why: fmt.Sprintf("none of the outputs %s says that it is [N, classes]", strings.Join(names, ", ")), Fields: []string{"Output"}}
		}
		*notes = append(*notes, fmt.Sprintf("of the outputs %s the logits are taken to be %s, the first that is [N, classes]", strings.Join(names, ", "), names[at]))
	}
	m.Graph.Outputs = outputs[at : at+1]
	needed := map[string]bool{names[at]: true}
	nodes := m.Graph.Nodes // each after those whose outputs it takes
	for i := len(nodes) - 1; i >= 0; i-- {
		if slices.ContainsFunc(nodes[i].Outputs, func(out string) bool { return needed[out] }) {
			for _, in := range nodes[i].Inputs {
				needed[in] = true
			}
		}
	}
	m.Graph.Nodes = slices.DeleteFunc(nodes, func(n onnx.Node) bool {
		return !slices.ContainsFunc(n.Outputs, func(out string) bool { return needed[out] })
	})
	return nil
}

// likeLogits reports whether an output says that it is [N, classes], or that with one pixel.
func likeLogits(v onnx.Value) bool {
	pixel := func(d onnx.Dim) bool { return d.Size == 1 }
	return v.Type.IsFloat() && (len(v.Shape) == 2 || len(v.Shape) == 4 && pixel(v.Shape[2]) && pixel(v.Shape[3]))
}

// SaveGraph writes the ONNX file at from to path, whole or not at all: its graph as it is,
// with the weights that lie in other files inside, and info in its metadata, as Save writes
// it.
func SaveGraph(path, from string, info checkpoint.Model) error {
	metadata, err := info.Metadata()
	if err == nil {
		err = checkpoint.WriteFile(path, func(w io.Writer) error { return onnx.Copy(w, from, metadata) })
	}
	if err != nil {
		return fmt.Errorf("%s was not written: %w", path, err)
	}
	return nil
}
