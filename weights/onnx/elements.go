package onnx

import (
	"fmt"
	"math"

	"github.com/residual-ml/residual/weights/elements"
)

// element is a type's name in ONNX and in package elements, which converts it.
type element struct{ name, dtype string }

var kinds = map[ElementType]element{
	Float: {"FLOAT", "F32"}, Double: {"DOUBLE", "F64"}, Float16: {"FLOAT16", "F16"}, BFloat16: {"BFLOAT16", "BF16"},
	Uint8: {"UINT8", "U8"}, Int8: {"INT8", "I8"}, Bool: {"BOOL", "BOOL"}, Uint16: {"UINT16", "U16"}, Int16: {"INT16", "I16"},
	Uint32: {"UINT32", "U32"}, Int32: {"INT32", "I32"}, Uint64: {"UINT64", "U64"}, Int64: {"INT64", "I64"},
}

// size is the number of bytes per element.
func (e element) size() int {
	bits, _ := elements.Bits(e.dtype)
	return int(bits / 8)
}

// IsFloat reports whether tensors of the type are read as Float32.
func (t ElementType) IsFloat() bool {
	return t == Float || t == Double || t == Float16 || t == BFloat16
}

// check refuses numbers that are out of the type's range.
func (t ElementType) check(ints []int64) error {
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	switch t {
	case Bool:
		low, high = 0, 1
	case Uint64:
		low = 0 // a uint64 beyond int64 appears negative
	case Uint8, Uint16, Uint32:
		low, high = 0, 1<<(8*kinds[t].size())-1
	case Int8, Int16, Int32:
		high = 1<<(8*kinds[t].size()-1) - 1
		low = -high - 1
	}
	for _, v := range ints {
		if v < low || v > high {
			return fmt.Errorf("the number %d is none of %v that fits int64; %s", v, t, damaged)
		}
	}
	return nil
}

// ElementType is the type of a tensor's elements, with the format's numbers.
type ElementType int32

// The element types that can be read or fed.
const (
	Float    ElementType = 1
	Uint8    ElementType = 2
	Int8     ElementType = 3
	Uint16   ElementType = 4
	Int16    ElementType = 5
	Int32    ElementType = 6
	Int64    ElementType = 7
	Bool     ElementType = 9
	Float16  ElementType = 10
	Double   ElementType = 11
	Uint32   ElementType = 12
	Uint64   ElementType = 13
	BFloat16 ElementType = 16
)

// String returns the format's name of the type.
func (t ElementType) String() string {
	if e, ok := kinds[t]; ok {
		return e.name
	}
	return fmt.Sprintf("type %d", int32(t))
}
