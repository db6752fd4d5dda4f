package main

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// roundFile writes the product kernels of bfloat16 that finish their sums in registers.
func roundFile(e *emitter) {
	for _, k := range roundKernels(e.isa) {
		for rows := 1; rows <= e.rows; rows++ {
			p := &rounding{product: &product{emitter: e, width: k.width, kind: bf16Pairs, rows: rows}, byTable: k.byTable}
			p.write()
		}
	}
}

// roundKernel is a kind of these kernels.
type roundKernel struct {
	width
	byTable bool
}

// roundKernels returns the kinds. Sums of other widths go through memory.
func roundKernels(isa isa) []roundKernel {
	widths := widthsOf(bf16Pairs)
	full, oneVector := widths[0], widths[2]
	all := []roundKernel{{full, false}, {full, true}}
	if isa.bf16 {
		all = append(all, roundKernel{oneVector, false})
	}
	return all
}

// name is that of the functions, without the number of rows.
func (k roundKernel) name() string {
	if k.byTable {
		return "dotRows" + k.width.name
	}
	return "dotRound" + k.width.name
}

// rounding is a product kernel whose sums do not go to memory. It computes with them
// y = x*scale + shift + res and a ReLU, and rounds that.
//
// The rows of a lie a stride apart, or, with byTable, at the addresses in a table. This has a
// line of addresses for every segment, and the segments of b follow each other.
type rounding struct {
	*product
	byTable bool
}

func (p *rounding) args() string {
	args := "y, a, b *uint16, segs *int, nsegs, k, yrs, ars, first, blocks int, next *uint16, pace int, scale, shift *float32, res *uint16, floor float32"
	if p.byTable {
		args = "y *uint16, table **uint16, b *uint16, nsegs, k, yrs, ld, at, blocks int, next *uint16, pace int, scale, shift *float32, res *uint16, floor float32"
	}
	if p.masked {
		args += ", mask uint16"
	}
	return args
}

// write writes the kernel.
func (p *rounding) write() {
	p.function(fmt.Sprintf("%s%d", roundKernel{p.width, p.byTable}.name(), p.rows),
		fmt.Sprintf("computes and rounds blocks of %d rows of a product, %d vectors wide.", p.rows, p.vectors), p.args())
	p.partMask()
	if p.byTable {
		p.next, p.pace = p.arg("next"), p.arg("pace")
		p.product.table, p.at, p.b = p.GP64(), p.GP64(), p.GP64()
	} else {
		p.strides()
	}
	p.Label("block")
	if p.masked {
		p.maskParam()
	}
	p.begin()
	if p.byTable {
		p.tableSegments()
	} else {
		p.segments()
	}
	p.drain()
	p.again()
	p.done()
}

// begin clears the sums and prefetches the rows of y and of res, since waiting for them at
// the end of a block was a tenth of the time of entire networks.
func (p *rounding) begin() {
	y, yrs, res := p.arg("y"), p.arg("yrs"), p.arg("res")
	p.SHLQ(operand.U8(1), yrs)
	p.walk(y, yrs, func(int) { p.PREFETCHT0(operand.Mem{Base: y}) })
	p.unless("noResidualYet", res, func() {
		p.walk(res, yrs, func(int) { p.PREFETCHT0(operand.Mem{Base: res}) })
	})
	for r := range p.rows {
		for v := range p.vectors {
			p.zero(p.acc(r, v))
		}
	}
}

// walk calls visit for every row and advances a pointer from one row to the next.
func (p *rounding) walk(pointer, stride reg.GPVirtual, visit func(r int)) {
	for r := range p.rows {
		visit(r)
		if r < p.rows-1 {
			p.ADDQ(stride, pointer)
		}
	}
}

// segments sums all segments.
func (p *rounding) segments() {
	a, b := p.bases()
	seg, nsegs, k := p.arg("segs"), p.arg("nsegs"), p.GP64()
	p.Label("segment")
	p.segment(seg, a, b)
	p.sum(k)
	p.ADDQ(operand.U8(16), seg)
	p.DECQ(nsegs)
	p.JNZ(operand.LabelRef("segment"))
}

