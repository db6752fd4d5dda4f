package cpu

import (
	"unsafe"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/internal/hugepages"
	"github.com/residual-ml/residual/tensor"
)

// memory is a buffer of the device: ordinary Go memory, aligned to cache lines.
type memory []float32

// bf16 returns the same memory as bfloat16 elements, two for every float32.
func (m memory) bf16() []uint16 {
	return unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(m))), 2*len(m))
}

// bytes returns the same memory as bytes, four for every float32.
func (m memory) bytes() []uint8 {
	return unsafe.Slice((*uint8)(unsafe.Pointer(unsafe.SliceData(m))), 4*len(m))
}

// int32s returns the same memory as integers of 32 bits.
func (m memory) int32s() []int32 {
	return unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(m))), len(m))
}

// int8s returns the same memory as signed bytes.
func (m memory) int8s() []int8 {
	return unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(m))), 4*len(m))
}

func (m memory) Len() int { return len(m) }

// sameMemory reports whether a and b begin at the same address.
func sameMemory(a, b memory) bool { return len(a) > 0 && len(b) > 0 && &a[0] == &b[0] }

// ceil returns a/b rounded up.
func ceil(a, b int) int { return (a + b - 1) / b }

// isBF16 reports whether a value is stored as bfloat16.
func isBF16(x *engine.Value) bool { return x.DType == tensor.BFloat16 }

// isBytes reports whether a value is stored in 8 bits.
func isBytes(x *engine.Value) bool { return x != nil && x.DType == tensor.Uint8 }

func alloc(n int) memory {
	const line = 64
	s := make([]float32, n+line/4)
	hugepages.Advise(s)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(s)))%line) / 4
	return s[skip : skip+n : skip+n]
}
