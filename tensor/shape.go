// Package tensor holds shapes, element types and host values: the words that
// every other package of Residual is written in. It computes nothing.
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

// Clone returns a copy that shares nothing with s.
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

// String writes the shape as PyTorch does, without the class name: [4, 6, 3, 3].
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

// ParseShape reads "1,1,224,224" (spaces allowed); every size must be at least 1.
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
