package graph

import "github.com/residual-ml/residual/tensor"

// Input is a value of shape Size that is fed before a run. It has no inputs.
type Input struct {
	Label string
	DType tensor.DType
	Size  tensor.Shape
}

func (o *Input) Name() string                      { return "Input" }
func (o *Input) Shape([]tensor.Shape) tensor.Shape { return o.Size }
func (o *Input) Gradient(n, dy *Node) []*Node      { return nil }
func (o *Input) Reference(n *Node, _ []float64, _ [][]float64) {
	panic(tensor.Misusef("Input: not fed: %s", o.Label))
}

// Leaf is the value of a variable at the start of a run. It has no inputs.
type Leaf struct{ Variable *Variable }

func (o *Leaf) Name() string                      { return "Variable" }
func (o *Leaf) Shape([]tensor.Shape) tensor.Shape { return o.Variable.Value.Shape() }
func (o *Leaf) Gradient(n, dy *Node) []*Node      { return nil }
func (o *Leaf) Reference(n *Node, out []float64, _ [][]float64) {
	for i, v := range o.Variable.Value.Data() {
		out[i] = float64(v)
	}
	for i, v := range o.Variable.Value.Ints() {
		out[i] = float64(v)
	}
}

// Constant is a tensor of shape Size filled with one value. It has no inputs.
type Constant struct {
	Value float64
	Size  tensor.Shape
}

func (o *Constant) Name() string                      { return "Constant" }
func (o *Constant) Shape([]tensor.Shape) tensor.Shape { return o.Size }
func (o *Constant) Gradient(n, dy *Node) []*Node      { return nil }
func (o *Constant) Reference(n *Node, out []float64, _ [][]float64) {
	for i := range out {
		out[i] = o.Value
	}
}
