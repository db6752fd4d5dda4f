package engine

import (
	"fmt"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Layout is the order of a value's elements in device memory.
type Layout uint8

const (
	RowMajor     Layout = iota // the order of host tensors
	Images                     // [N,C,H,W] stored as [H][W][N][C], [N,C,L] as [L][N][C]: batch-inner
	ConvWeight                 // [O,I,KH,KW] stored as [KH][KW][I][O]
	LinearWeight               // [O,I] stored as [I][O]
)

func (l Layout) String() string {
	return [...]string{"row-major", "images", "conv weight", "linear weight"}[l]
}

// Strides returns, for every dimension of a tensor of shape s, the distance in elements
// between neighbours in device memory.
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

// Place says where a value is stored.
type Place uint8

const (
	Temporary  Place = iota // in the program's arena, while it is needed
	Fed                     // in a buffer of an input
	Persistent              // in the store, as the value of a variable
)

// Value is a tensor on the device.
type Value struct {
	ID       int
	Shape    tensor.Shape
	Layout   Layout
	DType    tensor.DType // Float32, BFloat16 or Uint8
	Scale    float32      // of a Uint8 value, whose element q stands for (q - Zero)·Scale
	Zero     int
	Place    Place
	Variable *graph.Variable // the variable of a persistent value

	Offset      int    // position of a temporary value in the arena, in words
	Alias       *Value // another value in whose memory this one is placed; nil if there is none
	Shift       int    // where in that memory it begins, in words
	Keep        bool   // must stay intact until the end of the run
	first, last int    // the first and the last step that use it
}

// Numel returns the number of elements.
func (v *Value) Numel() int { return v.Shape.Numel() }

// Words returns the memory that v takes, in words of four bytes.
func (v *Value) Words() int { return (v.Numel()*v.DType.Size() + 3) / 4 }

// Root returns the value in whose memory v is placed, which is v itself without an Alias.
func (v *Value) Root() *Value {
	for v.Alias != nil {
		v = v.Alias
	}
	return v
}

// place returns the position of a temporary value in the arena, in words.
func (v *Value) place() int {
	off := v.Shift
	for v.Alias != nil {
		v = v.Alias
		off += v.Shift
	}
	return v.Offset + off
}

// IsRow reports whether v is placed in the memory of row i of a value, so that no step has
// to copy the row.
func (v *Value) IsRow(i int, of *Value) bool {
	return v.Alias == of && v.Shift == i*v.Words() && v.Numel() < of.Numel()
}

func (v *Value) String() string { return fmt.Sprintf("%%%d%v", v.ID, v.Shape) }

// Dims returns the batch size, channels, height and width; missing dimensions are 1.
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

// defaultLayout returns the layout of an activation of shape s.
func defaultLayout(s tensor.Shape) Layout {
	if len(s) == 3 || len(s) == 4 {
		return Images
	}
	return RowMajor
}

// SameOrder reports whether a and b store elements of one type in the same order, so that
// a copy from one to the other can be left out.
func SameOrder(a, b *Value) bool {
	return a.DType == b.DType && (a.Numel() == b.Numel() && a.RowMajor() && b.RowMajor() ||
		a.Layout == b.Layout && a.Shape.Equal(b.Shape))
}

// RowMajor reports whether v's elements are stored in the order of host tensors.
func (v *Value) RowMajor() bool {
	if v.Layout == Images {
		_, _, h, w := v.Dims()
		return h*w == 1
	}
	return v.Layout == RowMajor
}
