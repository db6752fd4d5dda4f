package main

import (
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tiler emits the transforms of one matrix.
type tiler struct{ mixer }

// give returns a register to the free ones.
func (x *tiler) give(r reg.VecPhysical) { x.free = append(x.free, r) }

// strides are multiples of a distance in bytes, up to five.
type strides struct{ one, three, five reg.GPVirtual }

func (x *tiler) strides(one reg.GPVirtual) strides {
	s := strides{one, x.GP64(), x.GP64()}
	x.LEAQ(operand.Mem{Base: one, Index: one, Scale: 2}, s.three)
	x.LEAQ(operand.Mem{Base: one, Index: one, Scale: 4}, s.five)
	return s
}

// times is the memory n distances behind base.
func (s strides) times(base reg.GPVirtual, n int) operand.Mem {
	switch n {
	case 0:
		return operand.Mem{Base: base}
	case 3:
		return operand.Mem{Base: base, Index: s.three, Scale: 1}
	case 5:
		return operand.Mem{Base: base, Index: s.five, Scale: 1}
	}
	return operand.Mem{Base: base, Index: s.one, Scale: uint8(n)}
}

// slot is the memory of vector n between the passes.
func (x *tiler) slot(spill reg.GPVirtual, n int) operand.Mem {
	return operand.Mem{Base: spill, Disp: n * x.bytes()}
}

// input writes the transform of a tile of bfloat16 into integers. A vector of words is
// transformed as two vectors of float32, the even and the odd words.
func (x *tiler) input(name string) {
	near := x.constantTable("near"+name, math.Float32bits(magic))
	upper := x.constantTable("upper"+name, 0xffff0000)
	x.function("tile"+name, "transforms a tile, 32 words of every pixel in a step, and rounds the results times factors of the points "+
		"and the scales of pairs of words to integers. The results of the points lie apart bytes from one another.",
		"dst *int16, apart int, src **uint16, factors, scale, spill *float32, steps int")
	x.begin()
	t := x.ins
	var high, round operand.Op = upper, near
	if x.wide() {
		h, r := x.take(), x.take()
		x.VMOVUPS(upper, h)
		x.VMOVUPS(near, r)
		high, round = h, r
	}
	x.oddWords()
	dst, src, factors, scale, spill := x.arg("dst"), x.arg("src"), x.arg("factors"), x.arg("scale"), x.arg("spill")
	apart := x.strides(x.arg("apart"))
	row, from, at, end := x.GP64(), x.GP64(), x.GP64(), x.arg("steps")
	x.SHLQ(operand.U8(6), end)
	x.XORQ(at, at)
	x.Label("step")
	for c := range t {
		raw := make([]reg.VecPhysical, t)
		pixel := func(k int) operand.Mem {
			x.MOVQ(operand.Mem{Base: src, Disp: 8 * (k*t + c)}, from)
			return operand.Mem{Base: from, Index: at, Scale: 1}
		}
		x.transform(func(k int) reg.VecPhysical {
			r := x.take()
			if !x.wide() {
				x.VMOVUPS(pixel(k), r)
				x.VPSLLD(operand.U8(16), r, r)
				return r
			}
			raw[k] = x.take()
			x.VMOVUPS(pixel(k), raw[k])
			x.VPSLLD(operand.U8(16), raw[k], r)
			return r
		}, x.stores(func(i int) operand.Mem { return x.slot(spill, 2*(i*t+c)) }))
		x.transform(func(k int) reg.VecPhysical {
			if x.wide() {
				x.VPANDD(high, raw[k], raw[k])
				return raw[k]
			}
			r := x.take()
			x.VMOVUPS(pixel(k), r)
			x.VPAND(high, r, r)
			return r
		}, x.stores(func(i int) operand.Mem { return x.slot(spill, 2*(i*t+c)+1) }))
	}
	s := x.take()
	x.VMOVUPS(operand.Mem{Base: scale, Index: at, Scale: 1}, s)
	x.LEAQ(operand.Mem{Base: dst, Index: at, Scale: 1}, row)
	for r := range t {
		x.inputRow(r, factors, spill, row, apart, s, round)
		if r < t-1 {
			x.LEAQ(apart.times(row, t-1), row)
			x.ADDQ(apart.one, row)
		}
	}
	x.give(s)
	x.ADDQ(operand.U8(x.bytes()), at)
	x.CMPQ(at, end)
	x.JLT(operand.LabelRef("step"))
	x.done()
}

// inputRow transforms a row between the passes and rounds it.
func (x *tiler) inputRow(r int, factors, spill, row reg.GPVirtual, apart strides, s reg.VecPhysical, round operand.Op) {
	t := x.ins
	even := make([]reg.VecPhysical, t)
	x.transform(x.loads(func(c int) operand.Mem { return x.slot(spill, 2*(r*t+c)) }),
		func(c int, v reg.VecPhysical) {
			if !x.wide() {
				x.VMOVUPS(v, x.slot(spill, 2*t*t+c))
				return
			}
			even[c] = x.take()
			x.VMOVAPS(v, even[c])
		})
	x.transform(x.loads(func(c int) operand.Mem { return x.slot(spill, 2*(r*t+c)+1) }),
		func(c int, v reg.VecPhysical) {
			factor, z := operand.Mem{Base: factors, Disp: 4 * (r*t + c)}, x.take()
			e := even[c]
			if x.wide() {
				x.VMULPS_BCST(factor, s, z)
			} else {
				e = x.take()
				x.VMOVUPS(x.slot(spill, 2*t*t+c), e)
				x.VBROADCASTSS(factor, z)
				x.VMULPS(z, s, z)
			}
			x.VFMADD213PS(round, z, e)
			x.VFMADD213PS(round, v, z)
			x.joinWords(e, z)
			x.VMOVUPS(e, apart.times(row, c))
			x.give(e)
			x.give(z)
		})
}

// tileDrain has the operands of the end of an output transform.
type tileDrain struct {
	dst, res, off         reg.GPVirtual
	inverse, scale, shift reg.VecPhysical
	floor                 reg.VecPhysical
	residual              bool
}

// output writes the transforms of products back into pixels, rounded to bfloat16.
func (x *tiler) output(name string) {
	for _, residual := range []bool{false, true} {
		full, doc := name, ""
		if residual {
			full, doc = name+"Residual", ", a residual"
		}
		x.function("tile"+full, "transforms the products of a tile, whose points lie apart bytes from one another, into ny x nx pixels. Each "+
			"gets a scale and a shift of its column"+doc+" and is at least floor. Products have width bytes of columns, and those of images lie pitch bytes apart; an image of a result begins gap bytes "+
			"behind the one before.",
			"dst, res **uint16, gap int, src *float32, apart, pitch int, inverse, scale, shift *float32, floor float32, spill *float32, width, images, ny, nx int")
		x.begin()
		d := &tileDrain{dst: x.arg("dst"), off: x.GP64(), residual: residual, inverse: x.take(), scale: x.take(), shift: x.take(), floor: x.take()}
		if residual {
			d.res = x.arg("res")
		}
		x.VBROADCASTSS(x.addr("floor"), d.floor)
		x.products(d, x.bytes()/2, func(i, j int, v reg.VecPhysical) { x.finish(d, i*len(x.outs)+j, v) })
	}
}

// finish computes a pixel from one value and writes it.
func (x *tiler) finish(d *tileDrain, pixel int, v reg.VecPhysical) {
	y, t, u := x.take(), x.take(), x.take()
	at := x.GP64()
	x.VMULPS(d.inverse, v, y)
	x.VFMADD213PS(d.shift, d.scale, y)
	if d.residual {
		x.MOVQ(operand.Mem{Base: d.res, Disp: 8 * pixel}, at)
		x.loadBF16(operand.Mem{Base: at, Index: d.off, Scale: 1}, t, false)
		x.VADDPS(t, y, y)
	}
	x.VMAXPS(y, d.floor, y) // y where it is NaN
	x.MOVQ(operand.Mem{Base: d.dst, Disp: 8 * pixel}, at)
	x.storeBF16(y, operand.Mem{Base: at, Index: d.off, Scale: 1}, false, t, u)
	x.give(y)
	x.give(t)
	x.give(u)
}

// outputFloat writes the transform of products back into float32 pixels.
func (x *tiler) outputFloat(name string) {
	x.function("tile"+name+"Float", "transforms the products of a tile, whose points lie apart bytes from one another, into ny x nx pixels in float32.",
		"dst **float32, src *float32, apart int, inverse, spill *float32, width, images, ny, nx int")
	x.begin()
	d := &tileDrain{dst: x.arg("dst"), off: x.GP64(), inverse: x.take()}
	x.products(d, x.bytes(), func(i, j int, v reg.VecPhysical) {
		y, at := x.take(), x.GP64()
		x.VMULPS(d.inverse, v, y)
		x.MOVQ(operand.Mem{Base: d.dst, Disp: 8 * (i*len(x.outs) + j)}, at)
		x.VMOVUPS(y, operand.Mem{Base: at, Index: d.off, Scale: 1})
		x.give(y)
	})
}

// products transforms the vectors, one or two, of every image and calls sink with the results. width
// is the size of a vector in the result.
func (x *tiler) products(d *tileDrain, width int, sink func(i, j int, v reg.VecPhysical)) {
	t, m := x.ins, len(x.outs)
	src, spill, inverse, half := x.arg("src"), x.arg("spill"), x.arg("inverse"), x.GP64()
	one := x.arg("apart")
	across := x.GP64() // distance of two rows of points
	x.IMUL3Q(operand.U8(t), one, across)
	rows := x.strides(across)
	column, images := x.GP64(), x.arg("images")
	x.XORQ(d.off, d.off)
	x.Label("image")
	x.VBROADCASTSS(operand.Mem{Base: inverse}, d.inverse)
	x.XORQ(half, half)
	x.Label("half")
	if d.scale != nil {
		p, q := x.arg("scale"), x.arg("shift")
		x.VMOVUPS(operand.Mem{Base: p, Index: half, Scale: 1}, d.scale)
		x.VMOVUPS(operand.Mem{Base: q, Index: half, Scale: 1}, d.shift)
	}
	x.LEAQ(operand.Mem{Base: src, Index: half, Scale: 1}, column)
	for c := range t {
		x.transform(x.loads(func(k int) operand.Mem { return rows.times(column, k) }),
			x.stores(func(i int) operand.Mem { return x.slot(spill, i*t+c) }))
		if c < t-1 {
			x.ADDQ(x.addr("apart"), column)
		}
	}
	for i := range m {
		if i > 0 {
			x.CMPQ(x.addr("ny"), operand.U8(i))
			x.JLE(operand.LabelRef("written"))
		}
		x.transform(x.loads(func(c int) operand.Mem { return x.slot(spill, i*t+c) }), func(j int, v reg.VecPhysical) {
			skip := x.label("outside")
			if j > 0 {
				x.CMPQ(x.addr("nx"), operand.U8(j))
				x.JLE(operand.LabelRef(skip))
			}
			sink(i, j, v)
			if j > 0 {
				x.Label(skip)
			}
		})
	}
	x.Label("written")
	x.ADDQ(operand.U8(width), d.off)
	x.ADDQ(operand.U8(x.bytes()), half)
	x.CMPQ(half, x.addr("width"))
	x.JLT(operand.LabelRef("half"))
	if d.scale != nil {
		x.ADDQ(x.addr("pitch"), src)
		x.ADDQ(x.addr("gap"), d.off)
	} else {
		x.ADDQ(operand.U32(uint32(2*x.bytes())), src)
	}
	x.ADDQ(operand.U8(4), inverse)
	x.DECQ(images)
	x.JNZ(operand.LabelRef("image"))
	x.done()
}
