package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Predicates of VCMPPS.
const (
	equal      = operand.U8(0x00) // false on NaN
	unordered  = operand.U8(0x03)
	notAtMost  = operand.U8(0x16) // !(a <= b), true on NaN
	bitsOne    = 0x3f800000
	bits255    = 0x437f0000 // the largest result of 8 bits
	bitsNoSign = 0x80000000 // -0, which adds nothing even to a zero
	bitsNegInf = 0xff800000
)

// constant fills a vector with one float32 given by its bits.
func (e *emitter) constant(bits uint32, v reg.VecPhysical) {
	g := e.GP64()
	e.MOVL(operand.U32(bits), g.As32())
	e.VMOVD(g.As32(), v.AsX())
	e.VBROADCASTSS(v.AsX(), v)
}

// registers allocates vector registers, the lowest first.
type registers struct {
	e    *emitter
	next int
}

func (r *registers) take(n int) []reg.VecPhysical {
	s := r.e.regs[r.next : r.next+n]
	if r.next += n; r.next > len(r.e.regs)-1 {
		panic("out of vector registers, of which the last is for the mask")
	}
	return s
}

func (r *registers) one() reg.VecPhysical { return r.take(1)[0] }
