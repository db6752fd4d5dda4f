package graph

import (
	"slices"

	"github.com/residual-ml/residual/tensor"
)

// Take builds a tensor from elements of another one, selected by an index list for each axis:
//
//	y[i0, i1, ...] = x[Index[0][i0], Index[1][i1], ...], or Fill where an index is -1
//
// Slicing with any step, all kinds of padding, broadcasting, repetition, nearest-neighbour
// upsampling and gathering have this form; methods of Node make them. An axis whose list is nil
// is left unchanged.
type Take struct {
	Index [][]int
	Fill  float64
}

// MaxDimensions is the largest number of dimensions that Take supports.
const MaxDimensions = 8

func (Take) Name() string { return "Take" }

func (o Take) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 1, 1)
	if len(o.Index) != len(in[0]) {
		badShapes(o, in, "has indices for %d dimensions", len(o.Index))
	}
	if len(o.Index) > MaxDimensions {
		badShapes(o, in, "more than %d dimensions", MaxDimensions)
	}
	out := in[0].Clone()
	for d, list := range o.Index {
		if list == nil {
			continue
		}
		out[d] = len(list)
		for _, i := range list {
			if i < -1 || i >= in[0][d] {
				badShapes(o, in, "index %d of dimension %d is outside 0..%d", i, d, in[0][d]-1)
			}
		}
	}
	return out
}

func (o Take) Gradient(n, dy *Node) []*Node {
	return []*Node{n.Graph.Apply(TakeGrad{o, n.Inputs[0].Shape.Clone()}, dy)}
}

func (o Take) Reference(n *Node, y []float64, in [][]float64) {
	o.pairs(n.Inputs[0].Shape, n.Shape, func(xi, yi int) {
		y[yi] = o.Fill
		if xi >= 0 {
			y[yi] = in[0][xi]
		}
	})
}

// Broadcasts reports whether Take does no more than to repeat x along dimensions of size 1.
func (o Take) Broadcasts(x tensor.Shape) bool {
	for d, list := range o.Index {
		if list != nil && (x[d] != 1 || len(list) == 0 || slices.Contains(list, -1)) {
			return false
		}
	}
	return true
}

// pairs visits every element of y with the element of x that it takes, or -1 if it takes none.
func (o Take) pairs(x, y tensor.Shape, visit func(xi, yi int)) {
	strides := x.Strides()
	for yi := range y.Numel() {
		xi, remaining := 0, yi
		for d := len(y) - 1; d >= 0; d-- {
			i := remaining % y[d]
			remaining /= y[d]
			if o.Index[d] != nil {
				i = o.Index[d][i]
			}
			if i < 0 || xi < 0 {
				xi = -1
				continue
			}
			xi += i * strides[d]
		}
		visit(xi, yi)
	}
}

// TakeGrad is the gradient of Take for an input of shape To. Each element gets the sum of dy
// over the elements that took it.
type TakeGrad struct {
	Take
	To tensor.Shape
}

func (TakeGrad) Name() string                   { return "TakeGrad" }
func (o TakeGrad) Gradient(n, dy *Node) []*Node { return noSecond(o) }

func (o TakeGrad) Shape(in []tensor.Shape) tensor.Shape {
	wantInputs(o, in, 1, 1)
	wantShape(o, in, 0, "dy", o.Take.Shape([]tensor.Shape{o.To})...)
	return o.To
}

func (o TakeGrad) Reference(n *Node, dx []float64, in [][]float64) {
	o.pairs(n.Shape, n.Inputs[0].Shape, func(xi, yi int) {
		if xi >= 0 {
			dx[xi] += in[0][yi]
		}
	})
}

// take applies Take along some axes. If n is itself a Take, it combines both into one if their fills allow it; if
// nothing changes, it returns n.
func (n *Node) take(index [][]int, fill float64) *Node {
	same := true
	for d, list := range index {
		if list == nil {
			continue
		}
		if len(list) == n.Shape[d] && inOrder(list) {
			index[d] = nil
			continue
		}
		same = false
	}
	if same {
		return n
	}
	if first, ok := n.Op.(Take); ok && (first.Fill == fill || !fills(index) || !fills(first.Index)) {
		if fills(first.Index) {
			fill = first.Fill
		}
		n, index = n.Inputs[0], first.then(index)
	}
	return n.Graph.Apply(Take{index, fill}, n)
}

// then returns the index lists of o followed by a Take with index.
func (o Take) then(index [][]int) [][]int {
	both := slices.Clone(o.Index)
	for d, list := range index {
		if list == nil {
			continue
		}
		if both[d] = slices.Clone(list); o.Index[d] == nil {
			continue
		}
		for i, k := range list {
			if k >= 0 {
				both[d][i] = o.Index[d][k]
			}
		}
	}
	return both
}

