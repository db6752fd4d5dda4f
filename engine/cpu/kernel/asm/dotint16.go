package main

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dotInt16File writes the product kernels of 16-bit integers.
func dotInt16File(e *emitter) {
	products(e, "dotInt16", int16Pairs)
	p := &product{emitter: e, kind: int16Pairs}
	peak(e, "peakInt16", "multiply-adds of pairs", p.multiplyAdd)
}

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

// drainInt16 converts the sums to float32, multiplies them by the scales of their columns,
// adds c if acc is set, and writes them. Each vector is written as soon as it is ready:
// stores are the slowest part.
func (p *product) drainInt16() {
	scale := p.arg("scale")
	for v := range p.vectors {
		p.load(operand.Mem{Base: scale, Disp: v * p.bytes()}, p.bvec(v), p.last(v))
	}
	acc := p.arg("acc")
	p.TESTQ(acc, acc)
	p.JZ(operand.LabelRef("write"))
	p.walkC(func(m operand.Mem, r, v int) {
		p.scaleSum(r, v)
		p.load(m, p.avec(r), p.last(v))
		p.VADDPS(p.avec(r), p.acc(r, v), p.acc(r, v))
		p.store(p.acc(r, v), m, p.last(v))
	})
	p.JMP(operand.LabelRef("written"))
	p.Label("write")
	p.walkC(func(m operand.Mem, r, v int) {
		p.scaleSum(r, v)
		p.store(p.acc(r, v), m, p.last(v))
	})
	p.Label("written")
}

func (p *product) scaleSum(r, v int) {
	p.VCVTDQ2PS(p.acc(r, v), p.acc(r, v))
	p.VMULPS(p.bvec(v), p.acc(r, v), p.acc(r, v))
}

// element is the Go type of the elements of a and b.
func (k kind) element() string {
	return [...]string{floats: "float32", bf16Pairs: "uint16", int16Pairs: "int16"}[k]
}

// parameters returns the parameters of a product kernel.
func (p *product) parameters() string {
	var s strings.Builder
	element := p.kind.element()
	fmt.Fprintf(&s, "c *float32, a, b *%s, segs *int, nsegs, k, crs, ars", element)
	if p.kind == floats {
		s.WriteString(", aks, bks")
	}
	s.WriteString(", first, acc, blocks int")
	if p.kind == int16Pairs {
		s.WriteString(", scale *float32")
	}
	if p.ahead {
		fmt.Fprintf(&s, ", next *%s, pace int", element)
	}
	if p.masked {
		s.WriteString(", mask " + p.maskType())
	}
	return s.String()
}
