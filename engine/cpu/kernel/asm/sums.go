package main

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// sumsFile writes the product kernels of bfloat16 that round their results from registers
// and sum them, for a batch norm.
func sumsFile(e *emitter) {
	for _, k := range sumKernels(e.isa) {
		for rows := 1; rows <= e.rows; rows++ {
			product := &product{emitter: e, width: k.width, kind: bf16Pairs, rows: rows}
			(&summing{rounding: &rounding{product: product}, gradient: k.gradient}).write()
		}
	}
}

// sumKernel is a kind of these kernels: of results, or of the gradient of a batch norm's
// output.
type sumKernel struct {
	width
	gradient bool
}

func sumKernels(isa isa) (all []sumKernel) {
	for _, k := range roundKernels(isa) {
		if !k.byTable {
			all = append(all, sumKernel{k.width, false}, sumKernel{k.width, true})
		}
	}
	return all
}

// name is that of the functions, without the number of rows.
func (k sumKernel) name() string {
	if k.gradient {
		return "dotReduce" + k.width.name
	}
	return "dotStats" + k.width.name
}

// summing is a product kernel that writes its results, rounded, and adds the results before
// rounding to sums of columns: after every block of rows, when the results are in registers
// and what is added to them has been prefetched.
type summing struct {
	*rounding
	gradient bool
}

func (p *summing) args() string {
	args := "a, b *uint16, segs *int, nsegs, k, yrs, ars, first, blocks int, next *uint16, pace int, sums *float32"
	if p.gradient {
		args += ", res, gate, x, y *uint16, mean *float32"
	} else {
		args += ", y *uint16, shift *float32, fresh int"
	}
	if p.masked {
		args += ", mask uint16"
	}
	return args
}

// write writes the kernel.
func (p *summing) write() {
	p.function(fmt.Sprintf("%s%d", sumKernel{p.width, p.gradient}.name(), p.rows),
		fmt.Sprintf("computes, rounds and sums blocks of %d rows of a product, %d vectors wide.", p.rows, p.vectors), p.args())
	p.strides()
	p.Label("block")
	p.partMask() // for every block, since a gate overwrites it
	if p.masked {
		p.maskParam()
	}
	p.zeroSums()
	p.segments()
	if p.gradient {
		p.writeGradient()
		p.sumGradient()
	} else {
		p.writeShifted()
		p.sumSquares()
	}
	p.again()
	p.done()
}

// pointers are the parameters that advance from row to row, as y does.
func (p *summing) pointers() []string {
	if p.gradient {
		return []string{"res", "gate", "x", "y"}
	}
	return []string{"y"}
}

// segments sums all segments. At the beginning of each of the first ones it prefetches the
// rows of one of the pointers, which the end of the block reads or writes: of all together
// there are more than the processor can wait for while it goes on.
func (p *summing) segments() {
	a, b := p.bases()
	seg, nsegs, k := p.arg("segs"), p.arg("nsegs"), p.GP64()
	p.Label("segment")
	done, yrs := p.arg("nsegs"), p.arg("yrs")
	p.SHLQ(operand.U8(1), yrs)
	p.SUBQ(nsegs, done)
	p.CMPQ(done, operand.U8(uint8(len(p.pointers()))))
	p.JGE(operand.LabelRef("fetched"))
	pointers := p.addr(p.pointers()[0]) // which follow each other
	pointers.Index, pointers.Scale = done, 8
	p.MOVQ(pointers, done)
	p.unless("fetched", done, func() { p.walk(done, yrs, func(int) { p.PREFETCHT0(operand.Mem{Base: done}) }) })
	p.segment(seg, a, b)
	p.rounding.sum(k)
	p.ADDQ(operand.U8(16), seg)
	p.DECQ(nsegs)
	p.JNZ(operand.LabelRef("segment"))
}

// free returns the registers of a and b, which are not needed at the end of a block. With
// AVX2 there are three, since the fourth is the one of masks.
func (p *summing) free() []reg.VecPhysical { return p.regs[2*p.emitter.rows:] }

