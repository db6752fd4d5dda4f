package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dotInt8File writes the product kernels of 8-bit integers.
func dotInt8File(e *emitter) {
	if e.vnni {
		e.gatherTable()
	}
	for _, d := range drainsOf(e.isa) {
		for _, w := range quadWidths(e.isa) {
			for rows := 1; rows <= quadRows(e.isa, w); rows++ {
				(&product{emitter: e, width: w, kind: int8Quads, rows: rows, drain: d}).writeQuads()
			}
		}
	}
	p := &product{emitter: e, kind: int8Quads}
	peak(e, "peakInt8", "multiply-adds of four bytes", func(a, b, acc reg.VecPhysical) {
		if e.vnni {
			p.addVNNI(dotBytes, false, a, b, acc)
			return
		}
		for range 2 {
			p.VPMADDWD(a, b, p.spareVec())
			p.VPADDD(p.spareVec(), acc, acc)
		}
	})
}

// name is how the names of kernels with that drain begin.
func (d drain) name() string { return [...]string{toInt32: "dotInt8", toBytes: "dotBytes"}[d] }

// drainsOf lists the drains that an instruction set has. Those that multiply by several
// instructions have only the plain one.
func drainsOf(i isa) []drain {
	if i.vnni {
		return []drain{toInt32, toBytes}
	}
	return []drain{toInt32}
}

// quadWidths returns the variants for a number of columns. The first has the width of a
// panel.
func quadWidths(i isa) []width {
	if i.wide() {
		return []width{{"Four", 4, false, true}, {"FourTail", 4, true, true}, {"Three", 3, true, true},
			{"Two", 2, false, true}, {"TwoTail", 2, true, true}, {"One", 1, true, true}}
	}
	return []width{{"Two", 2, false, true}, {"TwoTail", 2, true, true}, {"One", 1, true, true}}
}

// quadRows returns the most rows of a block of that width.
func quadRows(i isa, w width) int { return min(i.rows, 2*i.rows/w.vectors) }

// quadParameters returns the parameters of a product kernel.
func (p *product) quadParameters() string {
	s := "c *int32, a *uint8, b *int8, segs *int, nsegs, k, crs, ars, first, acc, blocks int"
	if p.drain == toBytes {
		s = "c *uint8, a *uint8, b *int8, segs *int, nsegs, k, crs, ars, first, blocks int, scale, shift *float32, res *uint8, resScale float32, least uint32"
	}
	s += ", next *uint8, pace int"
	if p.masked {
		s += ", mask " + p.maskType()
	}
	return s
}

// writeQuads writes the kernel.
func (p *product) writeQuads() {
	p.function(fmt.Sprintf("%s%s%d", p.drain.name(), p.name, p.rows),
		fmt.Sprintf("computes blocks of %d rows of a product, %d vectors wide.", p.rows, p.vectors), p.quadParameters())
	p.strides()
	if p.drain == toBytes {
		p.prefetchRows(p.arg("c"), p.arg("res"), p.arg("crs"))
	}
	p.Label("block")
	if p.masked {
		p.maskParam()
	}
	if p.drain == toBytes {
		p.beginBytes()
	} else {
		p.begin()
	}
	p.sum()
	if p.masked && !p.wide() {
		p.maskParam() // the sums needed its register
	}
	if p.drain == toBytes {
		p.drainBytes()
	} else {
		p.walkC(func(m operand.Mem, r, v int) { p.store(p.acc(r, v), m, p.last(v)) })
	}
	p.again("block")
	p.done()
}

// beginBytes clears the sums and prefetches the rows that the next block will write, and those
// of the residual. While one block is computed, memory may be too slow.
func (p *product) beginBytes() {
	y, res, ld := p.arg("c"), p.arg("res"), p.arg("crs")
	p.zeroSums()
	rows := p.GP64()
	p.IMUL3Q(operand.U8(uint8(p.rows)), ld, rows)
	p.ADDQ(rows, y)
	p.ADDQ(rows, res)
	p.prefetchRows(y, res, ld)
}

