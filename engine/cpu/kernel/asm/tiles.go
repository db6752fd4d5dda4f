package main

import (
	"bytes"
	"fmt"
	"go/format"
	"math"
	"strings"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tilesFile writes the transforms of Winograd's convolution around products of 16-bit
// integers. The file of AVX512_BF16 has only those that round to bfloat16.
func tilesFile(e *emitter) {
	kinds := mixKinds()
	constants := mixConstants(e, kinds)
	if !e.bf16 {
		tilePeaks(e)
		tileFetch(e)
		tileSizes(e)
		tileQuantise(e)
	}
	for _, k := range kinds {
		x := &tiler{mixer: mixer{emitter: e, linear: newLinear(k.m), constants: constants}}
		switch {
		case strings.HasPrefix(k.name, "Input") && !e.bf16:
			x.input(k.name)
		case strings.HasPrefix(k.name, "Output") && !strings.HasPrefix(k.name, "OutputGrad"):
			x.output(k.name)
			if !e.bf16 {
				x.outputFloat(k.name)
			}
		}
	}
}

// magic is 1.5 * 2^23. Added to a number of less than 2^22 it rounds it to an integer, to
// nearest, ties to even, in the lower bits of the sum.
const magic = 12582912.0

// constantTable writes full vectors of a constant and returns the memory.
func (e *emitter) constantTable(name string, bits uint32) operand.Mem {
	m := e.StaticGlobal(name)
	e.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range e.lanes {
		e.AddDatum(4*i, operand.U32(bits))
	}
	return m
}

// tilePeaks writes the search for the largest magnitude of every image in some pixels.
func tilePeaks(e *emitter) {
	signs := e.constantTable("magnitudes", 0x7fff7fff)
	e.function("tilePeaks", "finds for every image the largest magnitude in count pixels, as the upper half of a float32, which is "+
		"negative if one of the values is. An image has width bytes of a pixel; in AVX2 a multiple of 32.",
		"peaks *uint32, pixels **uint16, count, width, images int")
	full, left := e.GP64(), e.arg("width")
	e.MOVQ(left, full)
	if e.wide() {
		bits := e.GP32()
		e.ANDQ(operand.U8(63), left)
		e.SHRQ(operand.U8(1), left)
		e.MOVL(operand.U32(0xffffffff), bits)
		e.BZHIL(left.As32(), bits, bits)
		e.KMOVD(bits, reg.K1)
	}
	e.ANDQ(operand.I32(-int32(e.bytes())), full)
	peaks, pixels, count, images := e.arg("peaks"), e.arg("pixels"), e.arg("count"), e.arg("images")
	image, at, n, from, bits, plain := e.GP64(), e.GP64(), e.GP64(), e.GP64(), e.GP32(), e.GP32()
	e.XORQ(image, image)
	e.Label("image")
	p := &peaker{emitter: e, signs: signs, full: full, left: left, pixels: pixels, count: count, image: image, at: at, n: n, from: from}
	p.pass("plain", false, bits)
	e.MOVL(bits, plain)
	e.ANDL(operand.U32(bitsNoSign), plain)
	e.JZ(operand.LabelRef("positive"))
	p.pass("signed", true, bits)
	e.ORL(operand.U32(bitsNoSign), bits)
	e.Label("positive")
	e.MOVL(bits, operand.Mem{Base: peaks})
	e.ADDQ(operand.U8(4), peaks)
	width := e.arg("width")
	e.ADDQ(width, image)
	e.DECQ(images)
	e.JNZ(operand.LabelRef("image"))
	e.done()
}

// peaker has the registers of tilePeaks.
type peaker struct {
	*emitter
	signs                             operand.Mem
	full, left                        reg.GPVirtual // bytes in full vectors; words beyond them
	pixels, count, image, at, n, from reg.GPVirtual
}

// pass leaves the largest word of an image, or with signed the largest magnitude, in the
// upper half of bits.
func (e *peaker) pass(label string, signed bool, bits reg.GPVirtual) {
	most, word, mask := e.regs[0], e.regs[1], e.regs[2]
	e.zero(most)
	if signed {
		e.VMOVUPS(e.signs, mask)
	}
	take := func(m operand.Mem, masked bool) {
		switch {
		case masked:
			e.VMOVDQU16_Z(m, reg.K1, word)
		case !signed:
			e.VPMAXUW(m, most, most)
			return
		case e.wide():
			e.VPANDD(m, mask, word)
		default:
			e.VPAND(m, mask, word)
		}
		if masked && signed {
			e.VPANDD(word, mask, word)
		}
		e.VPMAXUW(word, most, most)
	}
	e.XORQ(e.n, e.n)
	e.Label(label + "Pixel")
	e.MOVQ(operand.Mem{Base: e.pixels, Index: e.n, Scale: 8}, e.from)
	e.ADDQ(e.image, e.from)
	e.XORQ(e.at, e.at)
	e.TESTQ(e.full, e.full)
	e.JZ(operand.LabelRef(label + "Rest"))
	e.Label(label + "Vector")
	take(operand.Mem{Base: e.from, Index: e.at, Scale: 1}, false)
	e.ADDQ(operand.U8(e.bytes()), e.at)
	e.CMPQ(e.at, e.full)
	e.JLT(operand.LabelRef(label + "Vector"))
	e.Label(label + "Rest")
	if e.wide() {
		e.TESTQ(e.left, e.left)
		e.JZ(operand.LabelRef(label + "Next"))
		take(operand.Mem{Base: e.from, Index: e.at, Scale: 1}, true)
		e.Label(label + "Next")
	}
	e.INCQ(e.n)
	e.CMPQ(e.n, e.count)
	e.JLT(operand.LabelRef(label + "Pixel"))
	if e.wide() {
		e.VEXTRACTI64X4(operand.U8(1), most, word.AsY())
		e.VPMAXUW(word.AsY(), most.AsY(), most.AsY())
	}
	e.VEXTRACTI128(operand.U8(1), most.AsY(), word.AsX())
	e.VPMAXUW(word.AsX(), most.AsX(), most.AsX())
	e.VPCMPEQW(word.AsX(), word.AsX(), word.AsX())
	e.VPXOR(word.AsX(), most.AsX(), most.AsX())
	e.VPHMINPOSUW(most.AsX(), most.AsX())
	e.VMOVD(most.AsX(), bits)
	e.NOTL(bits)
	e.SHLL(operand.U8(16), bits)
}

// tileFetch writes a loop that prefetches lines.
func tileFetch(e *emitter) {
	e.function("tileFetch", "prefetches rows of memory, ld bytes apart, into the second-level cache. rows must be positive.",
		"x *uint16, rows, ld int")
	x, rows, ld := e.arg("x"), e.arg("rows"), e.arg("ld")
	e.Label("row")
	e.PREFETCHT1(operand.Mem{Base: x})
	e.ADDQ(ld, x)
	e.DECQ(rows)
	e.JNZ(operand.LabelRef("row"))
	e.RET()
}

// tileSizes writes the sums and the maxima of the magnitudes of columns.
func tileSizes(e *emitter) {
	signs := e.constantTable("withoutSign", 0x7fffffff)
	e.function("tileSizes", "computes the sum and the maximum of the magnitudes of every column of u, which is as wide as a panel.",
		"sum, most, u *float32, rows int")
	u, rows := e.arg("u"), e.arg("rows")
	sum, most, x, mask := e.regs[0:2], e.regs[2:4], e.regs[4], e.regs[5]
	e.VMOVUPS(signs, mask)
	for v := range 2 {
		e.zero(sum[v])
		e.zero(most[v])
	}
	e.Label("row")
	for v := range 2 {
		m := operand.Mem{Base: u, Disp: v * e.bytes()}
		if e.wide() {
			e.VPANDD(m, mask, x)
		} else {
			e.VPAND(m, mask, x)
		}
		e.VADDPS(x, sum[v], sum[v])
		e.VMAXPS(most[v], x, most[v])
	}
	e.ADDQ(operand.U32(uint32(2*e.bytes())), u)
	e.DECQ(rows)
	e.JNZ(operand.LabelRef("row"))
	s, m := e.arg("sum"), e.arg("most")
	for v := range 2 {
		e.store(sum[v], operand.Mem{Base: s, Disp: v * e.bytes()}, false)
		e.store(most[v], operand.Mem{Base: m, Disp: v * e.bytes()}, false)
	}
	e.done()
}

// tileQuantise writes the rounding of a panel of weights.
func tileQuantise(e *emitter) {
	table := e.constantTable("nearest", math.Float32bits(magic))
	e.function("tileQuantise", "rounds u times the scale of its column to integers and interleaves pairs of rows. u is as wide as a panel.",
		"dst *int16, u, scale *float32, pairs int")
	dst, u, scale, pairs := e.arg("dst"), e.arg("u"), e.arg("scale"), e.arg("pairs")
	s, near, even, odd := e.regs[0:2], e.regs[2], e.regs[3], e.regs[4]
	for v := range 2 {
		e.VMOVUPS(operand.Mem{Base: scale, Disp: v * e.bytes()}, s[v])
	}
	e.VMOVUPS(table, near)
	e.oddWords()
	e.Label("pair")
	for v := range 2 {
		e.VMOVUPS(operand.Mem{Base: u, Disp: v * e.bytes()}, even)
		e.VMOVUPS(operand.Mem{Base: u, Disp: (2 + v) * e.bytes()}, odd)
		e.VFMADD213PS(near, s[v], even)
		e.VFMADD213PS(near, s[v], odd)
		e.joinWords(even, odd)
		e.VMOVUPS(even, operand.Mem{Base: dst, Disp: v * e.bytes()})
	}
	e.ADDQ(operand.U32(uint32(4*e.bytes())), u)
	e.ADDQ(operand.U32(uint32(2*e.bytes())), dst)
	e.DECQ(pairs)
	e.JNZ(operand.LabelRef("pair"))
	e.done()
}

// oddWords sets K2 to the odd words, which joinWords needs in AVX-512.
func (e *emitter) oddWords() {
	if e.wide() {
		bits := e.GP32()
		e.MOVL(operand.U32(0xaaaaaaaa), bits)
		e.KMOVD(bits, reg.K2)
	}
}

// joinWords puts the lower words of odd above those of even. It overwrites odd.
func (e *emitter) joinWords(even, odd reg.VecPhysical) {
	e.VPSLLD(operand.U8(16), odd, odd)
	if e.wide() {
		e.VMOVDQU16(odd, reg.K2, even)
	} else {
		e.VPBLENDW(operand.U8(0xaa), odd, even, even)
	}
}

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

// drain has the operands of the end of an output transform.
type drain struct {
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
			"gets a scale and a shift of its column"+doc+" and is at least floor. An image has ld bytes of a pixel.",
			"dst, res **uint16, ld int, src *float32, apart int, inverse, scale, shift *float32, floor float32, spill *float32, images, ny, nx int")
		x.begin()
		d := &drain{dst: x.arg("dst"), off: x.GP64(), residual: residual, inverse: x.take(), scale: x.take(), shift: x.take(), floor: x.take()}
		if residual {
			d.res = x.arg("res")
		}
		x.VBROADCASTSS(x.addr("floor"), d.floor)
		x.products(d, x.bytes()/2, func(i, j int, v reg.VecPhysical) { x.finish(d, i*len(x.outs)+j, v) })
	}
}

