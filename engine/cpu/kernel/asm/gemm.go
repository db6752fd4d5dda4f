package main

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const cacheLine = 64

// width is a variant of the product kernel for a number of columns: two full vectors,
// two of which the second is masked, or one masked vector. ahead says that it prefetches
// the data of later calls.
type width struct {
	name    string
	vectors int
	masked  bool
	ahead   bool
}

// kind is the type of the elements of a product: float32, or pairs of bfloat16 or int16, or
// four bytes, all of which have the size of a float32.
type kind int

const (
	floats kind = iota
	bf16Pairs
	int16Pairs
	int8Quads
)

// drain is what a product of 8-bit integers does with its sums: it writes them as int32, or
// as 8 bits as an Epilogue says. Products of 16-bit integers write float32, or with asSums
// the sums themselves.
type drain int

const (
	toInt32 drain = iota
	toBytes
	asSums
)

// widthsOf returns the variants. All products of pairs prefetch, since one more
// instruction in two steps costs nothing.
func widthsOf(k kind) []width {
	pairs := k != floats
	all := []width{{"Full", 2, false, pairs}, {"Tail", 2, true, pairs}, {"OneVector", 1, true, pairs}}
	if pairs {
		return all
	}
	return append([]width{{"Ahead", 2, false, true}}, all...)
}

// gemmFile writes the product kernels, one for each row count and width, and the loop
// that measures the machine's peak.
func gemmFile(e *emitter) {
	products(e, "gemm", floats)
	peak(e, "peak", "multiply-adds", e.fma)
}

func products(e *emitter, name string, k kind) {
	for _, w := range widthsOf(k) {
		for rows := 1; rows <= e.rows; rows++ {
			(&product{emitter: e, width: w, kind: k, rows: rows}).write(name)
		}
	}
}

// product holds the registers of one product kernel.
//
// All rows of a are addressed from two pointers, row 0 and row 1, and the
// strides s, 3s and 5s times 1, 2, 4 and 8, so that a step in k costs two
// additions for a and one for b whatever the strides are.
//
// For pairs a step in k is a pair. The pairs of a row of a follow each other, and rows of b
// have the full width of a panel.
type product struct {
	*emitter
	width
	kind     kind
	drain    drain // of integers
	rows     int
	a0, a1   reg.GPVirtual
	s        [3]reg.GPVirtual // ars, 3*ars, 5*ars in bytes
	aks, bks reg.GPVirtual
	b        reg.GPVirtual

	next, pace reg.GPVirtual // the address to prefetch, and by how many bytes it advances at a step

	// With a table, the rows of a are at addresses of their own, at bytes on from those in
	// the table. See rounding.
	table, at reg.GPVirtual
}

func (p *product) acc(r, v int) reg.VecPhysical { return p.regs[r*p.vectors+v] }

func (p *product) bvec(v int) reg.VecPhysical { return p.regs[p.emitter.rows*2+v] }

// panelBytes returns the size of a step of a panel.
func (p *product) panelBytes() int {
	if p.kind == int8Quads {
		return p.quads * p.bytes()
	}
	return 2 * p.bytes()
}

// avec returns the register for row r of a; rows alternate between two registers where
// there are two.
func (p *product) avec(r int) reg.VecPhysical {
	i := p.emitter.rows*2 + 2
	if p.integers() && !p.vnni {
		return p.regs[i] // the other one is spareVec
	}
	if r%2 == 1 && (p.wide() || !p.masked || p.pairs()) {
		i++
	}
	return p.regs[i]
}

// pairs reports whether a step in k is a pair, or four bytes.
func (p *product) pairs() bool { return p.kind != floats }

// integers reports whether the elements are.
func (p *product) integers() bool { return p.kind == int16Pairs || p.kind == int8Quads }

// last reports whether vector v of this width is the masked one.
func (p *product) last(v int) bool { return p.masked && v == p.vectors-1 }

// row is the address of row r of a. With a table it needs a load, for which there is time
// enough: a step has one multiply-add a cycle, or two, but hardly any loads.
func (p *product) row(r int) operand.Mem {
	if p.table != nil {
		row := p.GP64()
		p.MOVQ(operand.Mem{Base: p.table, Disp: 8 * r}, row)
		return operand.Mem{Base: row, Index: p.at, Scale: 1}
	}
	base := p.a0
	switch r {
	case 7, 9, 11, 13:
		base, r = p.a1, r-1
	case 0:
		return operand.Mem{Base: base}
	}
	for i, f := range []int{1, 3, 5} {
		if q := r / f; r%f == 0 && (q == 1 || q == 2 || q == 4 || q == 8) {
			return operand.Mem{Base: base, Index: p.s[i], Scale: uint8(q)}
		}
	}
	panic(fmt.Sprintf("row %d has no address", r))
}