// prefetchRows prefetches a block's rows of the result and of the residual. Prefetching where
// there is no memory does nothing.
func (p *product) prefetchRows(y, res, ld reg.GPVirtual) {
	for r := range p.rows {
		p.PREFETCHT0(operand.Mem{Base: y})
		p.PREFETCHT0(operand.Mem{Base: res})
		if r < p.rows-1 {
			p.ADDQ(ld, y)
			p.ADDQ(ld, res)
		}
	}
}

// drainBytes makes 8 bits of the sums, as Epilogue defines where it is Bounded: storing limits
// the integers to 255.
func (p *product) drainBytes() {
	n := len(p.regs)
	s, t, u, limit := p.regs[n-4], p.regs[n-3], p.regs[n-2], p.regs[n-1]
	scale, shift := p.arg("scale"), p.arg("shift")
	for v := range p.vectors {
		p.load(operand.Mem{Base: scale, Disp: v * p.bytes()}, s, p.last(v))
		p.load(operand.Mem{Base: shift, Disp: v * p.bytes()}, t, p.last(v))
		for r := range p.rows {
			x := p.acc(r, v)
			p.VCVTDQ2PS(x, x)
			p.VFMADD213PS(t, s, x)
		}
	}
	res, ld := p.arg("res"), p.arg("crs")
	p.unless("alone", res, func() {
		p.VBROADCASTSS(p.addr("resScale"), limit)
		for r := range p.rows {
			for v := range p.vectors {
				x := []reg.VecPhysical{s, t, u}[(r*p.vectors+v)%3]
				p.loadBytes(operand.Mem{Base: res, Disp: v * p.lanes}, x, p.last(v))
				p.VCVTDQ2PS(x, x)
				p.VFMADD231PS(limit, x, p.acc(r, v))
			}
			if r < p.rows-1 {
				p.ADDQ(ld, res)
			}
		}
	})
	p.VBROADCASTSS(p.addr("least"), s)
	full := p.vectors == 4 && !p.masked
	if full {
		p.VMOVDQU32(p.gather, t)
		p.zero(u)
		p.VPSHUFB(u, s, s) // its lowest byte everywhere
	}
	y := p.arg("c")
	for r := range p.rows {
		for v := range p.vectors {
			p.VCVTPS2DQ(p.acc(r, v), p.acc(r, v))
		}
		if full {
			p.packBytes(p.acc(r, 0), p.acc(r, 1), p.acc(r, 2), p.acc(r, 3), s, t)
			p.VMOVDQU32(p.acc(r, 0), operand.Mem{Base: y})
		} else {
			for v := range p.vectors {
				p.VPMAXSD(s, p.acc(r, v), p.acc(r, v))
				if m := (operand.Mem{Base: y, Disp: v * p.lanes}); p.last(v) {
					p.VPMOVUSDB(p.acc(r, v), reg.K1, m)
				} else {
					p.VPMOVUSDB(p.acc(r, v), m)
				}
			}
		}
		if r < p.rows-1 {
			p.ADDQ(ld, y)
		}
	}
}

// packBytes puts the lanes of four vectors as bytes, limited to 0..255 and to at least
// those of least, into the first. Packing works within 128 bits, so that groups of four
// columns must be gathered afterwards, in the order of gatherTable.
func (e *emitter) packBytes(v0, v1, v2, v3, least, order reg.VecPhysical) {
	e.VPACKSSDW(v1, v0, v0)
	e.VPACKSSDW(v3, v2, v2)
	e.VPACKUSWB(v2, v0, v0)
	e.VPERMD(v0, order, v0)
	e.VPMAXUB(least, v0, v0)
}

// gatherTable writes that order.
func (e *emitter) gatherTable() {
	e.gather = e.StaticGlobal("gather")
	e.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 16 {
		e.AddDatum(4*i, operand.U32(uint32(i%4*4+i/4)))
	}
}
