package graph

import (
	"math"
	"slices"

	"github.com/residual-ml/residual/tensor"
)

// Reduction is the function with which Reduce combines elements.
type Reduction uint8

// The reductions of a group of numbers to one.
const (
	Total    Reduction = iota // their sum
	Mean                      // their mean
	Largest                   // NaN if an element is
	Smallest                  // NaN if an element is
	Product                   // their product
)

func (r Reduction) String() string {
	return [...]string{"Sum", "Mean", "Max", "Min", "Prod"}[r]
}

// Reduce combines all elements along the given axes, which remain as dimensions of size 1. Axes
// must be in increasing order and not negative.
type Reduce struct {
	Reduction Reduction
	Axes      []int
}

func (o Reduce) Name() string { return "Reduce" + o.Reduction.String() }

func (o Reduce) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 1, 1)
	out := in[0].Clone()
	for i, d := range o.Axes {
		if d < 0 || d >= len(out) || i > 0 && d <= o.Axes[i-1] {
			badShapes(o, in, "over dimensions %v", o.Axes)
		}
		if out[d] == 0 {
			badShapes(o, in, "dimension %d is empty", d)
		}
		out[d] = 1
	}
	return out
}

// Gradient divides dy among equal largest or smallest elements, as PyTorch's amax does.
func (o Reduce) Gradient(n, dy *Node) []*Node {
	x := n.Inputs[0]
	switch o.Reduction {
	case Total:
		return []*Node{dy.Broadcast(x.Shape...)}
	case Mean:
		return []*Node{n.Graph.Apply(Scale{float64(n.Shape.Numel()) / float64(x.Shape.Numel())}, dy).Broadcast(x.Shape...)}
	case Product:
		return []*Node{n.Graph.Apply(ProductOfOthers{o.Axes}, x).Mul(dy)}
	}
	return []*Node{n.Graph.Apply(ExtremeGrad{o}, x, dy)}
}

func (o Reduce) Reference(n *Node, y []float64, in [][]float64) {
	x := n.Inputs[0].Shape
	count := float64(x.Numel()) / float64(max(1, len(y)))
	for i := range y {
		y[i] = o.Start()
	}
	reducedTo(x, n.Shape, func(xi, yi int) { y[yi] = o.Join(y[yi], in[0][xi]) })
	if o.Reduction == Mean {
		for i := range y {
			y[i] /= count
		}
	}
}

// Start returns the initial value of a reduction.
func (o Reduce) Start() float64 {
	switch o.Reduction {
	case Largest:
		return math.Inf(-1)
	case Smallest:
		return math.Inf(1)
	case Product:
		return 1
	}
	return 0
}

// Join combines the value so far with one more element. For a mean it adds; the sum is divided
// at the end.
func (o Reduce) Join(so, x float64) float64 {
	switch o.Reduction {
	case Largest:
		return math.Max(so, x)
	case Smallest:
		return math.Min(so, x)
	case Product:
		return so * x
	}
	return so + x
}

// reducedTo visits every element of x with the element of y to which it contributes.
func reducedTo(x, y tensor.Shape, visit func(xi, yi int)) {
	strides := y.Strides()
	for xi := range x.Numel() {
		yi, remaining := 0, xi
		for d := len(x) - 1; d >= 0; d-- {
			if y[d] != 1 {
				yi += remaining % x[d] * strides[d]
			}
			remaining /= x[d]
		}
		visit(xi, yi)
	}
}

// ExtremeGrad is the gradient of Reduce for the largest or smallest element: each dy, divided
// among the elements that equal the extreme one. Inputs x and dy, of the shapes of the input and
// output of Reduce; the output has the shape of x.
type ExtremeGrad struct{ Reduce }

func (o ExtremeGrad) Name() string                 { return o.Reduce.Name() + "Grad" }
func (o ExtremeGrad) Gradient(n, dy *Node) []*Node { return noSecond(o) }

func (o ExtremeGrad) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 2, 2)
	wantShape(o, in, 1, "dy", o.Reduce.Shape(in[:1])...)
	return in[0]
}