// finish computes a pixel from one value and writes it.
func (x *tiler) finish(d *drain, pixel int, v reg.VecPhysical) {
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
		"dst **float32, src *float32, apart int, inverse, spill *float32, images, ny, nx int")
	x.begin()
	d := &drain{dst: x.arg("dst"), off: x.GP64(), inverse: x.take()}
	x.products(d, x.bytes(), func(i, j int, v reg.VecPhysical) {
		y, at := x.take(), x.GP64()
		x.VMULPS(d.inverse, v, y)
		x.MOVQ(operand.Mem{Base: d.dst, Disp: 8 * (i*len(x.outs) + j)}, at)
		x.VMOVUPS(y, operand.Mem{Base: at, Index: d.off, Scale: 1})
		x.give(y)
	})
}

// products transforms the two vectors of every image and calls sink with the results. width
// is the size of a vector in the result.
func (x *tiler) products(d *drain, width int, sink func(i, j int, v reg.VecPhysical)) {
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
	x.MOVQ(src, column)
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
	x.ADDQ(operand.U8(x.bytes()), src)
	x.ADDQ(operand.U8(width), d.off)
	x.ADDQ(operand.U8(x.bytes()), half)
	x.CMPQ(half, operand.U32(uint32(2*x.bytes())))
	x.JLT(operand.LabelRef("half"))
	if d.scale != nil { // the next image of the pixel
		x.ADDQ(x.addr("ld"), d.off)
		x.SUBQ(operand.U8(2*width), d.off)
	}
	x.ADDQ(operand.U8(4), inverse)
	x.DECQ(images)
	x.JNZ(operand.LabelRef("image"))
	x.done()
}

