package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// transpose writes the 8 x 8 transposition that PackTransposed uses. It is AVX2 code, also
// for AVX-512.
func transpose(e *emitter) {
	e.function("transpose", "transposes 8 rows of src, blocks times 8 columns, into rows of dst; strides in elements.",
		"dst, src *float32, blocks, ld, cols int")
	src, dst := newLines(e, "src", "ld"), newLines(e, "dst", "cols")
	blocks := e.arg("blocks")
	r, t := e.regs[:8], e.regs[8:16]
	e.Label("block")
	for i := range 8 {
		e.VMOVUPS(src.line(i), r[i])
	}
	e.transpose8(r, t)
	for i := range 8 {
		e.VMOVUPS(t[i], dst.line(i))
	}
	e.ADDQ(operand.U8(32), src.first)
	e.ADDQ(operand.U8(32), src.fourth)
	e.LEAQ(operand.Mem{Base: dst.first, Index: dst.stride, Scale: 8}, dst.first)
	e.LEAQ(operand.Mem{Base: dst.fourth, Index: dst.stride, Scale: 8}, dst.fourth)
	e.DECQ(blocks)
	e.JNZ(operand.LabelRef("block"))
	e.done()
}

// lines addresses eight rows of a matrix.
type lines struct {
	first, fourth  reg.GPVirtual
	stride, triple reg.GPVirtual
}

func newLines(e *emitter, base, ld string) lines {
	l := lines{first: e.arg(base), fourth: e.GP64(), stride: e.arg(ld), triple: e.GP64()}
	e.SHLQ(operand.U8(2), l.stride)
	e.LEAQ(operand.Mem{Base: l.stride, Index: l.stride, Scale: 2}, l.triple)
	e.LEAQ(operand.Mem{Base: l.first, Index: l.stride, Scale: 4}, l.fourth)
	return l
}

func (l lines) line(i int) operand.Mem {
	base := l.first
	if i >= 4 {
		base, i = l.fourth, i-4
	}
	switch i {
	case 0:
		return operand.Mem{Base: base}
	case 3:
		return operand.Mem{Base: base, Index: l.triple, Scale: 1}
	}
	return operand.Mem{Base: base, Index: l.stride, Scale: uint8(i)}
}

// transpose8 writes the transpose of r to t and overwrites r. It interleaves lanes, then
// pairs of lanes, then halves of vectors.
func (e *emitter) transpose8(r, t []reg.VecPhysical) {
	for i := 0; i < 8; i += 2 {
		e.VUNPCKLPS(r[i+1], r[i], t[i])
		e.VUNPCKHPS(r[i+1], r[i], t[i+1])
	}
	for i := 0; i < 8; i += 4 {
		e.VSHUFPS(operand.U8(0x44), t[i+2], t[i], r[i])
		e.VSHUFPS(operand.U8(0xee), t[i+2], t[i], r[i+1])
		e.VSHUFPS(operand.U8(0x44), t[i+3], t[i+1], r[i+2])
		e.VSHUFPS(operand.U8(0xee), t[i+3], t[i+1], r[i+3])
	}
	for i := range 4 {
		e.VPERM2F128(operand.U8(0x20), r[i+4], r[i], t[i])
		e.VPERM2F128(operand.U8(0x31), r[i+4], r[i], t[i+4])
	}
}
