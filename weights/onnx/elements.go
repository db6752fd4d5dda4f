package onnx

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/residual-ml/residual/tensor"
)

// element says how the little-endian bytes of one element become a number: a
// float32 or an int64, the other function being nil.
type element struct {
	name  string
	size  int
	float func([]byte) float32
	int   func([]byte) int64
}

var elements = map[ElementType]element{
	Float:  {"FLOAT", 4, func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }, nil},
	Double: {"DOUBLE", 8, func(b []byte) float32 { return float32(math.Float64frombits(binary.LittleEndian.Uint64(b))) }, nil},
	Float16: {"FLOAT16", 2, func(b []byte) float32 {
		return fromFloat16(binary.LittleEndian.Uint16(b))
	}, nil},
	BFloat16: {"BFLOAT16", 2, func(b []byte) float32 {
		return tensor.FromBFloat16(binary.LittleEndian.Uint16(b))
	}, nil},
	Uint8:  {"UINT8", 1, nil, func(b []byte) int64 { return int64(b[0]) }},
	Int8:   {"INT8", 1, nil, func(b []byte) int64 { return int64(int8(b[0])) }},
	Bool:   {"BOOL", 1, nil, func(b []byte) int64 { return int64(b[0]) }},
	Uint16: {"UINT16", 2, nil, func(b []byte) int64 { return int64(binary.LittleEndian.Uint16(b)) }},
	Int16:  {"INT16", 2, nil, func(b []byte) int64 { return int64(int16(binary.LittleEndian.Uint16(b))) }},
	Uint32: {"UINT32", 4, nil, func(b []byte) int64 { return int64(binary.LittleEndian.Uint32(b)) }},
	Int32:  {"INT32", 4, nil, func(b []byte) int64 { return int64(int32(binary.LittleEndian.Uint32(b))) }},
	Uint64: {"UINT64", 8, nil, func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) }},
	Int64:  {"INT64", 8, nil, func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) }},
}

// IsFloat reports whether tensors of the type are read as Float32.
func (t ElementType) IsFloat() bool { return elements[t].float != nil }

// check refuses numbers that the type does not have.
func (t ElementType) check(ints []int64) error {
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	switch t {
	case Bool:
		low, high = 0, 1
	case Uint64:
		low = 0 // what does not fit int64 has come out negative
	case Uint8, Uint16, Uint32:
		low, high = 0, 1<<(8*elements[t].size)-1
	case Int8, Int16, Int32:
		high = 1<<(8*elements[t].size-1) - 1
		low = -high - 1
	}
	for _, v := range ints {
		if v < low || v > high {
			return fmt.Errorf("the number %d is none of %v that fits int64; %s", v, t, damaged)
		}
	}
	return nil
}

// fromFloat16 widens an IEEE 754 binary16 exactly.
func fromFloat16(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exponent, fraction := uint32(h>>10&31), uint32(h&0x3ff)
	switch exponent {
	case 0: // zero or subnormal: fraction times 2^-24, exact in a float32
		return math.Float32frombits(sign | math.Float32bits(float32(fraction)/(1<<24)))
	case 31: // infinity or NaN
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}