// tableSegments sums all segments whose rows are in the table.
func (p *rounding) tableSegments() {
	nsegs, ld, k := p.arg("nsegs"), p.arg("ld"), p.GP64()
	p.SHLQ(operand.U8(3), ld)
	p.MOVQ(p.addr("table"), p.product.table)
	p.MOVQ(p.addr("b"), p.b)
	p.Label("segment")
	p.MOVQ(p.addr("at"), p.at)
	p.SHLQ(operand.U8(1), p.at)
	p.sum(k)
	p.ADDQ(ld, p.product.table)
	p.DECQ(nsegs)
	p.JNZ(operand.LabelRef("segment"))
}

// sum adds the k terms of a segment, in steps of two. Of an odd number the last has a pair of
// its own.
func (p *rounding) sum(k reg.GPVirtual) {
	p.Load(p.Param("k"), k)
	p.SUBQ(operand.U8(4), k)
	p.JLT(operand.LabelRef("last"))
	p.Label("pair")
	p.steps(2)
	p.SUBQ(operand.U8(4), k)
	p.JGE(operand.LabelRef("pair"))
	p.Label("last")
	p.ADDQ(operand.U8(4), k)
	p.JZ(operand.LabelRef("next"))
	if p.byTable {
		p.steps(1)
	} else {
		p.CMPQ(k, operand.U8(2))
		p.JLT(operand.LabelRef("single"))
		p.term(0)
		p.JE(operand.LabelRef("next"))
		p.advance(operand.U8(4), operand.U32(uint32(2*p.bytes())))
		p.Label("single")
		p.single()
	}
	p.Label("next")
}

// single adds a last term without a pair, whose second factors are zero in b and not read
// in a.
func (p *rounding) single() {
	for v := range p.vectors {
		p.loadB(p.firstPart(), operand.Mem{Base: p.b, Disp: v * p.bytes()}, v)
	}
	even := p.GP32()
	if p.bf16 {
		p.MOVL(operand.U32(0x55555555), even)
		p.KMOVD(even, reg.K3)
	}
	for r := range p.rows {
		a := p.avec(r)
		switch {
		case p.bf16:
			p.VPBROADCASTW_Z(p.row(r), reg.K3, a)
		case p.wide():
			p.VPBROADCASTW_Z(p.row(r), reg.K2, a)
		default:
			p.VPBROADCASTW(p.row(r), a)
			p.VPSLLD(operand.U8(16), a, a)
		}
		for v := range p.vectors {
			p.multiplyAdd(a, p.bvec(v), p.acc(r, v))
		}
	}
}

// firstPart is the part of a step that has the first word of a pair.
func (p *rounding) firstPart() part {
	if p.bf16 {
		return bothWords
	}
	return first
}

// drain finishes the sums and writes them. The registers of a and b are free by now.
func (p *rounding) drain() {
	y, yrs, scale, shift, res := p.arg("y"), p.arg("yrs"), p.arg("scale"), p.arg("shift"), p.arg("res")
	p.SHLQ(operand.U8(1), yrs)
	free := p.regs[2*p.emitter.rows:]
	floor, t := free[2], free[3:]
	if !p.wide() {
		floor, t = free[2], []reg.VecPhysical{free[0], free[1]}
	}
	p.VBROADCASTSS(p.addr("floor"), floor)
	if p.wide() {
		for v := range p.vectors {
			p.load(operand.Mem{Base: scale, Disp: v * p.bytes()}, free[v], p.last(v))
		}
	}
	p.walk(y, yrs, func(r int) {
		for v := range p.vectors {
			p.affine(p.acc(r, v), v, scale, shift, free, t[0])
		}
		p.unless(p.label("noResidual"), res, func() {
			for v := range p.vectors {
				p.loadBF16(operand.Mem{Base: res, Disp: v * p.bytes() / 2}, t[0], p.last(v))
				p.VADDPS(t[0], p.acc(r, v), p.acc(r, v))
			}
			p.ADDQ(yrs, res)
		})
		p.finishRow(y, r, floor, t)
	})
}

