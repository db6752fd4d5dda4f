package graph

import (
	"encoding/json"
	"testing"
)

// arguments are what an operation of node_operations.json takes besides its inputs.
type arguments struct {
	Axis, From, To, Before, After, Groups  int
	Axes, Indices, Shape                   []int
	Low, High, Exponent, Slope, Value, Eps float64
	H, W                                   int
	Bilinear, AlignCorners                 bool
	ScaleH, ScaleW                         float64
}

// nodeOperations builds the operations of node_operations.json by the methods that a user calls.
var nodeOperations = map[string]func(in []*Node, a arguments) *Node{
	"Add": pair((*Node).Add), "Sub": pair((*Node).Sub), "Mul": pair((*Node).Mul), "Div": pair((*Node).Div),
	"Maximum": pair((*Node).Maximum), "Minimum": pair((*Node).Minimum),
	"Less": pair((*Node).Less), "LessOrEqual": pair((*Node).LessOrEqual), "Greater": pair((*Node).Greater),
	"GreaterOrEqual": pair((*Node).GreaterOrEqual), "Equal": pair((*Node).Equal), "NotEqual": pair((*Node).NotEqual),
	"WhereLess": func(in []*Node, a arguments) *Node { return in[0].Less(in[1]).Where(in[0].Scale(2), in[1]) },
	"MatMul":    pair((*Node).MatMul),

	"Exp": single((*Node).Exp), "Log": single((*Node).Log), "Sqrt": single((*Node).Sqrt), "Abs": single((*Node).Abs), "Neg": single((*Node).Neg),
	"Sigmoid": single((*Node).Sigmoid), "Tanh": single((*Node).Tanh), "Softplus": single((*Node).Softplus),
	"GELU": single((*Node).GELU), "GELUTanh": single((*Node).GELUTanh), "SiLU": single((*Node).SiLU),
	"Hardswish": single((*Node).Hardswish), "Hardsigmoid": single((*Node).Hardsigmoid), "ReLU6": single((*Node).ReLU6), "ReLU": single((*Node).ReLU),
	"Pow":       func(in []*Node, a arguments) *Node { return in[0].Pow(a.Exponent) },
	"Clamp":     func(in []*Node, a arguments) *Node { return in[0].Clamp(a.Low, a.High) },
	"LeakyReLU": func(in []*Node, a arguments) *Node { return in[0].LeakyReLU(a.Slope) },

	"Sum":        func(in []*Node, a arguments) *Node { return in[0].Sum(a.Axes...) },
	"Mean":       func(in []*Node, a arguments) *Node { return in[0].Mean(a.Axes...) },
	"Max":        func(in []*Node, a arguments) *Node { return in[0].Max(a.Axes...) },
	"Min":        func(in []*Node, a arguments) *Node { return in[0].Min(a.Axes...) },
	"LogSoftmax": func(in []*Node, a arguments) *Node { return in[0].LogSoftmax(a.Axis) },
	"Softmax":    func(in []*Node, a arguments) *Node { return in[0].Softmax(a.Axis) },

	"Gather":         func(in []*Node, a arguments) *Node { return in[0].Gather(a.Axis, a.Indices...) },
	"GatherElements": func(in []*Node, a arguments) *Node { return in[0].GatherElements(a.Axis, in[1]) },
	"Slice":          func(in []*Node, a arguments) *Node { return in[0].Slice(a.Axis, a.From, a.To) },
	"Pad":            func(in []*Node, a arguments) *Node { return in[0].Pad(a.Axis, a.Before, a.After, a.Value) },
	"Join":           func(in []*Node, a arguments) *Node { return Join(a.Axis, in...) },
	"Broadcast":      func(in []*Node, a arguments) *Node { return in[0].Broadcast(a.Shape...) },
	"Reshape":        func(in []*Node, a arguments) *Node { return in[0].Reshape(a.Shape...) },
	"Transpose":      func(in []*Node, a arguments) *Node { return in[0].Transpose(a.Axes...) },

	"LayerNorm": func(in []*Node, a arguments) *Node { return in[0].LayerNorm(in[1], in[2], a.Eps) },
	"GroupNorm": func(in []*Node, a arguments) *Node { return in[0].GroupNorm(a.Groups, in[1], in[2], a.Eps) },
	"Upsample": func(in []*Node, a arguments) *Node {
		return in[0].Graph.Apply(Upsample{a.H, a.W, a.Bilinear, a.AlignCorners, a.ScaleH, a.ScaleW}, in[0])
	},
}

func single(f func(*Node) *Node) func([]*Node, arguments) *Node {
	return func(in []*Node, _ arguments) *Node { return f(in[0]) }
}

func pair(f func(a, b *Node) *Node) func([]*Node, arguments) *Node {
	return func(in []*Node, _ arguments) *Node { return f(in[0], in[1]) }
}

// Outputs and gradients are those of PyTorch, also at kinks, ties and boundaries.
func TestNodeOperationsAgainstTorch(t *testing.T) {
	missing := map[string]bool{}
	for op := range nodeOperations {
		missing[op] = true
	}
	for _, c := range readTorch(t, "node_operations.json") {
		delete(missing, c.Op)
		t.Run(c.Op+" "+c.Name, func(t *testing.T) {
			var a arguments
			if err := json.Unmarshal(c.Attributes, &a); err != nil {
				t.Fatal(err)
			}
			againstTorch(t, c, func(in []*Node) []*Node { return []*Node{nodeOperations[c.Op](in, a)} })
		})
	}
	for op := range missing {
		t.Errorf("node_operations.json has no case of %s", op)
	}
}
