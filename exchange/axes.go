package exchange

import (
	"slices"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// indices returns 0, 1, ..., n-1.
func indices(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// axisIndex returns the index of an axis, which counts from the end if it is negative.
func axisIndex(d int64, rank int) int {
	if d < -int64(rank) || d >= int64(rank) {
		panic(tensor.Misusef("axis %d does not exist in a tensor of %d dimensions", d, rank))
	}
	return int((d + int64(rank)) % int64(rank))
}

// axisIndices turns axes into sorted indices of dimensions. It panics if one is repeated.
func axisIndices(axes []int64, rank int) []int {
	var at []int
	for _, d := range axes {
		at = append(at, axisIndex(d, rank))
	}
	slices.Sort(at)
	if len(slices.Compact(slices.Clone(at))) != len(at) {
		panic(tensor.Misusef("axes %v repeat an axis", axes))
	}
	return at
}

// clampIndex counts a negative index from the end and limits the result to 0..size.
func clampIndex(at int64, size int) int {
	if at < 0 {
		at += int64(size)
	}
	return int(min(max(at, 0), int64(size)))
}

// axesOf returns the axes of a node: its second input since version 13, an attribute before that.
func axesOf(in []value, listed []int64) []int64 {
	if len(in) > 1 && in[1].present() {
		return in[1].integers("the list of axes")
	}
	return listed
}

// broadcastShape returns the shape that a and b are broadcast to.
func broadcastShape(a, b tensor.Shape) []int {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	for i, size := range b {
		d := i + len(a) - len(b)
		if out[d] == 1 {
			out[d] = size
		} else if size != 1 && size != out[d] {
			panic(tensor.Misusef("%v and %v cannot be broadcast to one shape", a, b))
		}
	}
	return out
}

// channelShape returns the shape [s[axis], 1, 1, ...], which broadcasts over the dimensions after axis.
func channelShape(s tensor.Shape, axis int) []int {
	to := make([]int, len(s)-axis)
	for i := range to {
		to[i] = 1
	}
	to[0] = s[axis]
	return to
}

// removeAxes removes dimensions of size 1.
func removeAxes(x *graph.Node, at []int) *graph.Node {
	var to tensor.Shape
	for d, size := range x.Shape {
		if !slices.Contains(at, d) {
			to = append(to, size)
		} else if size != 1 {
			panic(tensor.Misusef("removes dimension %d of %v, whose size is not 1", d, x.Shape))
		}
	}
	if len(x.Shape) > 2 && len(to) == 2 && to[0] == x.Shape[0] {
		return nn.Flatten{}.Forward(x)
	}
	return x.Reshape(to...)
}
