package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func poolKernels(e *sweep) {
	if e.onBF16 {
		maxPoolWords(e)
	} else {
		maxPool(e)
	}
	maxPoolGrad(e)
}

// windows runs body for every offset of a pooling window. There may be several lists of
// offsets; for each list, at has the position of the chunk for the current offset, in
// bytes of activations.
func (e *sweep) windows(label string, col reg.GPVirtual, lists []string, at []reg.GPVirtual, body func()) {
	var offs []reg.GPVirtual
	for _, l := range lists {
		offs = append(offs, e.arg(l))
	}
	count := e.length(lists[0])
	e.TESTQ(count, count)
	e.JZ(operand.LabelRef(label + "Done"))
	e.Label(label)
	for i := range lists {
		e.MOVQ(operand.Mem{Base: offs[i]}, at[i])
		e.LEAQ(operand.Mem{Base: col, Index: at[i], Scale: uint8(e.size())}, at[i])
	}
	body()
	for i := range lists {
		e.ADDQ(operand.U8(8), offs[i])
	}
	e.DECQ(count)
	e.JNZ(operand.LabelRef(label))
	e.Label(label + "Done")
}

func maxPool(e *sweep) {
	const most = 4
	e.function("maxPool", "takes the maximum over a window.", "dst, x []T, offs []int, n int")
	free := e.begin()
	best, t, nan, lowest := free.take(most), free.one(), free.one(), free.one()
	e.constant(bitsNegInf, lowest)
	x, dst, col, at := e.arg("x"), e.arg("dst"), e.GP64(), e.GP64()
	e.chunks(most, e.arg("n"), col, func(c chunk) {
		for v := range c.vectors {
			e.VMOVAPS(lowest, best[v])
		}
		e.windows(c.prefix+"Window", col, []string{"offs"}, []reg.GPVirtual{at}, func() {
			for v := range c.vectors {
				e.read(c, x, at, v, t)
				e.raise(best[v], t, nan)
			}
		})
		e.writeExact(c, dst, col, best, []reg.VecPhysical{t, nan})
	})
}

