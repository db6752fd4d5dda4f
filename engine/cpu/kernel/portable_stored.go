package kernel

import (
	"math"
	"unsafe"
)

// narrow rounds to the nearest bfloat16, ties to even, as VCVTNEPS2BF16 does.
func narrow(f float32) uint16 {
	b := math.Float32bits(f)
	switch e := b & 0x7f800000; {
	case e == 0:
		return uint16(b>>16) & 0x8000
	case f != f:
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// widen converts a bfloat16 to float32, which is exact.
func widen(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// stored is the type of an element of an activation: float32, or uint16 for bfloat16.
type stored interface{ float32 | uint16 }

// load returns a stored element as float32.
func load[T stored](v T) float32 {
	if unsafe.Sizeof(v) == 4 {
		return *(*float32)(unsafe.Pointer(&v))
	}
	return widen(*(*uint16)(unsafe.Pointer(&v)))
}

// store writes f to a stored element, rounded for bfloat16.
func store[T stored](p *T, f float32) {
	if unsafe.Sizeof(*p) == 4 {
		*(*float32)(unsafe.Pointer(p)) = f
		return
	}
	*(*uint16)(unsafe.Pointer(p)) = narrow(f)
}
