package exchange

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/weights"
	"github.com/residual-ml/residual/weights/onnx"
)

// RecogniseFile recognises the graph of an ONNX file; see Recognise. It also returns the
// file's metadata. The likely model is the one that c names, or else the one
// that the file, or config.json beside it, names.
func RecogniseFile(f *weights.File, c ModelConfig) (models.Match, nn.Module, map[string]string, error) {
	h, err := fromONNX(f, c, false)
	return h.match, h.module, h.metadata, err
}

// FromGraph imports the graph of an ONNX file, which may be closed afterwards. If the graph
// has several outputs, FromGraph takes the one that the file's metadata names, or else the
// first that has the shape of logits. The error names the file. modelfile.OpenGraph is
// FromGraph for a path.
func FromGraph(f *weights.File) (*Network, error) {
	n, _, err := importFile(f, "")
	return n, err
}

// fromONNX returns a graph as a model of the registry or, if graphs is true, as a *Network.
func fromONNX(f *weights.File, c ModelConfig, graphs bool) (h loadedModel, err error) {
	net, notes, err := importFile(f, c.Output)
	if err != nil {
		return h, err
	}
	if net.Classes == 0 {
		return h, withPath(f.Path, fmt.Errorf("the output is %v for one image, where a classifier gives [N, classes]; cut the graph after its last linear layer", append(tensor.Shape{1}, net.Output...)))
	}
	h = loadedModel{metadata: net.Metadata, input: net.Input, notes: notes}
	likely := c.Model
	if own, err := checkpoint.ModelIn(net.Metadata); err == nil {
		likely = cmp.Or(likely, own.Architecture)
	}
	if likely = cmp.Or(likely, architectureBeside(f.Path)); likely == GraphArchitecture && graphs {
		h.match, h.module, err = net.graphMatch(), net, net.checkClassifier()
	} else if h.match, h.module, err = Recognise(net, likely); err != nil && c.Model == "" && graphs && !errors.As(err, new(*UnsaidError)) {
		h.match, h.module, err = net.graphMatch(), net, net.checkClassifier()
	}
	if err == nil && c.Model != "" && h.match.Entry.Name != c.Model {
		if e, failed := models.Lookup(c.Model); failed == nil && h.match.Same(models.Match{Entry: e}) {
			h.match.Entry, h.match.Config.Blocks = e, nil
		} else {
			err = otherModelError(h.match, c.Model)
		}
	}
	if err != nil {
		return h, withPath(f.Path, err)
	}
	h.notes = append(h.notes, net.unheldNote(h.module)...)
	return h, nil
}

// architectureBeside returns the architecture that timm's config.json beside a file names.
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

// graphMatch returns the match of a graph that is none of the registry's models.
func (n *Network) graphMatch() models.Match {
	return models.Match{
		Entry:  models.Entry{Name: GraphArchitecture},
		Config: models.Config{Channels: n.Input.Channels, Classes: n.Classes},
	}
}

// checkClassifier returns an error unless the network's outputs are logits of classes of which
// every image has exactly one.
func (n *Network) checkClassifier() error {
	if n.Classes < 2 {
		return fmt.Errorf("the graph returns one number for an image, but a classifier returns one for each class")
	}
	h, w := cmp.Or(n.Input.Height, n.Input.Width, 224), cmp.Or(n.Input.Width, n.Input.Height, 224)
	y, err := traced(n.Forward, n.Input.Channels, h, w)
	if err != nil {
		return err
	}
	if _, ok := essential(y).Op.(graph.Sigmoid); ok {
		return fmt.Errorf("the graph ends in a Sigmoid, which gives each class an independent probability, but here every image has exactly one class; if its inputs are logits of such classes, export the graph without the Sigmoid")
	}
	return nil
}

// importFile imports the graph of an ONNX file for one of its outputs: the one given, or the
// one that Residual's metadata names, or the first that has the shape of logits.
func importFile(f *weights.File, output string) (_ *Network, notes []string, err error) {
	m := f.Graph
	if m == nil {
		return nil, nil, fmt.Errorf("%s: holds only weights, as a .%s file, and no graph", f.Path, f.Format)
	}
	if own, err := checkpoint.ModelIn(m.Metadata); err == nil {
		output = cmp.Or(output, own.Output)
	}
	if err = chooseOutput(m, output, &notes); err == nil {
		var n *Network
		if n, err = Import(m); err == nil {
			return n, notes, nil
		}
	}
	return nil, nil, withPath(f.Path, err)
}

// chooseOutput removes all outputs of a graph but the named one, or else the first that has
// the shape of logits, and all nodes that it does not need.
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
		return fmt.Errorf("has no output %q; its outputs are %s", name, strings.Join(names, ", "))
	case name == "":
		if at = slices.IndexFunc(outputs, likeLogits); at < 0 {
			return &UnsaidError{Why: fmt.Sprintf("none of the outputs %s says that it is [N, classes]", strings.Join(names, ", ")), Fields: []string{"Output"}}
		}
		*notes = append(*notes, fmt.Sprintf("of the outputs %s the logits are taken to be %s, the first that is [N, classes]", strings.Join(names, ", "), names[at]))
	}
	m.Graph.Outputs = outputs[at : at+1]
	needed := map[string]bool{names[at]: true}
	nodes := m.Graph.Nodes // in an order in which inputs come before outputs
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

// likeLogits reports whether the shape of an output is [N, classes] or [N, classes, 1, 1].
func likeLogits(v onnx.Value) bool {
	pixel := func(d onnx.Dim) bool { return d.Size == 1 }
	return v.Type.IsFloat() && (len(v.Shape) == 2 || len(v.Shape) == 4 && pixel(v.Shape[2]) && pixel(v.Shape[3]))
}

// recogniseGraph finds the model that computes the same as the graph in an ONNX file.
func recogniseGraph(f *weights.File, likely string) (h loadedModel, err error) {
	net, err := FromGraph(f)
	if err != nil {
		return h, err
	}
	h.metadata = net.Metadata
	if h.match, h.module, err = Recognise(net, likely); err != nil {
		return h, fmt.Errorf("%s: %w", f.Path, err)
	}
	return h, nil
}
