package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A vector of bfloat16 becomes two vectors of float32 by a shift, which gives the even
// elements, and a mask, which gives the odd ones. These are half the instructions of
// widening the two halves of the vector. A chunk of vectors in this order is called woven,
// and so are its columns.

// weaving has the constants that woven chunks need.
type weaving struct {
	table operand.Mem     // AVX-512: the permutations below
	upper reg.VecPhysical // AVX-512: selects the odd elements
	words reg.VecPhysical // AVX512_BF16: puts the words of two vectors in turn
}

// The offsets of the permutations of two vectors of 16 float32, and of two halves of 16
// words.
const (
	weaveEven = iota * 64
	weaveOdd
	weaveLow
	weaveHigh
	weaveWords
)

// weaveTable writes these permutations.
func (e *sweep) weaveTable() {
	if !e.wide() {
		return
	}
	e.weaving.table = e.StaticGlobal("weaves")
	e.DataAttributes(attr.RODATA | attr.NOPTR)
	for n, order := range []func(i int) int{
		func(i int) int { return 2 * i },
		func(i int) int { return 2*i + 1 },
		func(i int) int { return i/2 + 16*(i%2) },
		func(i int) int { return 8 + i/2 + 16*(i%2) },
		func(i int) int { return i | (32+i)<<16 }, // of two words
	} {
		for i := range 16 {
			e.AddDatum(64*n+4*i, operand.U32(order(i)))
		}
	}
}

// begin returns the vectors that are free, after setting those that weaving needs.
func (e *sweep) begin() *registers {
	free := &registers{e: e.emitter}
	if !e.onBF16 || !e.wide() {
		return free
	}
	e.weaving.upper = free.one()
	e.constant(0xffff0000, e.weaving.upper)
	if e.bf16 {
		e.weaving.words = free.one()
		e.VMOVUPS(e.weaving.table.Offset(weaveWords), e.weaving.words)
	}
	return free
}

// loadWoven reads the even or the odd elements of a vector of bfloat16.
func (e *sweep) loadWoven(m operand.Mem, odd bool, v reg.VecPhysical) {
	switch {
	case odd && e.wide():
		e.VPANDD(m, e.weaving.upper, v)
	case odd:
		e.roundTable()
		e.VMOVUPS(m, v)
		e.VANDPS(e.rounding.Offset(roundUpper), v, v)
	case e.wide():
		e.VPSLLD(operand.U8(16), m, v)
	default:
		e.VMOVUPS(m, v)
		e.VPSLLD(operand.U8(16), v, v)
	}
}

// storeWoven rounds and writes even and odd elements. It overwrites the same registers as
// storeBF16.
func (e *sweep) storeWoven(even, odd reg.VecPhysical, m operand.Mem, t ...reg.VecPhysical) {
	if e.bf16 {
		e.VCVTNEPS2BF16(even, even.AsY())
		e.VCVTNEPS2BF16(odd, odd.AsY())
		e.VPERMT2W(odd, e.weaving.words, even)
		e.VMOVUPS(even, m)
		return
	}
	e.roundBits(even, t...)
	e.VPSRLD(operand.U8(16), t[0], even)
	e.roundBits(odd, t...)
	if e.wide() {
		const orAnd = operand.U8(0xf8) // even | t & upper
		e.VPTERNLOGD(orAnd, e.weaving.upper, t[0], even)
	} else {
		e.VPBLENDW(operand.U8(0xaa), t[0], even, even)
	}
	e.VMOVUPS(even, m)
}

// splitColumns reads two vectors of float32 into woven order. It overwrites t.
func (e *sweep) splitColumns(first, second operand.Mem, even, odd, t reg.VecPhysical) {
	e.VMOVUPS(first, t)
	if e.wide() {
		e.VMOVUPS(e.weaving.table.Offset(weaveEven), even)
		e.VPERMI2PS(second, t, even)
		e.VMOVUPS(e.weaving.table.Offset(weaveOdd), odd)
		e.VPERMI2PS(second, t, odd)
		return
	}
	e.VSHUFPS(operand.U8(0x88), second, t, even)
	e.VSHUFPS(operand.U8(0xdd), second, t, odd)
	e.VPERMPD(operand.U8(0xd8), even, even)
	e.VPERMPD(operand.U8(0xd8), odd, odd)
}

// joinColumns is the inverse of splitColumns: it writes woven vectors in memory order.
func (e *sweep) joinColumns(even, odd reg.VecPhysical, first, second operand.Mem, t reg.VecPhysical) {
	if e.wide() {
		e.VMOVUPS(e.weaving.table.Offset(weaveLow), t)
		e.VPERMI2PS(odd, even, t)
		e.VMOVUPS(t, first)
		e.VMOVUPS(e.weaving.table.Offset(weaveHigh), t)
		e.VPERMI2PS(odd, even, t)
		e.VMOVUPS(t, second)
		return
	}
	e.VUNPCKLPS(odd, even, t)
	e.VMOVUPS(t.AsX(), first)
	e.VEXTRACTF128(operand.U8(1), t, second)
	e.VUNPCKHPS(odd, even, t)
	e.VMOVUPS(t.AsX(), first.Offset(16))
	e.VEXTRACTF128(operand.U8(1), t, second.Offset(16))
}
