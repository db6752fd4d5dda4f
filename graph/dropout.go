package graph

import (
	"github.com/residual-ml/residual/internal/rng"
	"github.com/residual-ml/residual/tensor"
)

// Dropout zeroes elements at random with probability P and scales the others by
// 1/(1-P) (Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks
// from Overfitting", 2014, section 10, the inverted form). DropoutKeep chooses the elements,
// so the mask depends only on the key, Stream and position.
//
// Inputs x of any shape and the graph's key, an Int64 scalar; the output has the
// shape of x. The gradient is the same op on dy. P = 1 gives zeros.
// https://pytorch.org/docs/stable/generated/torch.nn.Dropout.html
type Dropout struct {
	P      float64
	Stream int // from Graph.NextStream; different for each dropout of a graph
}

func (Dropout) Name() string { return "Dropout" }

func (o Dropout) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 2, 2)
	wantRank(o, in, 1, 0, "a scalar key")
	if !(o.P >= 0 && o.P <= 1) {
		badShapes(o, in, "probability %v is not between 0 and 1", o.P)
	}
	return in[0]
}

func (o Dropout) Gradient(n, dy *Node) []*Node {
	return []*Node{n.Graph.Apply(o, dy, n.Inputs[1]), nil}
}

func (o Dropout) Reference(n *Node, y []float64, in [][]float64) {
	key := int64(in[1][0])
	for i, x := range in[0] {
		if DropoutKeep(key, o.Stream, uint64(i), o.P) {
			y[i] = x / (1 - o.P)
		}
	}
}

// DropoutKeep reports whether dropout retains the element at a row-major index, which has the
// probability 1-p. It is a hash of its arguments without state, so the mask is the same on every
// device and for any number of threads.
func DropoutKeep(key int64, stream int, index uint64, p float64) bool {
	h := rng.Mix(rng.Mix(rng.Mix(uint64(key))+uint64(stream)) + index)
	return float64(h>>11)*0x1p-53 >= p
}
