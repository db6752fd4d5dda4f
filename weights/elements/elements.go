// Package elements contains what the readers of weight files share: Decode converts
// stored elements into tensors, and OpenFile, ReadZip and Quote open files and report on
// them. Types have safetensors' names (https://github.com/huggingface/safetensors): F32,
// BF16, I64 and so on.
//
//	t, err := elements.Decode("BF16", tensor.Shape{64}, func(piece []byte) error {
//		_, err := io.ReadFull(r, piece)
//		return err
//	})
package elements

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unsafe"

	"github.com/residual-ml/residual/internal/hugepages"
	"github.com/residual-ml/residual/tensor"
)

// bits is the number of bits per element of every type that a file may name.
var bits = map[string]int64{
	"BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
	"F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
	"F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}

// Bits returns the number of bits per element of the type.
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

// Decode creates a tensor of the given stored type and shape; the caller has checked the
// size against the file. It calls fill with consecutive pieces of the row-major
// elements, into which fill writes their little-endian bytes. Converting in pieces
// avoids a second copy of the whole tensor.
//
// F32 is copied. F16, BF16 and F64 are converted to Float32: the first two exactly,
// F64 rounded to nearest, and to infinity when it is out of range. Integers of every
// size and BOOL (false is 0, true 1) become Int64. The remaining types (F8 and
// smaller, C64) return an error.
func Decode(dtype string, shape tensor.Shape, fill func(piece []byte) error) (*tensor.Tensor, error) {
	n := shape.Numel()
	if convert, ok := toFloat[dtype]; ok {
		data := make([]float32, n)
		hugepages.Advise(data)
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

// fillFloats lets fill write floats directly into the tensor's memory, in few pieces.
func fillFloats(data []float32, fill func(piece []byte) error) error {
	const most = 1 << 28 // number of floats that one system call can read
	for piece := range slices.Chunk(data, most) {
		if err := fill(unsafe.Slice((*byte)(unsafe.Pointer(&piece[0])), 4*len(piece))); err != nil {
			return err
		}
	}
	return nil
}

// littleEndian reports whether this machine stores numbers in little-endian order.
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
