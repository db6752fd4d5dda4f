package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// wordsFile writes the kernels that convert rows of bfloat16 to 16-bit integers.
func wordsFile(e *emitter) {
	e.function("largestWords", "finds the largest absolute value, as bits, of each row of vectors of 32 bfloat16.",
		"dst *uint16, src *uint16, rows, vectors, ld int")
	dst, src, rows, count, at, ld := e.arg("dst"), e.arg("src"), e.arg("rows"), e.GP64(), e.GP64(), e.arg("ld")
	e.ADDQ(ld, ld)
	best, x, sign := e.regs[0], e.regs[1], e.regs[2]
	e.constant(0x7fff7fff, sign)
	e.Label("row")
	e.MOVQ(e.addr("vectors"), count)
	e.MOVQ(src, at)
	e.zero(best)
	e.Label("vector")
	e.VPANDD(operand.Mem{Base: at}, sign, x)
	e.VPMAXUW(x, best, best)
	e.ADDQ(operand.U8(64), at)
	e.DECQ(count)
	e.JNZ(operand.LabelRef("vector"))
	e.largestWord(best, x)
	bits := e.GP32()
	e.VMOVD(best.AsX(), bits)
	e.MOVW(bits.As16(), operand.Mem{Base: dst})
	e.ADDQ(operand.U8(2), dst)
	e.ADDQ(ld, src)
	e.DECQ(rows)
	e.JNZ(operand.LabelRef("row"))
	e.done()

	e.function("scaleWords", "computes dst = src*scale, rounded to int16, for rows of vectors of 32 bfloat16.",
		"dst *int16, src *uint16, scale *float32, rows, vectors, ld int")
	to, from, scale, left, vectors, step, stride := e.arg("dst"), e.arg("src"), e.arg("scale"), e.arg("rows"), e.GP64(), e.GP64(), e.arg("ld")
	e.ADDQ(stride, stride)
	low, high, factor := e.regs[0], e.regs[1], e.regs[2]
	e.Label("row")
	e.VBROADCASTSS(operand.Mem{Base: scale}, factor)
	e.MOVQ(e.addr("vectors"), vectors)
	e.MOVQ(from, step)
	e.Label("vector")
	for i, v := range []reg.VecPhysical{low, high} {
		e.loadBF16(operand.Mem{Base: step, Disp: 32 * i}, v, false)
		e.VMULPS(factor, v, v)
		e.VCVTPS2DQ(v, v)
		e.VPMOVSDW(v, operand.Mem{Base: to, Disp: 32 * i})
	}
	e.ADDQ(operand.U8(64), step)
	e.ADDQ(operand.U8(64), to)
	e.DECQ(vectors)
	e.JNZ(operand.LabelRef("vector"))
	e.ADDQ(operand.U8(4), scale)
	e.ADDQ(stride, from)
	e.DECQ(left)
	e.JNZ(operand.LabelRef("row"))
	e.done()
}

// largestWord moves the largest of 32 unsigned words to the lowest. It overwrites t.
func (e *emitter) largestWord(v, t reg.VecPhysical) {
	e.VEXTRACTI64X4(operand.U8(1), v, t.AsY())
	e.VPMAXUW(t.AsY(), v.AsY(), v.AsY())
	e.VEXTRACTI128(operand.U8(1), v.AsY(), t.AsX())
	e.VPMAXUW(t.AsX(), v.AsX(), v.AsX())
	for _, order := range []uint8{0x4e, 0xb1} {
		e.VPSHUFD(operand.U8(order), v.AsX(), t.AsX())
		e.VPMAXUW(t.AsX(), v.AsX(), v.AsX())
	}
	e.VPSRLD(operand.U8(16), v.AsX(), t.AsX())
	e.VPMAXUW(t.AsX(), v.AsX(), v.AsX())
}
