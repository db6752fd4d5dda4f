package elements

import (
	"slices"

	"github.com/residual-ml/residual/tensor"
)

// Gather returns a function for Decode that copies the elements of a strided tensor from
// `from` in row-major order. Strides count elements of size bytes; the caller has checked
// that every element lies inside from.
func Gather(from []byte, shape tensor.Shape, stride []int64, size int64) func(piece []byte) error {
	g := &gatherer{from, shape, stride, size, make([]int, len(shape)), 0}
	return func(piece []byte) error {
		for ; len(piece) > 0; piece = piece[size:] {
			copy(piece[:size], g.from[g.at*size:])
			g.next()
		}
		return nil
	}
}

type gatherer struct {
	from   []byte
	shape  tensor.Shape
	stride []int64
	size   int64
	index  []int // of the next element in each dimension
	at     int64 // offset of the next element, in elements
}

func (g *gatherer) next() {
	for i := len(g.index) - 1; i >= 0; i-- {
		g.index[i]++
		g.at += g.stride[i]
		if g.index[i] < g.shape[i] {
			return
		}
		g.at -= int64(g.index[i]) * g.stride[i]
		g.index[i] = 0
	}
}

// Swap returns a function for Decode that reverses the bytes of every element that fill
// writes, so that big-endian elements become little-endian.
func Swap(fill func(piece []byte) error, size int64) func(piece []byte) error {
	if size == 1 {
		return fill
	}
	return func(piece []byte) error {
		if err := fill(piece); err != nil {
			return err
		}
		for ; len(piece) > 0; piece = piece[size:] {
			slices.Reverse(piece[:size])
		}
		return nil
	}
}