// steps adds n steps to every element of the block and advances.
func (p *product) steps(n int) {
	if p.pairs() {
		for i := range n {
			p.PREFETCHT1(operand.Mem{Base: p.next})
			p.ADDQ(p.pace, p.next)
			p.term(i)
		}
		p.advance(operand.U8(uint8(4*n)), operand.U32(uint32(n*p.panelBytes())))
		return
	}
	for range n {
		if p.ahead {
			p.PREFETCHT0(operand.Mem{Base: p.next})
			p.ADDQ(p.pace, p.next)
		}
		p.term(0)
		p.advance(p.aks, p.bks)
	}
}

// advance moves a and b forward by a number of bytes.
func (p *product) advance(a, b operand.Op) {
	if p.table != nil {
		p.ADDQ(a, p.at)
	} else {
		p.ADDQ(a, p.a0)
		if p.rows > 7 {
			p.ADDQ(a, p.a1)
		}
	}
	p.ADDQ(b, p.b)
}

// term adds the step that is the given number ahead of the current one; only pairs have
// a number other than 0.
func (p *product) term(ahead int) {
	if p.kind == int8Quads {
		p.quadTerm(ahead)
		return
	}
	for _, part := range p.parts() {
		for v := range p.vectors {
			p.loadB(part, operand.Mem{Base: p.b, Disp: (2*ahead + v) * p.bytes()}, v)
		}
		for r := range p.rows {
			m := p.row(r).Offset(4 * ahead)
			// With one vector a broadcast is used by a single multiply-add and is
			// cheaper inside it: 0.99 of peak on Zen 4, where a separate one has 0.72.
			if p.vectors == 1 && p.wide() && part == bothWords && p.broadcasts() {
				p.multiplyAddBroadcast(m, p.bvec(0), p.acc(r, 0))
				continue
			}
			a := p.avec(r)
			p.loadA(part, m, a)
			for v := range p.vectors {
				p.multiplyAdd(a, p.bvec(v), p.acc(r, v))
			}
		}
	}
}

// maskParam loads the mask from its parameter: a bit set for AVX-512, the
// address of eight int32 for AVX2.
func (p *product) maskParam() {
	if p.wide() {
		p.KMOVW(p.addr("mask"), reg.K1)
		return
	}
	p.VMOVUPS(operand.Mem{Base: p.arg("mask")}, p.maskReg())
}

// maskType is the Go type of that parameter.
func (p *product) maskType() string {
	if p.wide() {
		return "uint16"
	}
	return "*int32"
}

// walkC visits the vectors of the block of c row by row.
func (p *product) walkC(visit func(m operand.Mem, r, v int)) {
	c, crs := p.arg("c"), p.arg("crs")
	p.SHLQ(operand.U8(2), crs)
	for r := range p.rows {
		for v := range p.vectors {
			visit(operand.Mem{Base: c, Disp: v * p.bytes()}, r, v)
		}
		if r < p.rows-1 {
			p.ADDQ(crs, c)
		}
	}
}

// begin sets the accumulators to c or to zero. In the latter case it prefetches c, since
// writing it at the end waits for its cache lines. With rows far apart, that wait was a
// tenth of the time of entire networks.
func (p *product) begin() {
	if p.kind != int16Pairs { // which adds c at the end
		acc := p.arg("acc")
		p.TESTQ(acc, acc)
		p.JZ(operand.LabelRef("clear"))
		p.walkC(func(m operand.Mem, r, v int) { p.load(m, p.acc(r, v), p.last(v)) })
		p.JMP(operand.LabelRef("begun"))
		p.Label("clear")
	}
	p.walkC(func(m operand.Mem, r, v int) {
		if m.Disp%cacheLine == 0 {
			p.PREFETCHT0(m)
		}
	})
	p.zeroSums()
	p.Label("begun")
}

func (p *product) zeroSums() {
	for r := range p.rows {
		for v := range p.vectors {
			p.zero(p.acc(r, v))
		}
	}
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
		s.WriteString(", scale *float32" + p.rowScale())
	}
	if p.ahead {
		fmt.Fprintf(&s, ", next *%s, pace int", element)
	}
	if p.masked {
		s.WriteString(", mask " + p.maskType())
	}
	return s.String()
}

// shift returns the binary logarithm of the size of an element of a and b.
func (p *product) shift() uint8 {
	return [...]uint8{floats: 2, bf16Pairs: 1, int16Pairs: 1, int8Quads: 0}[p.kind]
}

// strides loads the strides, in bytes, which all segments share.
func (p *product) strides() {
	p.s[0] = p.arg("ars")
	p.SHLQ(operand.U8(p.shift()), p.s[0])
	if !p.pairs() {
		p.aks, p.bks = p.arg("aks"), p.arg("bks")
		p.SHLQ(operand.U8(2), p.aks)
		p.SHLQ(operand.U8(2), p.bks)
	}
	if p.rows > 3 {
		p.s[1] = p.GP64()
		p.LEAQ(operand.Mem{Base: p.s[0], Index: p.s[0], Scale: 2}, p.s[1])
	}
	if p.rows > 5 {
		p.s[2] = p.GP64()
		p.LEAQ(operand.Mem{Base: p.s[0], Index: p.s[0], Scale: 4}, p.s[2])
	}
	if p.ahead {
		p.next, p.pace = p.arg("next"), p.arg("pace")
	}
	p.a0, p.a1, p.b = p.GP64(), p.GP64(), p.GP64()
}