// raise sets best to the larger of best and t, or to NaN if either is. The maximum
// instruction returns best if either is NaN, so a NaN in t is moved separately.
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
	args, lists := "dx, dy, x, y []float32, offs []int, n int", []string{"offs"}
	if e.onBF16 {
		args, lists = "dx []float32, dy, x, y []uint16, dxOffs, xOffs []int, n int", []string{"xOffs", "dxOffs"}
	}
	e.function("maxPoolGrad", "adds dy to dx at the first offset where x is y or NaN.", args)
	free := e.begin()
	y, dy, todo := free.take(most), free.take(most), free.take(most)
	t, u, w := free.one(), free.one(), free.one()
	dxBase, xBase, yBase, dyBase := e.arg("dx"), e.arg("x"), e.arg("y"), e.arg("dy")
	col, at := e.GP64(), []reg.GPVirtual{e.GP64(), e.GP64()}[:len(lists)]
	xAt, dxAt := at[0], at[len(at)-1]
	e.chunks(most, e.arg("n"), col, func(c chunk) {
		c.woven = false // dx is not
		e.readAll(c, yBase, col, y)
		e.readAll(c, dyBase, col, dy)
		for v := range c.vectors {
			e.all(v, todo[v])
		}
		e.windows(c.prefix+"Window", col, lists, at, func() {
			for v := range c.vectors {
				e.read(c, xBase, xAt, v, t)
				e.load(e.floats(dxBase, dxAt, v), u, c.masked)
				e.assign(v, y[v], dy[v], todo[v], t, u, w)
				e.store(u, e.floats(dxBase, dxAt, v), c.masked)
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

// assign adds dy to u in the unassigned lanes where x is y or NaN, and marks these lanes as
// assigned.
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

// maxPoolWords writes the maximum over a window of bfloat16. It compares them as integers,
// their keys, which are in the order of the numbers: the bits other than the sign are inverted
// in negative numbers, and then everything is moved such that the NaN of both signs are the
// largest. The AVX2 kernel takes only whole vectors.
func maxPoolWords(e *sweep) {
	const most = 4
	name := "maxPoolBF16"
	if !e.wide() {
		name = "maxPoolWords"
	}
	e.emitter.function(name, "takes the maximum over a window.", "dst, x []uint16, offs []int, n int")
	free := registers{e: e.emitter}
	best, t, u := free.take(most), free.one(), free.one()
	w := wordKeys{emitter: e.emitter, bits: free.one(), nans: free.one(), lowest: free.one()}
	e.constant(0x7fff7fff, w.bits)
	e.constant(0x007f007f, w.nans)
	e.constant(0x80008000, w.lowest)
	x, dst, col, at, left := e.arg("x"), e.arg("dst"), e.GP64(), e.GP64(), e.arg("n")
	words := 2 * e.lanes
	pool := func(label string, vectors int, masked bool) {
		for v := range vectors {
			e.VMOVAPS(w.lowest, best[v])
		}
		e.windows(label, col, []string{"offs"}, []reg.GPVirtual{at}, func() {
			for v := range vectors {
				m := operand.Mem{Base: x, Index: at, Scale: 1, Disp: v * e.bytes()}
				if masked {
					e.VMOVDQU16_Z(m, reg.K1, t)
				} else {
					e.VMOVUPS(m, t)
				}
				w.key(t, u)
				e.VPMAXSW(u, best[v], best[v])
			}
		})
		for v := range vectors {
			m := operand.Mem{Base: dst, Index: col, Scale: 1, Disp: v * e.bytes()}
			w.value(best[v], u)
			if masked {
				e.VMOVDQU16(u, reg.K1, m)
			} else {
				e.VMOVUPS(u, m)
			}
		}
	}
	e.XORQ(col, col)
	for _, c := range []struct {
		vectors    int
		this, next string
	}{{most, "many", "single"}, {1, "single", "tail"}} {
		e.Label(c.this)
		e.CMPQ(left, operand.U32(uint32(c.vectors*words)))
		e.JLT(operand.LabelRef(c.next))
		pool(c.this+"Window", c.vectors, false)
		e.ADDQ(operand.U32(uint32(c.vectors*e.bytes())), col)
		e.SUBQ(operand.U32(uint32(c.vectors*words)), left)
		e.JMP(operand.LabelRef(c.this))
	}
	e.Label("tail")
	if e.wide() {
		bits := e.GP32()
		e.TESTQ(left, left)
		e.JLE(operand.LabelRef("end"))
		e.MOVL(operand.U32(0xffffffff), bits)
		e.BZHIL(left.As32(), bits, bits)
		e.KMOVD(bits, reg.K1)
		pool("tailWindow", 1, true)
		e.Label("end")
	}
	e.done()
}

// wordKeys has the constants that keys of bfloat16 need.
type wordKeys struct {
	*emitter
	bits   reg.VecPhysical // all but the sign
	nans   reg.VecPhysical // how many NaN of a sign there are
	lowest reg.VecPhysical // the key of -Inf
}

// key sets key to the keys of x.
func (w *wordKeys) key(x, key reg.VecPhysical) {
	w.invert(x, key)
	w.VPSUBW(w.nans, key, key)
}

// value sets x to the numbers that have the keys in key, which it overwrites.
func (w *wordKeys) value(key, x reg.VecPhysical) {
	w.VPADDW(w.nans, key, key)
	w.invert(key, x)
}

// invert sets y to x with all bits but the sign inverted where x is negative.
func (w *wordKeys) invert(x, y reg.VecPhysical) {
	w.VPSRAW(operand.U8(15), x, y)
	if w.wide() {
		const xorAnd = operand.U8(0x6c) // x ^ (y & bits)
		w.VPTERNLOGD(xorAnd, w.bits, x, y)
		return
	}
	w.VPAND(w.bits, y, y)
	w.VPXOR(x, y, y)
}
