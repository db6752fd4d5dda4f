// Package elements holds what the readers of weight files share: the conversion
// of stored elements into tensors, and how a file is opened and its names are
// shown. Types have the names of safetensors
// (https://github.com/huggingface/safetensors): F32, BF16, I64 and so on.
package elements

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unsafe"

	"github.com/residual-ml/residual/tensor"
)

// bits holds the bits of an element of every type that a file may name.
var bits = map[string]int64{
	"BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
	"F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
	"F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}

// Bits returns how many bits an element of the type takes.
func Bits(dtype string) (n int64, ok bool) {
	n, ok = bits[dtype]
	return n, ok
}

// Types returns the names of the types that Decode can read, sorted.
func Types() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for t := range bits {
			_, float := toFloat[t]
			_, integer := toInt[t]
			if (float || integer) && !yield(t) {
				return
			}
		}
	})
}

// Decode makes a tensor of a type and shape whose size the caller has held
// against the file. fill is called with one piece after another of the row-major
// elements, to write their little-endian bytes; so a converted tensor costs no
// second copy of the whole.
//
// F32 comes as it is and F16, BF16 and F64 are converted to Float32: the first
// two exactly, F64 rounded to the nearest, to an infinity when it is out of
// range. Integers of every size and BOOL (false is 0, true 1) become Int64. The
// remaining types (F8 and smaller, C64) give an error.
func Decode(dtype string, shape tensor.Shape, fill func(piece []byte) error) (*tensor.Tensor, error) {
	n := shape.Numel()
	if convert, ok := toFloat[dtype]; ok {
		data := make([]float32, n)
		if dtype == "F32" && littleEndian {
			if err := fillFloats(data, fill); err != nil {
				return nil, err
			}
			return tensor.FromSlice(data, shape...), nil
		}
		if err := decodeInto(data, dtype, fill, convert); err != nil {
			return nil, err
		}
		return tensor.FromSlice(data, shape...), nil
	}
	if convert, ok := toInt[dtype]; ok {
		ints := make([]int64, n)
		if err := decodeInto(ints, dtype, fill, convert); err != nil {
			return nil, err
		}
		return tensor.FromInts(ints, shape...), nil
	}
	return nil, fmt.Errorf("type %s cannot be read; store it as F32, F16, BF16, F64 or an integer type", dtype)
}

// fillFloats lets fill write floats as they lie in memory, in one piece or few.
func fillFloats(data []float32, fill func(piece []byte) error) error {
	const most = 1 << 28 // of floats, so that a piece can be read by one system call
	for piece := range slices.Chunk(data, most) {
		if err := fill(unsafe.Slice((*byte)(unsafe.Pointer(&piece[0])), 4*len(piece))); err != nil {
			return err
		}
	}
	return nil
}

// littleEndian says how this machine's memory holds a number.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

func decodeInto[T any](dst []T, dtype string, fill func([]byte) error, convert func(dst []T, src []byte) error) error {
	const piece = 64 << 10
	size := int(bits[dtype] / 8)
	buf := make([]byte, min(piece, len(dst)*size))
	for len(dst) > 0 {
		n := min(len(dst), len(buf)/size)
		if err := fill(buf[:n*size]); err != nil {
			return err
		}
		if err := convert(dst[:n], buf[:n*size]); err != nil {
			return err
		}
		dst = dst[n:]
	}
	return nil
}
