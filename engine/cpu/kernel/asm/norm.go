package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// normKernels writes the kernels on blocks of rows by columns. Each processes one chunk of
// columns after the other, row by row, so that the values of a column stay in registers.
func normKernels(e *sweep) {
	sumRows(e)
	meanM2(e)
	scaleShift(e)
	bnReduce(e)
	bnGrad(e)
}

// block has the registers with which a kernel goes through the rows of a chunk.
type block struct {
	*sweep
	col   reg.GPVirtual // byte offset of the chunk's activations in a row
	at    reg.GPVirtual // and in the current row
	ld    reg.GPVirtual // in bytes
	count reg.GPVirtual
}

func newBlock(e *sweep) *block {
	b := &block{sweep: e, col: e.GP64(), at: e.GP64(), ld: e.arg("ld"), count: e.GP64()}
	e.SHLQ(operand.U8(e.size()/2), b.ld) // log2 of the size is half of it
	return b
}

// rows runs body for every row of the chunk.
func (b *block) rows(label string, body func()) {
	b.MOVQ(b.col, b.at)
	b.Load(b.Param("rows"), b.count)
	b.TESTQ(b.count, b.count)
	b.JLE(operand.LabelRef(label + "Done"))
	b.Label(label)
	body()
	b.ADDQ(b.ld, b.at)
	b.DECQ(b.count)
	b.JNZ(operand.LabelRef(label))
	b.Label(label + "Done")
}

// column loads the chunk's part of a vector with one value a column. It overwrites t.
func (b *block) column(c chunk, base reg.GPVirtual, regs []reg.VecPhysical, t reg.VecPhysical) {
	for v := range c.vectors {
		switch m := b.floats(base, b.col, v); {
		case !c.woven:
			b.load(m, regs[v], c.masked)
		case v%2 == 1:
			b.splitColumns(b.floats(base, b.col, v-1), m, regs[v-1], regs[v], t)
		}
	}
}

// put stores the chunk's part of a vector with one value a column. It overwrites t.
func (b *block) put(c chunk, base reg.GPVirtual, regs []reg.VecPhysical, t reg.VecPhysical) {
	for v := range c.vectors {
		switch m := b.floats(base, b.col, v); {
		case !c.woven:
			b.store(regs[v], m, c.masked)
		case v%2 == 1:
			b.joinColumns(regs[v-1], regs[v], b.floats(base, b.col, v-1), m, t)
		}
	}
}

func sumRows(e *sweep) {
	const most = 4
	e.function("sumRows", "sums the rows of a block.", "sum []float32, x []T, rows, n, ld int")
	free := e.begin()
	sum, x := free.take(most), free.take(most)
	b := newBlock(e)
	base := e.arg("x")
	e.chunks(most, e.arg("n"), b.col, func(c chunk) {
		b.sum(c, "Rows", base, sum, x)
		b.put(c, b.arg("sum"), sum, x[0])
	})
}

// sum sums the rows of a chunk.
func (b *block) sum(c chunk, label string, base reg.GPVirtual, sum, x []reg.VecPhysical) {
	b.zeroAll(c, sum)
	b.rows(c.prefix+label, func() {
		b.readAll(c, base, b.at, x)
		for v := range c.vectors {
			b.VADDPS(x[v], sum[v], sum[v])
		}
	})
}

func meanM2(e *sweep) {
	const most = 4
	e.function("meanM2", "computes the mean of each column of a block and the sum of squared differences from it.",
		"mean, m2 []float32, x []T, rows, n, ld int")
	free := e.begin()
	sum, x, m2, count := free.take(most), free.take(most), free.take(most), free.one()
	e.VXORPS(count.AsX(), count.AsX(), count.AsX())
	e.VCVTSI2SSQ(e.addr("rows"), count.AsX(), count.AsX())
	e.VBROADCASTSS(count.AsX(), count)
	b := newBlock(e)
	base := e.arg("x")
	e.chunks(most, e.arg("n"), b.col, func(c chunk) {
		b.sum(c, "Mean", base, sum, x)
		for v := range c.vectors {
			e.VDIVPS(count, sum[v], sum[v])
		}
		b.put(c, b.arg("mean"), sum, x[0])
		mean := sum
		b.zeroAll(c, m2)
		b.rows(c.prefix+"Deviation", func() {
			b.readAll(c, base, b.at, x)
			for v := range c.vectors {
				e.VSUBPS(mean[v], x[v], x[v])
				e.VFMADD231PS(x[v], x[v], m2[v])
			}
		})
		b.put(c, b.arg("m2"), m2, x[0])
	})
}

func scaleShift(e *sweep) {
	e.function("scaleShift", "computes y = x*scale + shift + res, then a ReLU.",
		"y, x []T, scale, shift []float32, res []T, relu bool, rows, n, ld int")
	x := e.arg("x")
	affine(e, e.begin(), 4, func(*chunk) {}, func(b *block, c chunk, to []reg.VecPhysical) { b.readAll(c, x, b.at, to) })
}

