package engine

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Layout is the order of a value's elements in device memory.
type Layout uint8

const (
	RowMajor     Layout = iota // as on the host
	Images                     // [N,C,H,W] stored as [H][W][N][C], [N,C,L] as [L][N][C]: batch-inner
	ConvWeight                 // [O,I,KH,KW] stored as [KH][KW][I][O]
	LinearWeight               // [O,I] stored as [I][O]
)

func (l Layout) String() string {
	return [...]string{"row-major", "images", "conv weight", "linear weight"}[l]
}

// Strides returns, for every dimension of a tensor of this shape, how many
// elements apart its neighbours lie in device memory.
func (l Layout) Strides(s tensor.Shape) []int {
	switch l {
	case Images:
		n, c := s[0], s[1]
		if len(s) == 3 {
			return []int{c, 1, n * c}
		}
		return []int{c, 1, s[3] * n * c, n * c}
	case ConvWeight:
		return []int{1, s[0], s[3] * s[1] * s[0], s[1] * s[0]}
	case LinearWeight:
		return []int{1, s[0]}
	}
	return s.Strides()
}

// Place says where a value lives.
type Place uint8

const (
	Temporary  Place = iota // in the program's arena, while it is needed
	Fed                     // given at every run
	Persistent              // the value of a variable, in the store
)

// Value is a tensor on the device.
type Value struct {
	ID       int
	Shape    tensor.Shape
	Layout   Layout
	DType    tensor.DType // Float32 or BFloat16
	Place    Place
	Variable *graph.Variable // of a persistent value

	Offset      int    // of a temporary value, in words of the arena
	Alias       *Value // another value whose memory this one takes over, or is a part of
	Shift       int    // where that part begins, in words
	Keep        bool   // still wanted when the run is over
	first, last int    // the steps between which it lives
}

// Numel returns the number of elements.
func (v *Value) Numel() int { return v.Shape.Numel() }

// Words returns the memory v takes, in float32 elements.
func (v *Value) Words() int { return (v.Numel()*v.DType.Size() + 3) / 4 }

// Root returns the value whose memory v uses.
func (v *Value) Root() *Value {
	for v.Alias != nil {
		v = v.Alias
	}
	return v
}

// place returns where a temporary value begins, in words of the arena.
func (v *Value) place() int {
	off := v.Shift
	for v.Alias != nil {
		v = v.Alias
		off += v.Shift
	}
	return v.Offset + off
}

// IsRow reports whether v is row i of a value by name: no work makes it.
func (v *Value) IsRow(i int, of *Value) bool {
	return v.Alias == of && v.Shift == i*v.Words() && v.Numel() < of.Numel()
}

func (v *Value) String() string { return fmt.Sprintf("%%%d%v", v.ID, v.Shape) }

// Dims returns batch, channels, height and width; missing ones are 1.
func (v *Value) Dims() (n, c, h, w int) { return dims(v.Shape) }

func dims(s tensor.Shape) (n, c, h, w int) {
	n, c, h, w = 1, 1, 1, 1
	switch len(s) {
	case 4:
		n, c, h, w = s[0], s[1], s[2], s[3]
	case 3:
		n, c, w = s[0], s[1], s[2]
	case 2:
		n, c = s[0], s[1]
	case 1:
		c = s[0]
	}
	return
}

// defaultLayout is the layout of an activation of this shape.
func defaultLayout(s tensor.Shape) Layout {
	if len(s) == 3 || len(s) == 4 {
		return Images
	}
	return RowMajor
}

// SameOrder reports whether a and b hold elements of one type in the same order,
// so that one can be the other by name.
func SameOrder(a, b *Value) bool {
	return a.DType == b.DType && (a.Numel() == b.Numel() && a.RowMajor() && b.RowMajor() ||
		a.Layout == b.Layout && a.Shape.Equal(b.Shape))
}

// RowMajor reports whether v's elements lie as on the host.
func (v *Value) RowMajor() bool {
	if v.Layout == Images {
		_, _, h, w := v.Dims()
		return h*w == 1
	}
	return v.Layout == RowMajor
}