// writeShifted rounds and writes the results plus shift. The registers keep the results.
func (p *summing) writeShifted() {
	y, yrs, shift, free := p.arg("y"), p.arg("yrs"), p.arg("shift"), p.free()
	p.SHLQ(operand.U8(1), yrs)
	if p.masked {
		p.load(operand.Mem{Base: shift}, free[3], true)
	}
	add := func(r, v int, to reg.VecPhysical) {
		if p.masked {
			p.VADDPS(free[3], p.acc(r, v), to)
		} else {
			p.VADDPS(operand.Mem{Base: shift, Disp: v * p.bytes()}, p.acc(r, v), to)
		}
	}
	p.walk(y, yrs, func(r int) { p.writeRow(y, r, free, add) })
}

// writeRow rounds a row of what copy gives for every vector of it, and writes it.
func (p *summing) writeRow(y reg.GPVirtual, r int, free []reg.VecPhysical, copy func(r, v int, to reg.VecPhysical)) {
	if p.bf16 && !p.masked {
		copy(r, 0, free[0])
		copy(r, 1, free[1])
		p.VCVTNE2PS2BF16(free[0], free[1], free[0])
		p.VMOVDQU32(free[0], operand.Mem{Base: y})
		return
	}
	for v := range p.vectors {
		copy(r, v, free[0])
		p.storeBF16(free[0], operand.Mem{Base: y, Disp: v * p.bytes() / 2}, p.last(v), free[1], free[2])
	}
}

// sumOf is the memory of a vector of one of the sums, which are as wide as a panel.
func (p *summing) sumOf(sums reg.GPVirtual, i, v int) operand.Mem {
	return operand.Mem{Base: sums, Disp: 2*i*p.emitter.bytes() + v*p.bytes()}
}

// sumSquares adds to the sums the differences of the results from a pivot and their squares.
// The pivot of fresh sums is the first row.
func (p *summing) sumSquares() {
	sums, fresh, free := p.arg("sums"), p.arg("fresh"), p.free()
	sum, squares, pivot := free[0], free[1], free[2]
	p.unless("added", fresh, func() {
		p.zero(sum)
		for v := range p.vectors {
			p.VMOVUPS(p.acc(0, v), p.sumOf(sums, 0, v))
			p.VMOVUPS(sum, p.sumOf(sums, 1, v))
			p.VMOVUPS(sum, p.sumOf(sums, 2, v))
		}
		p.MOVQ(operand.U32(0), p.addr("fresh"))
	})
	for v := range p.vectors {
		p.VMOVUPS(p.sumOf(sums, 0, v), pivot)
		p.VMOVUPS(p.sumOf(sums, 1, v), sum)
		p.VMOVUPS(p.sumOf(sums, 2, v), squares)
		for r := range p.rows {
			p.VSUBPS(pivot, p.acc(r, v), p.acc(r, v))
			p.VADDPS(p.acc(r, v), sum, sum)
			p.VFMADD231PS(p.acc(r, v), p.acc(r, v), squares)
		}
		p.VMOVUPS(sum, p.sumOf(sums, 1, v))
		p.VMOVUPS(squares, p.sumOf(sums, 2, v))
	}
}

// writeGradient adds res, clears what gate does not let through, and writes a rounded copy.
func (p *summing) writeGradient() {
	y, yrs, res, gate, free := p.arg("y"), p.arg("yrs"), p.arg("res"), p.arg("gate"), p.free()
	t, zero := free[0], free[1]
	p.SHLQ(operand.U8(1), yrs)
	each := func(name string, pointer reg.GPVirtual, r int, apply func(acc reg.VecPhysical)) {
		p.unless(p.label(name), pointer, func() {
			for v := range p.vectors {
				p.loadBF16(operand.Mem{Base: pointer, Disp: v * p.bytes() / 2}, t, p.last(v))
				apply(p.acc(r, v))
			}
			if r < p.rows-1 {
				p.ADDQ(yrs, pointer)
			}
		})
	}
	p.walk(y, yrs, func(r int) {
		each("noResidual", res, r, func(acc reg.VecPhysical) { p.VADDPS(t, acc, acc) })
		each("noGate", gate, r, func(acc reg.VecPhysical) {
			p.zero(zero)
			p.zeroAtMost(t, zero, acc)
		})
		p.writeRow(y, r, free, func(r, v int, to reg.VecPhysical) { p.VMOVUPS(p.acc(r, v), to) })
	})
}

