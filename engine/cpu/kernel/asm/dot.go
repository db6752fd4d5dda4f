package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dotFile writes the product kernels of bfloat16.
func dotFile(e *emitter) {
	products(e, "dot", bf16Pairs)
	if e.bf16 {
		peak(e, "peakDotAll", "multiply-adds of pairs", func(a, b, acc reg.VecPhysical) { e.VDPBF16PS(a, b, acc) })
	}
}

// part is the part of a step that one multiply-add computes: a pair of bfloat16 where an
// instruction multiplies pairs, otherwise the second and then the first word of a pair.
type part int

const (
	bothWords part = iota
	second
	first
)

func (p *product) parts() []part {
	if p.kind == bf16Pairs && !p.bf16 {
		return []part{second, first}
	}
	return []part{bothWords}
}

// partMask sets K2 to the second words of pairs. These are bfloat16 in the upper half of
// the lanes, so masking alone makes them float32.
func (p *product) partMask() {
	if p.kind == bf16Pairs && !p.bf16 && p.wide() {
		bits := p.GP32()
		p.MOVL(operand.U32(0xaaaaaaaa), bits)
		p.KMOVD(bits, reg.K2)
	}
}

// loadB reads a vector of a row of b.
func (p *product) loadB(part part, m operand.Mem, v int) {
	b := p.bvec(v)
	switch {
	case part == bothWords:
		p.load(m, b, p.last(v) && !p.pairs())
	case part == second && p.wide():
		p.VMOVDQU16_Z(m, reg.K2, b)
	case part == second:
		p.roundTable()
		p.VMOVUPS(m, b)
		p.VANDPS(p.rounding.Offset(roundUpper), b, b)
	case p.wide():
		p.VPSLLD(operand.U8(16), m, b)
	default:
		p.VMOVDQU(m, b)
		p.VPSLLD(operand.U8(16), b, b)
	}
}

// loadA fills a vector with a part of a pair of a.
func (p *product) loadA(part part, m operand.Mem, a reg.VecPhysical) {
	switch {
	case part == bothWords:
		p.VBROADCASTSS(m, a)
	case p.wide():
		if part == second {
			m = m.Offset(2)
		}
		p.VPBROADCASTW_Z(m, reg.K2, a)
	case part == second:
		p.VBROADCASTSS(m, a)
		p.VANDPS(p.rounding.Offset(roundUpper), a, a)
	default:
		p.VPBROADCASTD(m, a)
		p.VPSLLD(operand.U8(16), a, a)
	}
}

// multiplyAdd adds the products of a and b; of a pair the second comes first.
func (p *product) multiplyAdd(a, b, acc reg.VecPhysical) {
	switch {
	case p.kind == int16Pairs:
		p.multiplyAddInt16(a, b, acc)
	case p.kind == bf16Pairs && p.bf16:
		p.VDPBF16PS(a, b, acc)
	default:
		p.fma(a, b, acc)
	}
}

// multiplyAddBroadcast is multiplyAdd with one element, or pair, of a for all lanes.
func (p *product) multiplyAddBroadcast(a operand.Mem, b, acc reg.VecPhysical) {
	switch p.kind {
	case int16Pairs:
		p.addVNNI(dotWords, true, a, b, acc)
	case bf16Pairs:
		p.VDPBF16PS_BCST(a, b, acc)
	default:
		p.VFMADD231PS_BCST(a, b, acc)
	}
}

// broadcasts reports whether multiplyAddBroadcast exists; words cannot be broadcast by the
// instruction that multiplies them.
func (p *product) broadcasts() bool { return p.kind != int16Pairs || p.vnni }

func (e *emitter) fma(a, b, acc reg.VecPhysical) { e.VFMADD231PS(a, b, acc) }