// fills reports whether some index is -1.
func fills(index [][]int) bool {
	return slices.ContainsFunc(index, func(list []int) bool { return slices.Contains(list, -1) })
}

// inOrder reports whether a list is 0, 1, 2, ...
func inOrder(list []int) bool {
	for i, v := range list {
		if v != i {
			return false
		}
	}
	return true
}

// Gather takes the elements of the given indices along an axis: y[..., i, ...] =
// n[..., indices[i], ...].
func (n *Node) Gather(axis int, indices ...int) *Node {
	d := n.axis("Gather", axis)
	for _, i := range indices {
		if i < 0 || i >= n.Shape[d] {
			panic(tensor.Misusef("Gather: index %d of dimension %d of %v is outside 0..%d", i, d, n.Shape, n.Shape[d]-1))
		}
	}
	index := make([][]int, len(n.Shape))
	index[d] = slices.Clone(indices)
	return n.take(index, 0)
}

// Slice takes the elements from, from+1, ... to-1 along an axis.
func (n *Node) Slice(axis, from, to int) *Node {
	d := n.axis("Slice", axis)
	if from < 0 || to < from || to > n.Shape[d] {
		panic(tensor.Misusef("Slice: %d to %d of dimension %d of %v, which has %d", from, to, d, n.Shape, n.Shape[d]))
	}
	return n.Gather(d, upTo(from, to)...)
}

// upTo lists from, from+1, ... to-1.
func upTo(from, to int) []int {
	list := make([]int, to-from)
	for i := range list {
		list[i] = from + i
	}
	return list
}

// Pad adds before and after elements of one value at the two ends of an axis. Negative numbers
// remove elements.
func (n *Node) Pad(axis, before, after int, value float64) *Node {
	d := n.axis("Pad", axis)
	size := n.Shape[d]
	if size+before+after < 0 {
		panic(tensor.Misusef("Pad: %d and %d to dimension %d of %v", before, after, d, n.Shape))
	}
	list := upTo(-before, size+after)
	for i, v := range list {
		if v < 0 || v >= size {
			list[i] = -1
		}
	}
	index := make([][]int, len(n.Shape))
	index[d] = list
	return n.take(index, value)
}

// Broadcast repeats n along its dimensions of size 1, and along new leading dimensions, to the
// given shape.
func (n *Node) Broadcast(shape ...int) *Node {
	to := tensor.Shape(shape)
	if n.Shape.Equal(to) {
		return n
	}
	if c, ok := n.Op.(*Constant); ok && fits(n.Shape, to) {
		return n.Graph.Constant(c.Value, to...)
	}
	if !fits(n.Shape, to) {
		panic(tensor.Misusef("Broadcast: %v cannot become %v", n.Shape, to))
	}
	n = n.Reshape(append(slices.Repeat(tensor.Shape{1}, len(to)-len(n.Shape)), n.Shape...)...)
	index := make([][]int, len(n.Shape))
	for d, size := range n.Shape {
		if size != to[d] {
			index[d] = make([]int, to[d])
		}
	}
	return n.take(index, 0)
}

// fits reports whether a shape can be broadcast to another one.
func fits(from, to tensor.Shape) bool {
	more := len(to) - len(from)
	for d, size := range from {
		if more < 0 || size != 1 && size != to[more+d] {
			return false
		}
	}
	return more >= 0
}

// broadcast brings two nodes to the same shape. Panics name op.
func broadcast(op Op, a, b *Node) (*Node, *Node) {
	needNode(op, a, 0)
	needNode(op, b, 1)
	if a.Shape.Equal(b.Shape) {
		return a, b
	}
	to := together(op, []tensor.Shape{a.Shape, b.Shape}, a.Shape, b.Shape)
	return a.Broadcast(to...), b.Broadcast(to...)
}

// axis returns the index of an axis, where negative ones count from the end. It panics if there
// is no such axis.
func (n *Node) axis(op string, d int) int {
	if d < 0 {
		d += len(n.Shape)
	}
	if d < 0 || d >= len(n.Shape) {
		panic(tensor.Misusef("%s: %v has no dimension %d", op, n.Shape, d))
	}
	return d
}

// Reshape gives the elements of n, in row-major order, another shape.
func (n *Node) Reshape(shape ...int) *Node {
	if n.Shape.Equal(tensor.Shape(shape)) {
		return n
	}
	return n.Graph.Apply(Reshape{To: tensor.Shape(shape).Clone()}, n)
}
