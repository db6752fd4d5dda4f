package graph

import (
	"math"

	"github.com/residual-ml/residual/tensor"
)

// Layer and group normalisation bring every group of elements to mean 0 and variance 1, then
// scale and shift:
//
//	xhat[i] = (x[i] - mean) / √(var + Eps)     y[i] = xhat[i]·weight + bias
//
// with the mean and the biased variance of the group of element i. In row-major order every
// group is a run of neighbouring elements.

// LayerNorm normalises over the last Dims dimensions of x, so that each index of the others is
// a group (Ba et al., "Layer Normalization", 2016, eq. 3 and 4).
//
// Inputs x, weight and bias, both of the sizes of the last Dims dimensions; the output has the
// shape of x.
// https://pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html
type LayerNorm struct {
	Dims int
	Eps  float64
}

// GroupNorm normalises every image over groups of C/Groups neighbouring channels and all
// pixels (Wu & He, "Group Normalization", 2018, section 3.1). One group per channel is instance
// normalisation.
//
// Inputs x [N, C, ...], weight [C] and bias [C]; the output has the shape of x.
// https://pytorch.org/docs/stable/generated/torch.nn.GroupNorm.html
type GroupNorm struct {
	Groups int
	Eps    float64
}

func (LayerNorm) Name() string { return "LayerNorm" }
func (GroupNorm) Name() string { return "GroupNorm" }

func (o LayerNorm) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 3, 3)
	return o.check(o, in)
}

func (o GroupNorm) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 3, 3)
	return o.check(o, in)
}

// check checks the inputs of op, LayerNorm or its gradient, and returns the shape of x.
func (o LayerNorm) check(op Op, in []tensor.Shape) tensor.Shape {
	x := in[0]
	if o.Dims < 1 || o.Dims > len(x) {
		badShapes(op, in, "over the last %d dimensions of input 0", o.Dims)
	}
	return wantGroups(op, in, x[len(x)-o.Dims:])
}

func (o GroupNorm) check(op Op, in []tensor.Shape) tensor.Shape {
	x := in[0]
	if len(x) < 2 {
		badShapes(op, in, "input 0 is not [N, C, ...]")
	}
	if o.Groups < 1 || x[1]%o.Groups != 0 {
		badShapes(op, in, "%d channels do not divide into %d groups", x[1], o.Groups)
	}
	return wantGroups(op, in, x[1:2])
}

// wantGroups checks what LayerNorm, GroupNorm and their gradients have in common: x, weight
// and then bias or dy.
func wantGroups(op Op, in []tensor.Shape, weight tensor.Shape) tensor.Shape {
	if in[0].Numel() == 0 {
		badShapes(op, in, "input 0 is empty")
	}
	wantShape(op, in, 1, "weight", weight...)
	if _, gradient := op.(interface{ gradient() }); gradient {
		wantShape(op, in, 2, "dy", in[0]...)
	} else {
		wantShape(op, in, 2, "bias", weight...)
	}
	return in[0]
}

// Size returns the number of elements of a group of x, and Weight the index of the weight of
// the element of x at a row-major position.
func (o LayerNorm) Size(x tensor.Shape) int { return x[len(x)-o.Dims:].Numel() }

// Size returns the number of elements of a group of x.
func (o GroupNorm) Size(x tensor.Shape) int { return x[1:].Numel() / o.Groups }

// Weight returns the index of the weight of the element of x at row-major position i.
func (o LayerNorm) Weight(x tensor.Shape, i int) int { return i % o.Size(x) }

// Weight returns the index of the weight of the element of x at row-major position i.
func (o GroupNorm) Weight(x tensor.Shape, i int) int { return i / x[2:].Numel() % x[1] }

func (o LayerNorm) Gradient(n, dy *Node) []*Node {
	g, x, weight := n.Graph, n.Inputs[0], n.Inputs[1]
	one, zero := g.Constant(1, weight.Shape...), g.Constant(0, weight.Shape...)
	xhat := g.Apply(o, x, one, zero)
	return []*Node{
		g.Apply(LayerNormGrad{o}, x, weight, dy),
		dy.Mul(xhat).sumTo(weight.Shape),
		dy.sumTo(weight.Shape),
	}
}