// bases loads the addresses to which the offsets of segments are added: the first row of
// a, and b.
func (p *product) bases() (a, b reg.GPVirtual) {
	a, b = p.arg("a"), p.arg("b")
	first := p.arg("first")
	p.LEAQ(operand.Mem{Base: a, Index: first, Scale: 1 << p.shift()}, a)
	return a, b
}

// segment points a and b to a segment. It is short because with k = 1, as in the first
// convolution of grey images, there are nearly as many segments as terms.
func (p *product) segment(seg, a, b reg.GPVirtual) {
	p.MOVQ(operand.Mem{Base: seg}, p.a0)
	p.MOVQ(operand.Mem{Base: seg, Disp: 8}, p.b)
	p.LEAQ(operand.Mem{Base: a, Index: p.a0, Scale: 1 << p.shift()}, p.a0)
	p.LEAQ(operand.Mem{Base: b, Index: p.b, Scale: 1 << p.shift()}, p.b)
	if p.rows > 7 {
		p.LEAQ(operand.Mem{Base: p.a0, Index: p.s[0], Scale: 1}, p.a1)
	}
}

// write writes the kernel.
func (p *product) write(name string) {
	p.function(fmt.Sprintf("%s%s%d", name, p.name, p.rows),
		fmt.Sprintf("computes blocks of %d rows of a product, %d vectors wide.", p.rows, p.vectors), p.parameters())
	p.partMask()
	p.strides()
	p.Label("block")
	if p.masked {
		p.maskParam()
	}
	p.begin()
	p.sum()
	if p.masked && p.pairs() && !p.wide() {
		p.maskParam() // the sums needed its register
	}
	if p.kind == int16Pairs {
		p.drainInt16()
	} else {
		p.walkC(func(m operand.Mem, r, v int) { p.store(p.acc(r, v), m, p.last(v)) })
	}
	p.again("block")
	p.done()
}

// sum adds the terms of all segments.
func (p *product) sum() {
	a, b := p.bases()
	seg, nsegs, k := p.arg("segs"), p.arg("nsegs"), p.GP64()

	p.Label("segment")
	p.segment(seg, a, b)
	p.Load(p.Param("k"), k)
	if p.kind == int8Quads && !p.vnni { // whose steps are long
		p.Label("step")
		p.steps(1)
		p.DECQ(k)
		p.JNZ(operand.LabelRef("step"))
	} else {
		p.stepsByTwo(k)
	}
	p.ADDQ(operand.U8(16), seg)
	p.DECQ(nsegs)
	p.JNZ(operand.LabelRef("segment"))
}

// stepsByTwo adds k steps.
func (p *product) stepsByTwo(k reg.GPVirtual) {
	p.SUBQ(operand.U8(2), k)
	p.JLT(operand.LabelRef("last"))
	p.Label("pair")
	p.steps(2)
	p.SUBQ(operand.U8(2), k)
	p.JGE(operand.LabelRef("pair"))
	p.CMPQ(k, operand.I8(-2))
	p.JE(operand.LabelRef("next"))
	p.Label("last")
	p.term(0)
	p.Label("next")
}

// again continues with the next block, if there is one, by moving the parameters to its
// rows. Doing this here and not in Go saves a fifth of the time if k is 16.
func (p *product) again(block string) {
	blocks := p.arg("blocks")
	p.DECQ(blocks)
	p.JZ(operand.LabelRef("end"))
	p.MOVQ(blocks, p.addr("blocks"))
	first, c := p.arg("ars"), p.arg("crs")
	p.IMUL3Q(operand.U8(uint8(p.rows)), first, first)
	p.ADDQ(first, p.addr("first"))
	if p.drain == toBytes {
		p.IMUL3Q(operand.U8(uint8(p.rows)), c, c)
		res := p.arg("res")
		p.unless("noResidual", res, func() { p.ADDQ(c, p.addr("res")) })
	} else {
		p.IMUL3Q(operand.U8(uint8(4*p.rows)), c, c)
	}
	p.ADDQ(c, p.addr("c"))
	if p.kind == int16Pairs && p.vnni && p.drain != asSums {
		p.unless("noRowScale", p.arg("rowScale"), func() { p.ADDQ(operand.U8(uint8(4*p.rows)), p.addr("rowScale")) })
	}
	p.JMP(operand.LabelRef(block))
	p.Label("end")
}

// peak writes the loop of multiply-adds that uses only registers.
func peak(e *emitter, name, what string, multiplyAdd func(a, b, acc reg.VecPhysical)) {
	const steps = 2
	n := len(e.regs) - 4
	e.function(name, fmt.Sprintf("does %d vector %s an iteration.", steps*n, what), "iterations int")
	count := e.arg("iterations")
	for _, r := range e.regs {
		e.zero(r)
	}
	e.Label("loop")
	for range steps {
		for i := range n {
			multiplyAdd(e.regs[n], e.regs[n+1], e.regs[i])
		}
	}
	e.DECQ(count)
	e.JNZ(operand.LabelRef("loop"))
	e.done()
}
