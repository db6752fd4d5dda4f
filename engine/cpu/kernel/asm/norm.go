package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// normKernels writes the kernels on blocks of rows by columns. Each takes the
// columns in chunks and walks down the rows of a chunk, so that what belongs
// to a column stays in registers.
func normKernels(e *emitter) {
	sumRows(e)
	meanM2(e)
	scaleShift(e)
	bnReduce(e)
	bnGrad(e)
}

// block walks down the rows of a chunk.
type block struct {
	*emitter
	col   reg.GPVirtual // byte offset of the chunk in a row
	at    reg.GPVirtual // byte offset of the chunk in the current row
	ld    reg.GPVirtual // in bytes
	count reg.GPVirtual
}

func newBlock(e *emitter) *block {
	b := &block{emitter: e, col: e.GP64(), at: e.GP64(), ld: e.arg("ld"), count: e.GP64()}
	e.SHLQ(operand.U8(2), b.ld)
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

// column loads the chunk's part of a vector with one value a column.
func (b *block) column(c chunk, name string, regs []reg.VecPhysical) {
	b.loadAll(c, b.arg(name), b.col, regs)
}

// put stores the chunk's part of a vector with one value a column.
func (b *block) put(c chunk, name string, regs []reg.VecPhysical) {
	b.storeAll(c, b.arg(name), b.col, regs)
}

func sumRows(e *emitter) {
	const most = 4
	e.function("sumRows", "sums the rows of a block.", "sum, x []float32, rows, n, ld int")
	free := registers{e: e}
	sum, x := free.take(most), free.take(most)
	b := newBlock(e)
	base := e.arg("x")
	e.chunks(most, e.arg("n"), b.col, func(c chunk) {
		b.sum(c, "Rows", base, sum, x)
		b.put(c, "sum", sum)
	})
}

// sum adds up the rows of a chunk.
func (b *block) sum(c chunk, label string, base reg.GPVirtual, sum, x []reg.VecPhysical) {
	b.zeroAll(c, sum)
	b.rows(c.prefix+label, func() {
		b.loadAll(c, base, b.at, x)
		for v := range c.vectors {
			b.VADDPS(x[v], sum[v], sum[v])
		}
	})
}

func meanM2(e *emitter) {
	const most = 4
	e.function("meanM2", "computes mean and squared deviations of the columns of a block.",
		"mean, m2, x []float32, rows, n, ld int")
	free := registers{e: e}
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
		b.put(c, "mean", sum)
		mean := sum
		b.zeroAll(c, m2)
		b.rows(c.prefix+"Deviation", func() {
			b.loadAll(c, base, b.at, x)
			for v := range c.vectors {
				e.VSUBPS(mean[v], x[v], x[v])
				e.VFMADD231PS(x[v], x[v], m2[v])
			}
		})
		b.put(c, "m2", m2)
	})
}

func scaleShift(e *emitter) {
	const most = 4
	e.function("scaleShift", "computes y = x*scale + shift + res, then a ReLU.",
		"y, x, scale, shift, res []float32, relu bool, rows, n, ld int")
	free := registers{e: e}
	floor, t := free.one(), free.one()
	scale, shift, x := free.take(most), free.take(most), free.take(most)
	e.constant(bitsNegInf, floor)
	e.CMPB(e.addr("relu"), operand.U8(0))
	e.JE(operand.LabelRef("linear"))
	e.zero(floor)
	e.Label("linear")
	b := newBlock(e)
	yBase, xBase, resBase := e.arg("y"), e.arg("x"), e.arg("res")
	e.chunks(most, e.arg("n"), b.col, func(c chunk) {
		b.optional(c, "scale", bitsOne, scale)
		b.optional(c, "shift", bitsNoSign, shift)
		b.rows(c.prefix+"Rows", func() {
			b.loadAll(c, xBase, b.at, x)
			for v := range c.vectors {
				e.VFMADD213PS(shift[v], scale[v], x[v])
			}
			e.unless(c.prefix+"NoRes", resBase, func() {
				for v := range c.vectors {
					e.load(e.vec(resBase, b.at, v), t, c.masked)
					e.VADDPS(t, x[v], x[v])
				}
			})
			for v := range c.vectors {
				e.VMAXPS(x[v], floor, x[v]) // x where it is NaN
			}
			b.storeAll(c, yBase, b.at, x)
		})
	})
}

