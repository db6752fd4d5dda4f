package main

import (
	"github.com/mmcloughlin/avo/ir"
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

// dotInt16File writes the product kernels of 16-bit integers.
func dotInt16File(e *emitter) {
	products(e, "dotInt16", int16Pairs)
	p := &product{emitter: e, kind: int16Pairs}
	peak(e, "peakInt16", "multiply-adds of pairs", p.multiplyAdd)
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

// The instructions of AVX512_VNNI, which avo does not know; Go's assembler does.
const (
	dotWords = "VPDPWSSD" // adds to every int32 the products of two int16 with two
	dotBytes = "VPDPBUSD" // adds to every int32 the products of four uint8 with four int8
)

// addVNNI adds an instruction of AVX512_VNNI, with one int32 of memory for all lanes if
// broadcast is set. The unsigned bytes are those of b.
func (e *emitter) addVNNI(opcode string, broadcast bool, a operand.Op, b, acc reg.VecPhysical) {
	var suffixes []string
	if broadcast {
		suffixes = []string{bcst}
	}
	operands := []operand.Op{a, b, acc}
	e.Instruction(&ir.Instruction{Opcode: opcode, Suffixes: suffixes, Operands: operands,
		Inputs: operands, Outputs: []operand.Op{acc}, ISA: []string{"AVX512_VNNI"}})
}

// spareVec returns a vector that products of integers may use between multiplying and
// adding, where these are two instructions.
func (p *product) spareVec() reg.VecPhysical { return p.regs[len(p.regs)-1] }

// multiplyAddInt16 adds the products of pairs. Without VNNI the sum of a pair's products
// is a separate step. It would wrap around only for -32768 in all four places.
func (p *product) multiplyAddInt16(a, b, acc reg.VecPhysical) {
	if p.vnni {
		p.addVNNI(dotWords, false, a, b, acc)
		return
	}
	p.VPMADDWD(a, b, p.spareVec())
	p.VPADDD(p.spareVec(), acc, acc)
}

// The shifts that leave of every word a byte as a word: the even or the odd bytes, of
// which a is unsigned and b signed.
func (p *product) bytesAsWords(m operand.Mem, v reg.VecPhysical, odd, signed, broadcast bool) {
	var from operand.Op = m
	switch {
	case broadcast:
		p.VPBROADCASTD(m, v)
		from = v
	case !p.wide():
		p.VMOVDQU(m, v)
		from = v
	}
	if !odd {
		p.VPSLLW(operand.U8(8), from, v)
		from = v
	}
	if signed {
		p.VPSRAW(operand.U8(8), from, v)
	} else {
		p.VPSRLW(operand.U8(8), from, v)
	}
}

// quadTerm adds the step that is the given number ahead. Two vectors of b are in registers
// at a time. Without VNNI the even and the odd bytes are multiplied as words, which is
// exact.
func (p *product) quadTerm(ahead int) {
	parts := []part{bothWords}
	if !p.vnni {
		parts = []part{first, second}
	}
	for _, part := range parts {
		for from := 0; from < p.vectors; from += 2 {
			vectors := min(2, p.vectors-from)
			for v := range vectors {
				m := operand.Mem{Base: p.b, Disp: ahead*p.panelBytes() + (from+v)*p.bytes()}
				if p.vnni {
					p.load(m, p.bvec(v), false)
				} else {
					p.bytesAsWords(m, p.bvec(v), part == second, true, false)
				}
			}
			for r := range p.rows {
				m, a := p.row(r).Offset(4*ahead), p.avec(r)
				if p.vnni {
					p.VPBROADCASTD(m, a)
				} else {
					p.bytesAsWords(m, a, part == second, false, true)
				}
				for v := range vectors {
					p.multiplyAddQuads(a, p.bvec(v), p.acc(r, from+v))
				}
			}
		}
	}
}

func (p *product) multiplyAddQuads(a, b, acc reg.VecPhysical) {
	if p.vnni {
		p.addVNNI(dotBytes, false, b, a, acc)
		return
	}
	p.VPMADDWD(a, b, p.spareVec())
	p.VPADDD(p.spareVec(), acc, acc)
}
