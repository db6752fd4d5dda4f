//go:build !noasm

package kernel

import (
	"math"
	"unsafe"
)

func bytesAVX512(y []uint8, ldy int, x []int32, ldx int, rows, n int, e Epilogue) {
	finishBytesAVX512(y, ldy, x, ldx, e.Scale, e.Shift, e.Bytes, e.BytesScale, e.BF16, uint32(e.Least), rows, n)
}

func bytesOfFloatAVX512(y []uint8, ldy int, x []float32, ldx int, rows, n int, e Epilogue) {
	finishBytesOfFloatAVX512(y, ldy, x, ldx, e.Scale, e.Shift, e.Bytes, e.BytesScale, e.BF16, uint32(e.Least), rows, n)
}

func bytesOfBF16AVX512(y []uint8, ldy int, x []uint16, ldx int, rows, n int, least uint8) {
	roundRowsAVX512(y, ldy, x, ldx, uint32(least), rows, n)
}

func toBF16AVX512(y []uint16, ldy int, x []int32, ldx int, rows, n int, e Epilogue) {
	finishBF16AVX512(y, ldy, x, ldx, e.Scale, e.Shift, e.Bytes, e.BytesScale, e.BF16, e.floor(), rows, n)
}

func toFloatAVX512(y []float32, ldy int, x []int32, ldx int, rows, n int, e Epilogue) {
	finishFloatAVX512(y, ldy, x, ldx, e.Scale, e.Shift, e.Bytes, e.BytesScale, e.BF16, e.floor(), rows, n)
}

func bytesAVX2(y []uint8, ldy int, x []int32, ldx int, rows, n int, e Epilogue) {
	finishBytesAVX2(y, ldy, x, ldx, e.Scale, e.Shift, e.Bytes, e.BytesScale, e.BF16, uint32(e.Least), rows, n)
}

func bytesOfFloatAVX2(y []uint8, ldy int, x []float32, ldx int, rows, n int, e Epilogue) {
	finishBytesOfFloatAVX2(y, ldy, x, ldx, e.Scale, e.Shift, e.Bytes, e.BytesScale, e.BF16, uint32(e.Least), rows, n)
}

func bytesOfBF16AVX2(y []uint8, ldy int, x []uint16, ldx int, rows, n int, least uint8) {
	roundRowsAVX2(y, ldy, x, ldx, uint32(least), rows, n)
}

func toBF16AVX2(y []uint16, ldy int, x []int32, ldx int, rows, n int, e Epilogue) {
	finishBF16AVX2(y, ldy, x, ldx, e.Scale, e.Shift, e.Bytes, e.BytesScale, e.BF16, e.floor(), rows, n)
}

func toFloatAVX2(y []float32, ldy int, x []int32, ldx int, rows, n int, e Epilogue) {
	finishFloatAVX2(y, ldy, x, ldx, e.Scale, e.Shift, e.Bytes, e.BytesScale, e.BF16, e.floor(), rows, n)
}

// floor returns the bits of the least result in floating point.
func (e *Epilogue) floor() uint32 {
	if e.ReLU {
		return 0
	}
	return math.Float32bits(float32(math.Inf(-1)))
}

// finishSums makes results of sums, by their type.
func finishSums[T uint8 | uint16 | float32](isa ISA, y []T, ldy int, x []int32, ldx int, rows, n int, e Epilogue) {
	p := unsafe.Pointer(&y)
	switch size := unsafe.Sizeof(y[0]); {
	case size == 1 && isa == AVX2:
		bytesAVX2(*(*[]uint8)(p), ldy, x, ldx, rows, n, e)
	case size == 1:
		bytesAVX512(*(*[]uint8)(p), ldy, x, ldx, rows, n, e)
	case size == 2 && isa == AVX2:
		toBF16AVX2(*(*[]uint16)(p), ldy, x, ldx, rows, n, e)
	case size == 2:
		toBF16AVX512(*(*[]uint16)(p), ldy, x, ldx, rows, n, e)
	case isa == AVX2:
		toFloatAVX2(*(*[]float32)(p), ldy, x, ldx, rows, n, e)
	default:
		toFloatAVX512(*(*[]float32)(p), ldy, x, ldx, rows, n, e)
	}
}

// maxPoolInt8AVX512 processes full vectors, the last of which may overlap the one before.
func maxPoolInt8AVX512(dst, x []uint8, offs []int, n int) {
	const lanes = 64
	if n < lanes || len(offs) == 0 {
		maxPoolBytesPortable(dst, x, offs, n)
		return
	}
	maxPoolBytesAVX512(&dst[0], &x[0], &offs[0], len(offs), n/lanes)
	if n%lanes > 0 {
		maxPoolBytesAVX512(&dst[n-lanes], &x[n-lanes], &offs[0], len(offs), 1)
	}
}

func maxPoolInt8AVX2(dst, x []uint8, offs []int, n int) {
	const lanes = 32
	if n < lanes || len(offs) == 0 {
		maxPoolBytesPortable(dst, x, offs, n)
		return
	}
	maxPoolBytesAVX2(&dst[0], &x[0], &offs[0], len(offs), n/lanes)
	if n%lanes > 0 {
		maxPoolBytesAVX2(&dst[n-lanes], &x[n-lanes], &offs[0], len(offs), 1)
	}
}