// sumGradient adds to the sums the results and their products with x less its mean.
func (p *summing) sumGradient() {
	sums, mean, yrs, free := p.arg("sums"), p.arg("mean"), p.arg("yrs"), p.free()
	sum, products, t := free[0], free[1], free[2]
	p.SHLQ(operand.U8(1), yrs)
	for v := range p.vectors {
		p.VMOVUPS(p.sumOf(sums, 0, v), sum)
		p.VMOVUPS(p.sumOf(sums, 1, v), products)
		if p.wide() {
			p.load(operand.Mem{Base: mean, Disp: v * p.bytes()}, free[3], p.last(v))
		}
		x := p.arg("x")
		p.walk(x, yrs, func(r int) {
			p.loadBF16(operand.Mem{Base: x, Disp: v * p.bytes() / 2}, t, p.last(v))
			if p.wide() {
				p.VSUBPS(free[3], t, t)
			} else {
				p.VSUBPS(operand.Mem{Base: mean, Disp: v * p.bytes()}, t, t)
			}
			p.VADDPS(p.acc(r, v), sum, sum)
			p.VFMADD231PS(t, p.acc(r, v), products)
		})
		p.VMOVUPS(sum, p.sumOf(sums, 0, v))
		p.VMOVUPS(products, p.sumOf(sums, 1, v))
	}
}

// again continues with the next block, if there is one, by moving the parameters to its
// rows.
func (p *summing) again() {
	blocks := p.arg("blocks")
	p.DECQ(blocks)
	p.JZ(operand.LabelRef("end"))
	p.MOVQ(blocks, p.addr("blocks"))
	first, y := p.arg("ars"), p.arg("yrs")
	p.IMUL3Q(operand.U8(uint8(p.rows)), first, first)
	p.ADDQ(first, p.addr("first"))
	p.IMUL3Q(operand.U8(uint8(2*p.rows)), y, y)
	for _, name := range p.pointers() {
		p.unless("no_"+name+"_left", p.arg(name), func() { p.ADDQ(y, p.addr(name)) })
	}
	p.JMP(operand.LabelRef("block"))
	p.Label("end")
}

// sumsSwitch returns the Go functions that call these kernels by row count.
func sumsSwitch(isa isa) string {
	var s strings.Builder
	for _, k := range sumKernels(isa) {
		args, param, arg := "p.y, p.shift, p.fresh", "", ""
		if k.gradient {
			args = "p.res, p.gate, p.x, p.y, p.mean"
		}
		if k.masked {
			param, arg = ", mask uint16", ", mask"
		}
		fmt.Fprintf(&s, "\n// %[1]s%[2]s calls the kernel of p.rows rows.\nfunc %[1]s%[2]s(p *sumBlock, next *uint16, pace int%[3]s) {\n\tswitch p.rows {\n", k.name(), isa.suffix, param)
		for rows := 1; rows <= isa.rows; rows++ {
			fmt.Fprintf(&s, "\tcase %d:\n\t\t%s%d%s(p.a, p.b, p.segs, p.nsegs, p.k, p.crs, p.ars, p.first, p.blocks, next, pace, p.sums, %s%s)\n",
				rows, k.name(), rows, isa.suffix, args, arg)
		}
		s.WriteString("\t}\n}\n")
	}
	return s.String()
}