// tileSwitch returns the Go text that calls the transforms of an instruction set.
func tileSwitch(isa isa) string {
	var s strings.Builder
	write := func(role, suffix, doc, args, names string) {
		fmt.Fprintf(&s, "\n// tile%[1]s%[2]s%[3]s calls the transform %[4]s.\nfunc tile%[1]s%[2]s%[3]s(m int, %[5]s) {\n\tswitch m {\n",
			role, suffix, isa.suffix, doc, args)
		for _, w := range algorithms {
			fmt.Fprintf(&s, "\tcase %[1]d:\n\t\ttile%[2]s%[1]d%[3]s%[4]s(%[5]s)\n", w.m, role, suffix, isa.suffix, names)
		}
		s.WriteString("\t}\n}\n")
	}
	const args = "dst, res **uint16, ld int, src *float32, apart int, inverse, scale, shift *float32, floor float32, spill *float32, images, ny, nx int"
	const names = "dst, res, ld, src, apart, inverse, scale, shift, floor, spill, images, ny, nx"
	write("Output", "", "of products into bfloat16", args, names)
	write("Output", "Residual", "of products into bfloat16 with a residual", args, names)
	if isa.bf16 {
		return s.String()
	}
	write("Output", "Float", "of products into float32", "dst **float32, src *float32, apart int, inverse, spill *float32, images, ny, nx int",
		"dst, src, apart, inverse, spill, images, ny, nx")
	write("Input", "", "of a tile", "dst *int16, apart int, src **uint16, factors, scale, spill *float32, steps int",
		"dst, apart, src, factors, scale, spill, steps")
	return s.String()
}

