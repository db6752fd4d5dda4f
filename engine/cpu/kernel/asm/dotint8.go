package main

import (
	"fmt"
	"strings"

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

// drain is what a product of 8-bit integers does with its sums: it writes them as int32, or
// as 8 bits as an Epilogue says.
type drain int

const (
	toInt32 drain = iota
	toBytes
)

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

// quadWidths returns the variants for a number of columns. Panels have the width of the
// first.
func quadWidths(i isa) []width {
	if i.wide() {
		return []width{{"Four", 4, false, true}, {"FourTail", 4, true, true}, {"Three", 3, true, true},
			{"Two", 2, false, true}, {"TwoTail", 2, true, true}, {"One", 1, true, true}}
	}
	return []width{{"Two", 2, false, true}, {"TwoTail", 2, true, true}, {"One", 1, true, true}}
}

// quadRows returns the most rows of a block of that width.
func quadRows(i isa, w width) int { return min(i.rows, 2*i.rows/w.vectors) }

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

// beginBytes clears the sums and prefetches the rows that will be written, and those of
// the residual.
func (p *product) beginBytes() {
	y, res, ld := p.arg("c"), p.arg("res"), p.arg("crs")
	p.zeroSums()
	for r := range p.rows {
		p.PREFETCHT0(operand.Mem{Base: y})
		p.PREFETCHT0(operand.Mem{Base: res}) // harmless if there is none
		if r < p.rows-1 {
			p.ADDQ(ld, y)
			p.ADDQ(ld, res)
		}
	}
}

// drainBytes makes 8 bits of the sums, as Epilogue defines.
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
			p.VMULPS(s, x, x)
			p.VADDPS(t, x, x)
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
				p.VMULPS(limit, x, x)
				p.VADDPS(x, p.acc(r, v), p.acc(r, v))
			}
			if r < p.rows-1 {
				p.ADDQ(ld, res)
			}
		}
	})
	p.constant(bits255, limit)
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
			p.VMINPS(limit, p.acc(r, v), p.acc(r, v))
			p.VCVTPS2DQ(p.acc(r, v), p.acc(r, v))
		}
		if full {
			p.packBytes(p.acc(r, 0), p.acc(r, 1), p.acc(r, 2), p.acc(r, 3), s, t)
			p.VMOVDQU32(p.acc(r, 0), operand.Mem{Base: y})
		} else {
			for v := range p.vectors {
				p.VPMAXSD(s, p.acc(r, v), p.acc(r, v))
				p.storeBytes(p.acc(r, v), operand.Mem{Base: y, Disp: v * p.lanes}, p.last(v), nil)
			}
		}
		if r < p.rows-1 {
			p.ADDQ(ld, y)
		}
	}
}

// bits255 is the largest result of 8 bits, as float32.
const bits255 = 0x437f0000

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

// quadSwitch returns the Go functions that call the product kernels by row count.
func quadSwitch(isa isa) string {
	var s strings.Builder
	for _, d := range drainsOf(isa) {
		for _, w := range quadWidths(isa) {
			param, arg := "", ""
			if w.masked {
				param, arg = ", mask "+(&product{emitter: &emitter{isa: isa}}).maskType(), ", mask"
			}
			fmt.Fprintf(&s, "\n// %[1]s%[2]s%[3]s calls the kernel of p.rows rows.\nfunc %[1]s%[2]s%[3]s(p *quadBlock%[4]s) {\n\tswitch p.rows {\n", d.name(), w.name, isa.suffix, param)
			for rows := 1; rows <= quadRows(isa, w); rows++ {
				c, after := "p.sums", "p.acc, p.blocks"
				if d == toBytes {
					c, after = "p.bytes", "p.blocks, p.scale, p.shift, p.res, p.resScale, p.least"
				}
				fmt.Fprintf(&s, "\tcase %d:\n\t\t%s%s%d%s(%s, p.a, p.weights, p.segs, p.nsegs, p.k, p.crs, p.ars, p.first, %s, p.next, p.pace%s)\n",
					rows, d.name(), w.name, rows, isa.suffix, c, after, arg)
			}
			s.WriteString("\t}\n}\n")
		}
	}
	return s.String()
}
