package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// loadBF16 reads a vector of bfloat16 as float32. If masked is set, lanes outside the mask
// are not read from memory and are zero in the register.
func (e *emitter) loadBF16(m operand.Mem, v reg.VecPhysical, masked bool) {
	switch {
	case masked && e.wide():
		e.VPMOVZXWD_Z(m, reg.K1, v)
	case masked:
		e.VPXOR(v.AsX(), v.AsX(), v.AsX())
		e.eachLane(func(i int) { e.VPINSRW(operand.U8(uint8(i)), m.Offset(2*i), v.AsX(), v.AsX()) })
		e.VPMOVZXWD(v.AsX(), v)
	default:
		e.VPMOVZXWD(m, v)
	}
	e.VPSLLD(operand.U8(16), v, v)
}

// storeBF16 rounds a vector to bfloat16, to nearest, ties to even, and writes it. Lanes
// outside the mask are not written. A NaN becomes quiet, and a number below the smallest
// normal one becomes zero. It overwrites v, two vectors t and K3; the instruction of
// avx512bf16 overwrites only v.
func (e *emitter) storeBF16(v reg.VecPhysical, m operand.Mem, masked bool, t ...reg.VecPhysical) {
	e.narrow(v, t...)
	e.storeNarrow(v, m, masked)
}

// storeNarrow writes the bfloat16 in the lower half of v.
func (e *emitter) storeNarrow(v reg.VecPhysical, m operand.Mem, masked bool) {
	switch {
	case masked && e.wide():
		e.VMOVDQU16(v.AsY(), reg.K1, m)
	case masked:
		e.eachLane(func(i int) { e.VPEXTRW(operand.U8(uint8(i)), v.AsX(), m.Offset(2*i)) })
	case e.wide():
		e.VMOVDQU32(v.AsY(), m) // takes registers from 16 on, too
	default:
		e.VMOVDQU(v.AsX(), m)
	}
}

// eachLane runs body for every lane in AVX2's mask, since AVX2 has no masks for words. The
// last lane is left out, for a mask of a partial vector never has it.
func (e *emitter) eachLane(body func(i int)) {
	set := e.GP32()
	done := e.label("lanesDone")
	e.VMOVMSKPS(e.maskReg(), set)
	for i := range e.lanes - 1 {
		e.TESTL(operand.U32(1<<i), set)
		e.JZ(operand.LabelRef(done))
		body(i)
	}
	e.Label(done)
}

// label returns a label that no other call returns.
func (e *emitter) label(name string) string {
	e.labels++
	return fmt.Sprintf("%s%d", name, e.labels)
}

// The offsets of the constants that rounding reads from memory.
const (
	roundExponent = iota * 32
	roundOne
	roundBias
	roundQuiet
	roundSign
	roundUpper
	roundUnit
)

// roundTable writes these constants if the file does not have them yet.
func (e *emitter) roundTable() {
	if e.rounding.Base != nil {
		return
	}
	e.rounding = e.StaticGlobal("rounding")
	e.DataAttributes(attr.RODATA | attr.NOPTR)
	for i, v := range []uint32{0x7f800000, 1, 0x7fff, 0x400000, bitsNoSign, 0xffff0000, 0x10000} {
		for lane := range 8 {
			e.AddDatum(32*i+4*lane, operand.U32(v))
		}
	}
}

// narrow rounds the float32 in v to bfloat16 in the lower half of v.
func (e *emitter) narrow(v reg.VecPhysical, t ...reg.VecPhysical) {
	if e.bf16 {
		e.VCVTNEPS2BF16(v, v.AsY())
		return
	}
	e.roundBits(v, t...)
	e.VPSRLD(operand.U8(16), t[0], v)
	e.packWords(v, t[0])
}

// packWords moves the lower halves of all lanes to the lower half of v. The upper half of
// every lane must be zero. AVX2 overwrites t.
func (e *emitter) packWords(v, t reg.VecPhysical) {
	if e.wide() {
		e.VPMOVDW(v, v.AsY())
		return
	}
	e.VEXTRACTI128(operand.U8(1), v, t.AsX())
	e.VPACKUSDW(t.AsX(), v.AsX(), v.AsX())
}

// roundBits rounds every float32 to a bfloat16 in the upper half of the lanes of t[0]; the
// lower half is undefined. It adds one less than half a unit to the bits, and one more if
// the unit is odd.
func (e *emitter) roundBits(v reg.VecPhysical, t ...reg.VecPhysical) {
	e.roundTable()
	if !e.wide() {
		e.roundBitsAVX2(v, t[0], t[1])
		return
	}
	const denormal = operand.U8(0x20)
	e.VPTESTMD_BCST(e.rounding.Offset(roundUnit), v, reg.K3)
	e.VPADDD_BCST(e.rounding.Offset(roundBias), v, t[0])
	e.VPADDD_BCST(e.rounding.Offset(roundOne), t[0], reg.K3, t[0])
	e.VCMPPS(unordered, v, v, reg.K3)
	e.VPORD_BCST(e.rounding.Offset(roundQuiet), v, reg.K3, t[0])
	e.VFPCLASSPSZ(denormal, v, reg.K3)
	e.VPANDD_BCST(e.rounding.Offset(roundSign), v, reg.K3, t[0])
}

// roundBitsAVX2 is roundBits with masks in vectors. It overwrites v.
func (e *emitter) roundBitsAVX2(v, t, u reg.VecPhysical) {
	e.VPXOR(u, u, u)
	e.VPAND(e.rounding.Offset(roundExponent), v, t)
	e.VPCMPEQD(u, t, t)
	e.VPSRLD(operand.U8(1), t, t)
	e.VPANDN(v, t, v) // all but the sign of zeros and denormals
	e.VPSRLD(operand.U8(16), v, u)
	e.VPAND(e.rounding.Offset(roundOne), u, u)
	e.VPADDD(e.rounding.Offset(roundBias), u, u)
	e.VCMPPS(unordered, v, v, t)
	e.VPANDN(u, t, u)
	e.VPADDD(u, v, v)
	e.VPAND(e.rounding.Offset(roundQuiet), t, t)
	e.VPOR(v, t, t)
}