// affine computes x*scale + shift. With AVX-512 the scale is in a register.
func (p *rounding) affine(x reg.VecPhysical, v int, scale, shift reg.GPVirtual, scales []reg.VecPhysical, t reg.VecPhysical) {
	m := operand.Mem{Base: shift, Disp: v * p.bytes()}
	switch {
	case p.last(v):
		p.VFMADD213PS(m, scales[v], reg.K1, x)
	case p.wide():
		p.VFMADD213PS(m, scales[v], x)
	default:
		p.VMOVUPS(operand.Mem{Base: scale, Disp: v * p.bytes()}, t)
		p.VFMADD213PS(m, t, x)
	}
}

// finishRow computes the ReLU of a row, rounds it and writes it.
func (p *rounding) finishRow(y reg.GPVirtual, r int, floor reg.VecPhysical, t []reg.VecPhysical) {
	for v := range p.vectors {
		p.VMAXPS(p.acc(r, v), floor, p.acc(r, v)) // x where it is NaN
	}
	if p.bf16 && !p.masked {
		p.VCVTNE2PS2BF16(p.acc(r, 0), p.acc(r, 1), p.acc(r, 0))
		p.VMOVDQU32(p.acc(r, 0), operand.Mem{Base: y})
		return
	}
	for v := range p.vectors {
		p.storeBF16(p.acc(r, v), operand.Mem{Base: y, Disp: v * p.bytes() / 2}, p.last(v), t...)
	}
}

// again continues with the next block, if there is one, by moving the parameters to its
// rows.
func (p *rounding) again() {
	blocks := p.arg("blocks")
	p.DECQ(blocks)
	p.JZ(operand.LabelRef("end"))
	p.MOVQ(blocks, p.addr("blocks"))
	if p.byTable {
		p.ADDQ(operand.U32(uint32(8*p.rows)), p.addr("table"))
	} else {
		first := p.arg("ars")
		p.IMUL3Q(operand.U8(uint8(p.rows)), first, first)
		p.ADDQ(first, p.addr("first"))
	}
	y, res := p.arg("yrs"), p.arg("res")
	p.IMUL3Q(operand.U8(uint8(2*p.rows)), y, y)
	p.ADDQ(y, p.addr("y"))
	p.unless("noResidualLeft", res, func() { p.ADDQ(y, p.addr("res")) })
	p.JMP(operand.LabelRef("block"))
	p.Label("end")
}

// roundSwitch returns the Go functions that call these kernels by row count.
func roundSwitch(isa isa) string {
	var s strings.Builder
	for _, k := range roundKernels(isa) {
		args, param, arg := "p.y, p.a, p.b, p.segs, p.nsegs, p.k, p.crs, p.ars, p.first, p.blocks", "", ""
		if k.byTable {
			args = "p.y, p.table, p.b, p.nsegs, p.k, p.crs, p.ars, p.first, p.blocks"
		}
		if k.masked {
			param, arg = ", mask uint16", ", mask"
		}
		fmt.Fprintf(&s, "\n// %[1]s%[2]s calls the kernel of p.rows rows.\nfunc %[1]s%[2]s(p *roundBlock, next *uint16, pace int, d *drain%[3]s) {\n\tswitch p.rows {\n", k.name(), isa.suffix, param)
		for rows := 1; rows <= isa.rows; rows++ {
			fmt.Fprintf(&s, "\tcase %d:\n\t\t%s%d%s(%s, next, pace, d.scale, d.shift, d.res, d.floor%s)\n", rows, k.name(), rows, isa.suffix, args, arg)
		}
		s.WriteString("\t}\n}\n")
	}
	return s.String()
}