func (o GroupNorm) Gradient(n, dy *Node) []*Node {
	g, x, weight := n.Graph, n.Inputs[0], n.Inputs[1]
	one, zero := g.Constant(1, weight.Shape...), g.Constant(0, weight.Shape...)
	xhat := g.Apply(o, x, one, zero)
	return []*Node{
		g.Apply(GroupNormGrad{o}, x, weight, dy),
		dy.Mul(xhat).sumChannels(),
		dy.sumChannels(),
	}
}

// Grouping is what LayerNorm and GroupNorm have in common: how elements form groups.
type Grouping interface {
	// Size returns the number of elements of a group of x.
	Size(x tensor.Shape) int
	// Weight returns the index of the weight of the element of x at row-major position i.
	Weight(x tensor.Shape, i int) int
}

func (o LayerNorm) Reference(n *Node, y []float64, in [][]float64) {
	normaliseGroups(o, o.Eps, n.Shape, y, in)
}
func (o GroupNorm) Reference(n *Node, y []float64, in [][]float64) {
	normaliseGroups(o, o.Eps, n.Shape, y, in)
}

func normaliseGroups(o Grouping, eps float64, shape tensor.Shape, y []float64, in [][]float64) {
	x, weight, bias, size := in[0], in[1], in[2], o.Size(shape)
	for from := 0; from < len(x); from += size {
		mean, std := groupMoments(x[from:from+size], eps)
		for i := from; i < from+size; i++ {
			w := o.Weight(shape, i)
			y[i] = (x[i]-mean)/std*weight[w] + bias[w]
		}
	}
}

// groupMoments returns the mean of x and √(var + eps).
func groupMoments(x []float64, eps float64) (mean, std float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	variance := 0.0
	for _, v := range x {
		variance += (v - mean) * (v - mean) / float64(len(x))
	}
	return mean, math.Sqrt(variance + eps)
}

// LayerNormGrad is the gradient of LayerNorm for x. With g = dy·weight and the means over the
// group:
//
//	dx[i] = (g[i] - mean(g) - xhat[i]·mean(g·xhat)) / √(var + Eps)
//
// Inputs x, weight and dy; the output has the shape of x.
type LayerNormGrad struct{ LayerNorm }

// GroupNormGrad is the gradient of GroupNorm for x; see LayerNormGrad.
type GroupNormGrad struct{ GroupNorm }

func (LayerNormGrad) gradient() {}
func (GroupNormGrad) gradient() {}

func (LayerNormGrad) Name() string                   { return "LayerNormGrad" }
func (GroupNormGrad) Name() string                   { return "GroupNormGrad" }
func (o LayerNormGrad) Gradient(n, dy *Node) []*Node { return noSecond(o) }
func (o GroupNormGrad) Gradient(n, dy *Node) []*Node { return noSecond(o) }

func (o LayerNormGrad) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 3, 3)
	return o.check(o, in)
}

func (o GroupNormGrad) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 3, 3)
	return o.check(o, in)
}

func (o LayerNormGrad) Reference(n *Node, dx []float64, in [][]float64) {
	groupGradients(o, o.Eps, n.Shape, dx, in)
}
func (o GroupNormGrad) Reference(n *Node, dx []float64, in [][]float64) {
	groupGradients(o, o.Eps, n.Shape, dx, in)
}

func groupGradients(o Grouping, eps float64, shape tensor.Shape, dx []float64, in [][]float64) {
	x, weight, dy, size := in[0], in[1], in[2], o.Size(shape)
	for from := 0; from < len(x); from += size {
		mean, std := groupMoments(x[from:from+size], eps)
		sum, dot := 0.0, 0.0
		for i := from; i < from+size; i++ {
			g := dy[i] * weight[o.Weight(shape, i)]
			sum += g / float64(size)
			dot += g * (x[i] - mean) / std / float64(size)
		}
		for i := from; i < from+size; i++ {
			g := dy[i] * weight[o.Weight(shape, i)]
			dx[i] = (g - sum - (x[i]-mean)/std*dot) / std
		}
	}
}

// LayerNorm normalises n over its last dimensions, as many as weight and bias have.
func (n *Node) LayerNorm(weight, bias *Node, eps float64) *Node {
	return n.Graph.Apply(LayerNorm{len(weight.Shape), eps}, n, weight, bias)
}

// GroupNorm normalises every image of n [N, C, ...] over groups of neighbouring channels.
// weight and bias are [C].
func (n *Node) GroupNorm(groups int, weight, bias *Node, eps float64) *Node {
	return n.Graph.Apply(GroupNorm{groups, eps}, n, weight, bias)
}
