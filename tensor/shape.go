// Package tensor provides shapes, element types and dense arrays in host memory. All other
// packages of Residual pass values to each other as tensors.
//
//	x := tensor.FromSlice([]float32{1, 2, 3, 4, 5, 6}, 2, 3) // two rows of three
//	x.Set(10, 1, 2)
//	fmt.Println(x.Shape(), x.At(1, 2)) // [2, 3] 10
//
// The important types are Tensor, a Float32 or Int64 array in row-major order; Shape, the
// sizes of its dimensions; DType, the type of its elements; and Named, an entry of a state
// dict. The package does not compute: operations on tensors are described by package graph
// and run by package engine.
package tensor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Shape lists the sizes of a tensor's dimensions, outermost first. Images are
// [N, C, H, W] (batch, channels, height, width), as in PyTorch. The empty shape
// is a scalar.
type Shape []int

// Numel returns the number of elements, 1 for a scalar.
func (s Shape) Numel() int {
	n := 1
	for _, d := range s {
		n *= d
	}
	return n
}

// Equal reports whether both shapes have the same dimensions.
func (s Shape) Equal(t Shape) bool { return slices.Equal(s, t) }

// Clone returns a copy that shares no memory with s.
func (s Shape) Clone() Shape { return slices.Clone(s) }

// Strides returns the row-major (C order) strides in elements.
func (s Shape) Strides() []int {
	st := make([]int, len(s))
	n := 1
	for i := len(s) - 1; i >= 0; i-- {
		st[i] = n
		n *= s[i]
	}
	return st
}

// String returns the shape in PyTorch's notation without the class name: [4, 6, 3, 3].
func (s Shape) String() string {
	var b strings.Builder
	b.WriteByte('[')
	for i, d := range s {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Itoa(d))
	}
	b.WriteByte(']')
	return b.String()
}

// ParseShape reads a shape such as "1,1,224,224". Spaces are allowed, and every size must be
// at least 1.
func ParseShape(text string) (Shape, error) {
	var s Shape
	for _, f := range strings.Split(text, ",") {
		d, err := strconv.Atoi(strings.TrimSpace(f))
		if err != nil || d < 1 {
			return nil, fmt.Errorf("shape %q: %q is not a size of at least 1; write it like 1,1,224,224", text, f)
		}
		s = append(s, d)
	}
	return s, nil
}
