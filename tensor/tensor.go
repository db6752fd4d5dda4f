package tensor

import (
	"fmt"
	"strings"
)

// Tensor is a dense array in host memory, in row-major order. Data returns the elements of a
// Float32 tensor and Ints those of an Int64 tensor; the other slice is nil.
type Tensor struct {
	shape Shape
	dtype DType
	data  []float32
	ints  []int64
}

// New returns a Float32 tensor of zeros.
func New(shape ...int) *Tensor {
	s := check(shape)
	return &Tensor{shape: s, data: make([]float32, s.Numel())}
}

// FromSlice returns a Float32 tensor that uses data without copying it. It panics if the
// shape does not have exactly len(data) elements.
func FromSlice(data []float32, shape ...int) *Tensor {
	s := check(shape)
	if s.Numel() != len(data) {
		panic(Misusef("tensor.FromSlice: shape %v holds %d elements, got %d", s, s.Numel(), len(data)))
	}
	return &Tensor{shape: s, data: data}
}

// FromInts returns an Int64 tensor, such as labels or a counter, that uses ints without
// copying it. It panics if the shape does not have exactly len(ints) elements.
func FromInts(ints []int64, shape ...int) *Tensor {
	s := check(shape)
	if s.Numel() != len(ints) {
		panic(Misusef("tensor.FromInts: shape %v holds %d elements, got %d", s, s.Numel(), len(ints)))
	}
	return &Tensor{shape: s, dtype: Int64, ints: ints}
}

func check(shape []int) Shape {
	for _, d := range shape {
		if d < 0 {
			panic(Misusef("tensor: negative size in shape %v", Shape(shape)))
		}
	}
	return Shape(shape).Clone()
}

// Shape returns the sizes of the dimensions. The caller must not change them.
func (t *Tensor) Shape() Shape { return t.shape }

// DType returns Float32 or Int64.
func (t *Tensor) DType() DType { return t.dtype }

// Data returns the elements of a Float32 tensor in row-major order, not copied.
func (t *Tensor) Data() []float32 { return t.data }

// Ints returns the elements of an Int64 tensor in row-major order, not copied.
func (t *Tensor) Ints() []int64 { return t.ints }

// Numel returns the number of elements.
func (t *Tensor) Numel() int { return t.shape.Numel() }

// At returns one element of a Float32 tensor.
func (t *Tensor) At(index ...int) float32 { return t.data[t.offset(index)] }

// Set writes one element of a Float32 tensor.
func (t *Tensor) Set(v float32, index ...int) { t.data[t.offset(index)] = v }

func (t *Tensor) offset(index []int) int {
	if len(index) != len(t.shape) {
		panic(Misusef("tensor: index %v on shape %v", index, t.shape))
	}
	o := 0
	for i, x := range index {
		if x < 0 || x >= t.shape[i] {
			panic(Misusef("tensor: index %v out of shape %v", index, t.shape))
		}
		o = o*t.shape[i] + x
	}
	return o
}

// Fill sets every element of a Float32 tensor to v and returns the tensor.
func (t *Tensor) Fill(v float32) *Tensor {
	for i := range t.data {
		t.data[i] = v
	}
	return t
}

// Reshape returns a tensor of another shape that shares its elements with t. One size may be
// -1 and is inferred. Reshape panics if the number of elements differs.
func (t *Tensor) Reshape(shape ...int) *Tensor {
	s := Shape(shape).Clone()
	infer, known := -1, 1
	for i, d := range s {
		if d == -1 && infer < 0 {
			infer = i
		} else {
			known *= d
		}
	}
	if infer >= 0 && known > 0 {
		s[infer] = t.Numel() / known
	}
	if s.Numel() != t.Numel() {
		panic(Misusef("tensor: cannot reshape %v to %v", t.shape, Shape(shape)))
	}
	return &Tensor{shape: s, dtype: t.dtype, data: t.data, ints: t.ints}
}

// Clone returns a deep copy.
func (t *Tensor) Clone() *Tensor {
	return &Tensor{
		shape: t.shape.Clone(), dtype: t.dtype,
		data: append([]float32(nil), t.data...), ints: append([]int64(nil), t.ints...),
	}
}

// String returns the type, the shape and the first elements.
func (t *Tensor) String() string {
	const most = 8
	var b strings.Builder
	fmt.Fprintf(&b, "tensor(%s, %v", t.dtype, t.shape)
	for i := range min(t.Numel(), most) {
		if t.dtype == Int64 {
			fmt.Fprintf(&b, " %d", t.ints[i])
		} else {
			fmt.Fprintf(&b, " %.4g", t.data[i])
		}
	}
	if t.Numel() > most {
		b.WriteString(" …")
	}
	b.WriteByte(')')
	return b.String()
}

// Named is an entry of a state dict: a tensor with its path in a model, such as
// layer1.0.conv1.weight.
type Named struct {
	Name   string
	Tensor *Tensor
}