// affine writes the body of ScaleShift and of Finish, which read a row of x in different
// ways. It calls begin before a chunk.
func affine(e *sweep, free *registers, most int, begin func(*chunk), load func(b *block, c chunk, to []reg.VecPhysical)) {
	floor, t := free.one(), free.one()
	scale, shift, x := free.take(most), free.take(most), free.take(most)
	rounding := e.spare(free, t)
	e.constant(bitsNegInf, floor)
	e.CMPB(e.addr("relu"), operand.U8(0))
	e.JE(operand.LabelRef("linear"))
	e.zero(floor)
	e.Label("linear")
	b := newBlock(e)
	yBase, resBase := e.arg("y"), e.arg("res")
	e.chunks(most, e.arg("n"), b.col, func(c chunk) {
		begin(&c)
		b.optional(c, "scale", bitsOne, scale, t)
		b.optional(c, "shift", bitsNoSign, shift, t)
		b.rows(c.prefix+"Rows", func() {
			load(b, c, x)
			for v := range c.vectors {
				e.VFMADD213PS(shift[v], scale[v], x[v])
			}
			e.unless(c.prefix+"NoRes", resBase, func() {
				for v := range c.vectors {
					e.read(c, resBase, b.at, v, t)
					e.VADDPS(t, x[v], x[v])
				}
			})
			for v := range c.vectors {
				e.VMAXPS(x[v], floor, x[v]) // x where it is NaN
			}
			b.writeAll(c, yBase, b.at, x, rounding)
		})
	})
}

// optional loads a vector with one value a column, or a constant if the vector is nil. It
// overwrites t.
func (b *block) optional(c chunk, name string, bits uint32, regs []reg.VecPhysical, t reg.VecPhysical) {
	for v := range c.vectors {
		b.constant(bits, regs[v])
	}
	p := b.arg(name)
	b.unless(c.prefix+name, p, func() { b.column(c, p, regs, t) })
}

// gated loads the gradient of a ReLU with output y; if y is nil, it loads dy itself.
func (b *block) gated(c chunk, dy, y reg.GPVirtual, zero, t reg.VecPhysical, g []reg.VecPhysical) {
	b.readAll(c, dy, b.at, g)
	b.unless(c.prefix+"NoReLU", y, func() {
		for v := range c.vectors {
			b.read(c, y, b.at, v, t)
			b.zeroAtMost(t, zero, g[v])
		}
	})
}

// most returns the vectors of a chunk of the gradient kernels, which need many registers.
func (e *sweep) most() int {
	if e.wide() {
		return 4
	}
	return 2
}

func bnReduce(e *sweep) {
	most := e.most()
	e.function("bnReduce", "sums g and g*(x-mean) down the columns of a block, and computes dres = g.",
		"sumDy, sumDyX []float32, dy, y, x []T, mean []float32, dres []T, rows, n, ld int")
	free := e.begin()
	zero, t := free.one(), free.one()
	mean, s0, s1, g := free.take(most), free.take(most), free.take(most), free.take(most)
	rounding := e.spare(free, t)
	e.zero(zero)
	b := newBlock(e)
	dy, y, x, dres := e.arg("dy"), e.arg("y"), e.arg("x"), e.arg("dres")
	e.chunks(most, e.arg("n"), b.col, func(c chunk) {
		b.column(c, b.arg("mean"), mean, t)
		b.zeroAll(c, s0)
		b.zeroAll(c, s1)
		b.rows(c.prefix+"Rows", func() {
			b.gated(c, dy, y, zero, t, g)
			e.unless(c.prefix+"NoRes", dres, func() { b.writeExact(c, dres, b.at, g, rounding) })
			for v := range c.vectors {
				e.VADDPS(g[v], s0[v], s0[v])
				e.read(c, x, b.at, v, t)
				e.VSUBPS(mean[v], t, t)
				e.VFMADD231PS(t, g[v], s1[v])
			}
		})
		b.put(c, b.arg("sumDy"), s0, t)
		b.put(c, b.arg("sumDyX"), s1, t)
	})
}

func bnGrad(e *sweep) {
	most := e.most()
	e.function("bnGrad", "computes dx = a*g + b*x + d, dres = g and the column sums of dx.",
		"dx, dres []T, sumDx []float32, dy, y, x []T, a, b, d []float32, rows, n, ld int")
	free := e.begin()
	zero, t := free.one(), free.one()
	a, bb, d, g, sum := free.take(most), free.take(most), free.take(most), free.take(most), free.take(most)
	rounding := e.spare(free)
	e.zero(zero)
	b := newBlock(e)
	dx, dres, dy, y, x := e.arg("dx"), e.arg("dres"), e.arg("dy"), e.arg("y"), e.arg("x")
	e.chunks(most, e.arg("n"), b.col, func(c chunk) {
		b.column(c, b.arg("a"), a, t)
		b.column(c, b.arg("b"), bb, t)
		b.column(c, b.arg("d"), d, t)
		b.zeroAll(c, sum)
		b.rows(c.prefix+"Rows", func() {
			b.gated(c, dy, y, zero, t, g)
			e.unless(c.prefix+"NoRes", dres, func() { b.writeExact(c, dres, b.at, g, rounding) })
			for v := range c.vectors {
				e.read(c, x, b.at, v, t)
				e.VFMADD213PS(d[v], bb[v], t)
				e.VFMADD213PS(t, a[v], g[v])
				e.VADDPS(g[v], sum[v], sum[v])
			}
			b.writeAll(c, dx, b.at, g, rounding)
		})
		p := e.arg("sumDx")
		e.unless(c.prefix+"NoSum", p, func() { b.put(c, p, sum, t) })
	})
}