// optional loads a vector with one value a column, or a constant where it is nil.
func (b *block) optional(c chunk, name string, bits uint32, regs []reg.VecPhysical) {
	for v := range c.vectors {
		b.constant(bits, regs[v])
	}
	p := b.arg(name)
	b.unless(c.prefix+name, p, func() { b.loadAll(c, p, b.col, regs) })
}

// gated loads the gradient of a ReLU with output y, or dy itself if y is nil.
func (b *block) gated(c chunk, dy, y reg.GPVirtual, zero, t reg.VecPhysical, g []reg.VecPhysical) {
	b.loadAll(c, dy, b.at, g)
	b.unless(c.prefix+"NoReLU", y, func() {
		for v := range c.vectors {
			b.load(b.vec(y, b.at, v), t, c.masked)
			b.zeroAtMost(t, zero, g[v])
		}
	})
}

// most is the chunk of the gradient kernels, which need many registers.
func (e *emitter) most() int {
	if e.wide() {
		return 4
	}
	return 2
}

func bnReduce(e *emitter) {
	most := e.most()
	e.function("bnReduce", "sums g and g*(x-mean) down the columns of a block.",
		"sumDy, sumDyX, dy, y, x, mean []float32, rows, n, ld int")
	free := registers{e: e}
	zero, t := free.one(), free.one()
	mean, s0, s1, g := free.take(most), free.take(most), free.take(most), free.take(most)
	e.zero(zero)
	b := newBlock(e)
	dy, y, x := e.arg("dy"), e.arg("y"), e.arg("x")
	e.chunks(most, e.arg("n"), b.col, func(c chunk) {
		b.column(c, "mean", mean)
		b.zeroAll(c, s0)
		b.zeroAll(c, s1)
		b.rows(c.prefix+"Rows", func() {
			b.gated(c, dy, y, zero, t, g)
			for v := range c.vectors {
				e.VADDPS(g[v], s0[v], s0[v])
				e.load(e.vec(x, b.at, v), t, c.masked)
				e.VSUBPS(mean[v], t, t)
				e.VFMADD231PS(t, g[v], s1[v])
			}
		})
		b.put(c, "sumDy", s0)
		b.put(c, "sumDyX", s1)
	})
}

func bnGrad(e *emitter) {
	most := e.most()
	e.function("bnGrad", "computes dx = a*g + b*x + d, dres = g and the column sums of dx.",
		"dx, dres, sumDx, dy, y, x, a, b, d []float32, rows, n, ld int")
	free := registers{e: e}
	zero, t := free.one(), free.one()
	a, bb, d, g, sum := free.take(most), free.take(most), free.take(most), free.take(most), free.take(most)
	e.zero(zero)
	b := newBlock(e)
	dx, dres, dy, y, x := e.arg("dx"), e.arg("dres"), e.arg("dy"), e.arg("y"), e.arg("x")
	e.chunks(most, e.arg("n"), b.col, func(c chunk) {
		b.column(c, "a", a)
		b.column(c, "b", bb)
		b.column(c, "d", d)
		b.zeroAll(c, sum)
		b.rows(c.prefix+"Rows", func() {
			b.gated(c, dy, y, zero, t, g)
			e.unless(c.prefix+"NoRes", dres, func() { b.storeAll(c, dres, b.at, g) })
			for v := range c.vectors {
				e.load(e.vec(x, b.at, v), t, c.masked)
				e.VFMADD213PS(d[v], bb[v], t)
				e.VFMADD213PS(t, a[v], g[v])
				e.VADDPS(g[v], sum[v], sum[v])
			}
			b.storeAll(c, dx, b.at, g)
		})
		p := e.arg("sumDx")
		e.unless(c.prefix+"NoSum", p, func() { b.storeAll(c, p, b.col, sum) })
	})
}