// operationsFile returns the Go text of the operations that the transforms do, in their
// order.
func operationsFile() []byte {
	var s bytes.Buffer
	s.WriteString("// Code generated by engine/cpu/kernel/asm. DO NOT EDIT.\n\npackage kernel\n\n" +
		"// mixSteps holds the operations by which the assembly computes the transforms of F(2,3),\n// F(3,3) and F(4,3): of the input, of the output and of the filter.\n" +
		"var mixSteps = [3][3]mixSequence{\n")
	for _, w := range algorithms {
		s.WriteString("{\n")
		for _, m := range []matrix{w.input(), w.output(), w.filter()} {
			l := newLinear(m)
			fmt.Fprintf(&s, "{ins: %d, outs: []int{", l.ins)
			for _, o := range l.outs {
				fmt.Fprintf(&s, "%d, ", o)
			}
			s.WriteString("}, ops: []mixOperation{\n")
			for _, op := range l.ops {
				c, _ := op.c.Float32()
				fmt.Fprintf(&s, "{%d, %d, %v},\n", op.a, op.b, c)
			}
			s.WriteString("}},\n")
		}
		s.WriteString("},\n")
	}
	s.WriteString("}\n")
	text, err := format.Source(s.Bytes())
	if err != nil {
		panic(err)
	}
	return text
}