func (o ExtremeGrad) Reference(n *Node, dx []float64, in [][]float64) {
	to := n.Inputs[1].Shape
	best, count := make([]float64, to.Numel()), make([]float64, to.Numel())
	for i := range best {
		best[i] = o.Start()
	}
	reducedTo(n.Shape, to, func(xi, yi int) { best[yi] = o.Join(best[yi], in[0][xi]) })
	reducedTo(n.Shape, to, func(xi, yi int) { count[yi] += one(o.Chosen(in[0][xi], best[yi])) })
	reducedTo(n.Shape, to, func(xi, yi int) {
		if o.Chosen(in[0][xi], best[yi]) {
			dx[xi] = in[1][yi] / count[yi]
		}
	})
}

// Chosen reports whether x is the extreme element of its group; NaN is if there is one.
func (ExtremeGrad) Chosen(x, extreme float64) bool {
	return x == extreme || x != x && extreme != extreme
}

// ProductOfOthers computes for every element the product of all others along the given axes:
// the derivative of a product, without a division by zero.
type ProductOfOthers struct{ Axes []int }

func (ProductOfOthers) Name() string                           { return "ReduceProdGrad" }
func (o ProductOfOthers) Gradient(n, dy *Node) []*Node         { return noSecond(o) }
func (o ProductOfOthers) Shape(in []tensor.Shape) tensor.Shape { return sameShapes(o, in, 1) }

func (o ProductOfOthers) Reference(n *Node, y []float64, in [][]float64) {
	to := n.Shape.Clone()
	for _, d := range o.Axes {
		to[d] = 1
	}
	groups := make([][]int, to.Numel())
	reducedTo(n.Shape, to, func(xi, yi int) { groups[yi] = append(groups[yi], xi) })
	for _, g := range groups {
		before := 1.0
		for _, i := range g {
			y[i] = before
			before *= in[0][i]
		}
		after := 1.0
		for _, i := range slices.Backward(g) {
			y[i] *= after
			after *= in[0][i]
		}
	}
}

// Of reduces n along the given axes, or along all if none are given. The axes remain as
// dimensions of size 1; negative axes count from the end.
func (r Reduction) Of(n *Node, axes ...int) *Node {
	axes = slices.Clone(axes)
	if len(axes) == 0 {
		axes = upTo(0, len(n.Shape))
	}
	for i := range axes {
		axes[i] = n.axis("Reduce"+r.String(), axes[i])
	}
	slices.Sort(axes)
	if len(slices.Compact(slices.Clone(axes))) != len(axes) {
		panic(tensor.Misusef("Reduce%v: dimensions %v of %v", r, axes, n.Shape))
	}
	if len(axes) == 0 {
		return n
	}
	return n.Graph.Apply(Reduce{r, axes}, n)
}

// Sum returns the sum along axes, or along all if none are given. The axes remain as dimensions
// of size 1.
func (n *Node) Sum(axes ...int) *Node { return Total.Of(n, axes...) }

// Mean returns the mean along axes, which remain with size 1 as in Sum.
func (n *Node) Mean(axes ...int) *Node { return Mean.Of(n, axes...) }

// Max returns the largest element along axes, which remain with size 1 as in Sum.
func (n *Node) Max(axes ...int) *Node { return Largest.Of(n, axes...) }

// Min returns the smallest element along axes, which remain with size 1 as in Sum.
func (n *Node) Min(axes ...int) *Node { return Smallest.Of(n, axes...) }

// sumTo sums n over the dimensions along which a tensor of the given shape would be repeated to
// have the shape of n: the gradient of a broadcast.
func (n *Node) sumTo(shape tensor.Shape) *Node {
	var axes []int
	more := len(n.Shape) - len(shape)
	for d, size := range n.Shape {
		if size != 1 && (d < more || shape[d-more] == 1) {
			axes = append(axes, d)
		}
	}
	if axes != nil {
		n = n.Sum(axes...)
	}
	return n.Reshape(shape...)
}

// sumChannels sums n [N, C, ...] over all dimensions but the second.
func (n *Node) sumChannels() *Node {
	if len(n.Shape) <= 4 {
		return n.Graph.Apply(SumChannels{}, n)
	}
	return n.Sum(slices.Delete(upTo(0, len(n.Shape)), 1, 2)...).Reshape(n.Shape[1])
}
