package tensor

import "math"

// DType is the type of a tensor's elements.
type DType uint8

const (
	Float32  DType = iota // IEEE 754 binary32, the default
	BFloat16              // the upper 16 bits of a binary32; used only in device memory
	Int64                 // labels and counters
	Uint8                 // integers that stand for numbers; used only in device memory
)

// Size returns the number of bytes of one element.
func (d DType) Size() int {
	switch d {
	case Uint8:
		return 1
	case BFloat16:
		return 2
	case Int64:
		return 8
	}
	return 4
}

// String returns PyTorch's name of the type.
func (d DType) String() string {
	switch d {
	case BFloat16:
		return "bfloat16"
	case Int64:
		return "int64"
	case Uint8:
		return "uint8"
	}
	return "float32"
}

// ToBFloat16 rounds f to the nearest bfloat16, ties to even. NaN stays NaN.
func ToBFloat16(f float32) uint16 {
	b := math.Float32bits(f)
	if f != f {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// FromBFloat16 converts a bfloat16 to float32, which is exact.
func FromBFloat16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }
