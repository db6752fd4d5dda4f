package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// narrowThree writes the rounding of three planes of float32, such as the colours of an image,
// to pixels of three bfloat16. A block is a vector of each plane.
func narrowThree(e *emitter) {
	table := e.threeTable()
	e.function("narrowThree", "rounds three planes of src, ld elements apart, to pixels; blocks of a vector of each.", "dst *uint16, src *float32, ld, blocks int")
	dst, src, ld, blocks, triple := e.arg("dst"), e.arg("src"), e.arg("ld"), e.arg("blocks"), e.GP64()
	e.SHLQ(operand.U8(2), ld)
	e.LEAQ(operand.Mem{Base: ld, Index: ld, Scale: 1}, triple)
	planes := []operand.Mem{{Base: src}, {Base: src, Index: ld, Scale: 1}, {Base: src, Index: triple, Scale: 1}}
	if e.wide() {
		e.VMOVUPS(table, e.regs[6])
		e.VMOVUPS(table.Offset(64), e.regs[7])
	}
	e.Label("block")
	for i, m := range planes {
		e.VMOVUPS(m, e.regs[i])
		e.narrow(e.regs[i], e.regs[3:5]...)
	}
	if e.wide() {
		e.pixelsWide(dst)
	} else {
		e.pixels(dst, table)
	}
	e.ADDQ(operand.U8(uint8(e.bytes())), src)
	e.ADDQ(operand.U8(uint8(6*e.lanes)), dst)
	e.DECQ(blocks)
	e.JNZ(operand.LabelRef("block"))
	e.done()
}

// pixelsWide writes 16 pixels from the words in the lower halves of the first three registers.
func (e *emitter) pixelsWide(dst reg.GPVirtual) {
	v := e.regs
	e.VINSERTI64X4(operand.U8(1), v[1].AsY(), v[0], v[0])
	e.VMOVAPS(v[6], v[4])
	e.VPERMI2W(v[2], v[0], v[4])
	e.VMOVAPS(v[7], v[5])
	e.VPERMI2W(v[2], v[0], v[5])
	e.VMOVUPS(v[4], operand.Mem{Base: dst})
	e.VMOVUPS(v[5].AsY(), operand.Mem{Base: dst, Disp: 64})
}

// pixels writes 8 pixels.
func (e *emitter) pixels(dst reg.GPVirtual, table operand.Mem) {
	v := e.regs
	for part := range 3 {
		for plane := range 3 {
			to := v[5+plane].AsX()
			e.VMOVDQU(table.Offset(16*(3*part+plane)), v[3].AsX())
			e.VPSHUFB(v[3].AsX(), v[plane].AsX(), to)
		}
		e.VPOR(v[6].AsX(), v[5].AsX(), v[5].AsX())
		e.VPOR(v[7].AsX(), v[5].AsX(), v[5].AsX())
		e.VMOVDQU(v[5].AsX(), operand.Mem{Base: dst, Disp: 16 * part})
	}
}

// threeTable writes where the words of pixels come from: for AVX-512 the permutations of the
// words of the first two planes and the third, for AVX2 the bytes of each plane for each third
// of the pixels.
func (e *emitter) threeTable() operand.Mem {
	table := e.StaticGlobal("pixels")
	e.DataAttributes(attr.RODATA | attr.NOPTR)
	if e.wide() {
		for w := range 64 {
			at := 0
			if w < 48 {
				at = w/3 + 16*(w%3)
			}
			e.AddDatum(2*w, operand.U16(at))
		}
		return table
	}
	for part := range 3 {
		for plane := range 3 {
			for b := range 16 {
				w, at := 8*part+b/2, 0x80 // zero
				if w%3 == plane {
					at = w/3*2 + b%2
				}
				e.AddDatum(16*(3*part+plane)+b, operand.U8(at))
			}
		}
	}
	return table
}
