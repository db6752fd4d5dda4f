package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func poolKernels(e *sweep) {
	maxPool(e)
	maxPoolGrad(e)
}

// windows walks the offsets of a pooling window; at is the place in x of the
// chunk under the offset, in bytes.
func (e *sweep) windows(label string, col, at reg.GPVirtual, body func()) {
	offs, count := e.arg("offs"), e.length("offs")
	e.TESTQ(count, count)
	e.JZ(operand.LabelRef(label + "Done"))
	e.Label(label)
	e.MOVQ(operand.Mem{Base: offs}, at)
	e.LEAQ(operand.Mem{Base: col, Index: at, Scale: 4}, at)
	body()
	e.ADDQ(operand.U8(8), offs)
	e.DECQ(count)
	e.JNZ(operand.LabelRef(label))
	e.Label(label + "Done")
}

func maxPool(e *sweep) {
	const most = 4
	e.function("maxPool", "takes the maximum over a window.", "dst, x []T, offs []int, n int")
	free := registers{e: e.emitter}
	best, t, nan, lowest := free.take(most), free.one(), free.one(), free.one()
	e.constant(bitsNegInf, lowest)
	x, dst, col, at := e.arg("x"), e.arg("dst"), e.GP64(), e.GP64()
	e.chunks(most, e.arg("n"), col, func(c chunk) {
		for v := range c.vectors {
			e.VMOVAPS(lowest, best[v])
		}
		e.windows(c.prefix+"Window", col, at, func() {
			for v := range c.vectors {
				e.load(e.vec(x, at, v), t, c.masked)
				e.raise(best[v], t, nan)
			}
		})
		e.writeAll(c, dst, col, best)
	})
}

// raise sets best to the larger of best and t, or to a NaN among them. The
// maximum instruction keeps best where either is NaN; a NaN in t is put there.
func (e *emitter) raise(best, t, nan reg.VecPhysical) {
	if e.wide() {
		e.VMAXPS(best, t, best)
		e.VCMPPS(unordered, t, t, reg.K2)
		e.VMOVAPS(t, reg.K2, best)
		return
	}
	e.VMAXPS(best, t, best)
	e.VCMPPS(unordered, t, t, nan)
	e.VBLENDVPS(nan, t, best, best)
}

func maxPoolGrad(e *sweep) {
	most := e.most()
	e.function("maxPoolGrad", "adds dy to dx at the first offset where x is y or NaN.",
		"dx, dy, x, y []float32, offs []int, n int")
	free := registers{e: e.emitter}
	y, dy, todo := free.take(most), free.take(most), free.take(most)
	t, u, w := free.one(), free.one(), free.one()
	dxBase, xBase, yBase, dyBase := e.arg("dx"), e.arg("x"), e.arg("y"), e.arg("dy")
	col, at := e.GP64(), e.GP64()
	e.chunks(most, e.arg("n"), col, func(c chunk) {
		e.readAll(c, yBase, col, y)
		e.readAll(c, dyBase, col, dy)
		for v := range c.vectors {
			e.all(v, todo[v])
		}
		e.windows(c.prefix+"Window", col, at, func() {
			for v := range c.vectors {
				e.load(e.vec(xBase, at, v), t, c.masked)
				e.load(e.vec(dxBase, at, v), u, c.masked)
				e.assign(v, y[v], dy[v], todo[v], t, u, w)
				e.store(u, e.vec(dxBase, at, v), c.masked)
			}
		})
	})
}

// all marks every lane of vector v as not yet assigned to an offset: in mask
// registers K2 to K5, or in a vector.
func (e *emitter) all(v int, todo reg.VecPhysical) {
	if e.wide() {
		k := []reg.Physical{reg.K2, reg.K3, reg.K4, reg.K5}[v]
		e.KXNORW(k, k, k)
		return
	}
	e.VPCMPEQD(todo, todo, todo)
}

// assign adds dy to u in the lanes still to do where x is y or NaN, and strikes
// them off.
func (e *emitter) assign(v int, y, dy, todo, x, u, t reg.VecPhysical) {
	if e.wide() {
		k := []reg.Physical{reg.K2, reg.K3, reg.K4, reg.K5}[v]
		e.VCMPPS(equal, x, y, k, reg.K6)
		e.VCMPPS(unordered, x, x, k, reg.K7)
		e.KORW(reg.K6, reg.K7, reg.K6)
		e.KANDNW(k, reg.K6, k)
		e.VADDPS(dy, u, reg.K6, u)
		return
	}
	e.VCMPPS(equal, x, y, t)
	e.VCMPPS(unordered, x, x, x)
	e.VORPS(x, t, t)
	e.VANDPS(todo, t, t)
	e.VANDNPS(todo, t, todo)
	e.VADDPS(dy, u, x)
	e.VBLENDVPS(t, x, u, u)
}
