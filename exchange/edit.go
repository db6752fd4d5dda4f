package exchange

import (
	"fmt"

	"github.com/residual-ml/residual/nn"
)

// Head returns the path of the graph's last linear layer. It implements nn.Header. It is "" if
// the graph has none.
func (n *Network) Head() string { return n.head }

// Replace puts with in the place of the layer at path. It implements nn.Replacer, and is called
// by nn.Replace. The layers of a graph are those with parameters, as in Layers; an operation
// without any, such as an activation, cannot be replaced. The new network is traced once, and
// if it does not compute, Replace changes nothing and returns an error.
func (n *Network) Replace(path string, with nn.Module) error {
	old, ok := n.Layers[path]
	if !ok {
		if _, err := nn.Submodule(n, path); err != nil {
			return fmt.Errorf("%w; of an ONNX graph only layers with parameters can be replaced", err)
		}
		return fmt.Errorf("%s is within a layer of the ONNX graph; replace the whole layer", path)
	}
	if n.originals == nil {
		n.originals, n.replaced = map[string]nn.Module{}, map[nn.Module]nn.Module{}
	}
	if n.originals[path] == nil { // the steps know the layer of the file
		n.originals[path] = old
	}
	n.Layers[path], n.replaced[n.originals[path]] = with, with
	h, w := n.Input.sides()
	nn.Named(n)
	y, err := n.sized(1, h, w)
	if err == nil && len(y) != 2 {
		err = fmt.Errorf("the output is %v for one image, where a classifier gives [N, classes]", y)
	}
	if err != nil {
		n.Layers[path], n.replaced[n.originals[path]] = old, old
		return fmt.Errorf("%s of the ONNX graph cannot be a %s: %w", path, nn.Class(with), err)
	}
	n.Classes = y[1]
	return nil
}

// current returns the module that has taken the place of a layer of the file, or the layer.
func (n *Network) current(layer nn.Module) nn.Module {
	if with, ok := n.replaced[layer]; ok {
		return with
	}
	return layer
}
