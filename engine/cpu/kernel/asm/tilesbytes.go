package main

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tilesBytesFile writes the transforms of Winograd's convolution of 8-bit integers.
func tilesBytesFile(e *emitter) {
	moveLines(e, true)
	moveLines(e, false)
	limit := e.constantTable("byteLimit", bits255)
	for _, w := range exactAlgorithms {
		x := &byteTiler{tiler: tiler{mixer{emitter: e, linear: newLinear(w.input()), integers: 16}}, exact: w, limit: limit}
		x.input()
		m, _ := w.output()
		x.linear, x.integers = newLinear(m), 32
		x.undo = e.constantTable(fmt.Sprintf("undo%d", w.m), w.inverse())
		for _, r := range []result{byteResult, bf16Result, floatResult} {
			x.output(r)
		}
	}
}

// byteTiler emits the transforms of one algorithm.
type byteTiler struct {
	tiler
	exact       exact
	limit, undo operand.Mem // tables: the largest result, and the inverse of the odd part of the scales
}

// square transforms the columns and then the rows of a tile. source returns a register with
// an input. sink uses an output and frees its register. row is called before each row.
//
// AVX-512 keeps what is between the passes in registers, those of some rows at a time.
func (x *byteTiler) square(spill reg.GPVirtual, parts [][]int, source func(k, c int) reg.VecPhysical, row func(i int), sink func(i, j int, v reg.VecPhysical)) {
	whole, t := x.linear, x.ins
	defer func() { x.linear, x.claims = whole, false }()
	if !x.wide() {
		parts = [][]int{make([]int, len(x.outs))}
		for i := range parts[0] {
			parts[0][i] = i
		}
	}
	for _, part := range parts {
		between := make([][]reg.VecPhysical, len(whole.outs))
		x.linear, x.claims = whole.only(part...), true
		for c := range t {
			x.transform(func(k int) reg.VecPhysical { return source(k, c) }, func(i int, v reg.VecPhysical) {
				if x.wide() {
					between[i] = append(between[i], v)
					return
				}
				x.store(v, x.slot(spill, i*t+c), false)
				x.give(v)
			})
		}
		x.linear = whole
		for _, i := range part {
			row(i)
			inputs := x.loads(func(c int) operand.Mem { return x.slot(spill, i*t+c) })
			if x.wide() {
				inputs = func(c int) reg.VecPhysical { return between[i][c] }
			}
			x.transform(inputs, func(j int, v reg.VecPhysical) { sink(i, j, v) })
		}
	}
}

// ends closes a row that the code may skip; it is called before the next one.
func (x *byteTiler) ends(label *string) {
	if *label != "" {
		x.Label(*label)
		*label = ""
	}
}

// input writes the transform of a tile of bytes.
func (x *byteTiler) input() {
	x.function(fmt.Sprintf("exactInput%d", x.exact.m), fmt.Sprintf("transforms a tile, %d bytes of every pixel in a step, into words. The results of the points lie apart "+
		"bytes from one another.", 2*x.lanes), "dst *int16, apart int, src **uint8, spill *float32, steps int")
	x.free = append(x.free[:0], x.regs...)
	t := x.ins
	dst, src, apart, spill := x.arg("dst"), x.arg("src"), x.strides(x.arg("apart")), x.arg("spill")
	row, from, at, end := x.GP64(), x.GP64(), x.GP64(), x.arg("steps")
	x.IMUL3Q(operand.U8(uint8(2*x.lanes)), end, end)
	x.XORQ(at, at)
	x.Label("step")
	x.square(spill, [][]int{{0, 1, 2}, []int{3, 4, 5}[:t-3]}, func(k, c int) reg.VecPhysical {
		r := x.take()
		x.MOVQ(operand.Mem{Base: src, Disp: 8 * (k*t + c)}, from)
		x.VPMOVZXBW(operand.Mem{Base: from, Index: at, Scale: 1}, r)
		return r
	}, func(i int) {
		if i == 0 {
			x.LEAQ(operand.Mem{Base: dst, Index: at, Scale: 2}, row)
			return
		}
		x.LEAQ(apart.times(row, t-1), row)
		x.ADDQ(apart.one, row)
	}, func(i, j int, v reg.VecPhysical) {
		x.store(v, apart.times(row, j), false)
		x.give(v)
	})
	x.ADDQ(operand.U8(uint8(2*x.lanes)), at)
	x.CMPQ(at, end)
	x.JLT(operand.LabelRef("step"))
	x.done()
}

// byteDrain has the operands of the end of an output transform. AVX2 has too few registers
// to keep the vectors.
type byteDrain struct {
	result                               result
	off, half                            reg.GPVirtual
	scale, shift, resScale, least, limit reg.VecPhysical
	undo                                 operand.Op
}

// output writes the transform of products back into pixels of a type.
func (x *byteTiler) output(r result) {
	x.function(fmt.Sprintf("exactOutput%s%d", r.name(), x.exact.m), "transforms the sums of a tile, whose points lie apart bytes from one another, into ny x nx pixels, as an "+
		"Epilogue says. Sums have width bytes of columns; an image begins gap elements behind the one before.",
		"dst **"+r.element()+", res **uint8, halves **uint16, gap int, src *int32, apart int, scale, shift *float32, resScale float32, least uint32, spill *float32, width, images, ny, nx int")
	x.free = append(x.free[:0], x.regs...)
	d := &byteDrain{result: r, off: x.GP64(), half: x.GP64(), undo: x.undo}
	if x.wide() {
		d.scale, d.shift, d.resScale, d.least, d.limit = x.take(), x.take(), x.take(), x.take(), x.take()
		undo := x.take()
		d.undo = undo
		x.VMOVUPS(x.undo, undo)
		x.VMOVUPS(x.limit, d.limit)
		x.VBROADCASTSS(x.addr("least"), d.least)
		x.VBROADCASTSS(x.addr("resScale"), d.resScale)
	}
	t := x.ins
	src, spill, column, across, images := x.arg("src"), x.arg("spill"), x.GP64(), x.GP64(), x.arg("images")
	apart := x.arg("apart")
	x.IMUL3Q(operand.U8(uint8(t)), apart, across) // distance of two rows of points
	rows := x.strides(across)
	x.XORQ(d.off, d.off)
	x.Label("image")
	x.XORQ(d.half, d.half)
	x.Label("half")
	if x.wide() {
		x.VMOVUPS(operand.Mem{Base: x.arg("scale"), Index: d.half, Scale: 1}, d.scale)
		x.VMOVUPS(operand.Mem{Base: x.arg("shift"), Index: d.half, Scale: 1}, d.shift)
	}
	skipped, last := "", -1
	x.square(spill, [][]int{{0, 2}, []int{1, 3}[:x.exact.m-2]}, func(k, c int) reg.VecPhysical {
		if c != last { // the next column, or the first again
			last = c
			if c == 0 {
				x.ends(&skipped)
				x.LEAQ(operand.Mem{Base: src, Index: d.half, Scale: 1}, column)
			} else {
				x.ADDQ(apart, column)
			}
		}
		v := x.take()
		x.VMOVUPS(rows.times(column, k), v)
		return v
	}, func(i int) {
		x.ends(&skipped)
		if i > 0 {
			skipped = x.label("below")
			x.CMPQ(x.addr("ny"), operand.U8(uint8(i)))
			x.JLE(operand.LabelRef(skipped))
		}
	}, func(i, j int, v reg.VecPhysical) {
		beside := x.label("beside")
		if j > 0 {
			x.CMPQ(x.addr("nx"), operand.U8(uint8(j)))
			x.JLE(operand.LabelRef(beside))
		}
		x.finish(d, i, j, v)
		if j > 0 {
			x.Label(beside)
		}
		x.give(v)
	})
	x.ends(&skipped)
	x.ADDQ(operand.U8(uint8(x.lanes)), d.off)
	x.ADDQ(operand.U8(uint8(x.bytes())), d.half)
	x.CMPQ(d.half, x.addr("width"))
	x.JLT(operand.LabelRef("half"))
	x.ADDQ(operand.U32(uint32(2*x.bytes())), src)
	x.ADDQ(x.addr("gap"), d.off)
	x.DECQ(images)
	x.JNZ(operand.LabelRef("image"))
	x.done()
}

// finish makes a pixel of one value and writes it.
func (x *byteTiler) finish(d *byteDrain, i, j int, v reg.VecPhysical) {
	shifts, at, pixel := x.exact.shifts(), x.GP64(), 8*(i*x.exact.m+j)
	x.VPMULLD(d.undo, v, v)
	x.VPSRAD(operand.U8(uint8(shifts[i]+shifts[j])), v, v)
	x.VCVTDQ2PS(v, v)
	t, u := x.take(), x.take()
	if x.wide() {
		x.VFMADD213PS(d.shift, d.scale, v)
	} else {
		x.MOVQ(x.addr("scale"), at)
		x.VMOVUPS(operand.Mem{Base: at, Index: d.half, Scale: 1}, t)
		x.MOVQ(x.addr("shift"), at)
		x.VFMADD213PS(operand.Mem{Base: at, Index: d.half, Scale: 1}, t, v)
	}
	x.MOVQ(x.addr("res"), at)
	x.unless(x.label("noBytes"), at, func() {
		x.MOVQ(operand.Mem{Base: at, Disp: pixel}, at)
		x.loadBytes(operand.Mem{Base: at, Index: d.off, Scale: 1}, t, false)
		x.VCVTDQ2PS(t, t)
		factor := d.resScale
		if !x.wide() {
			x.VBROADCASTSS(x.addr("resScale"), u)
			factor = u
		}
		x.VFMADD231PS(factor, t, v)
	})
	x.MOVQ(x.addr("halves"), at)
	x.unless(x.label("noHalves"), at, func() {
		x.MOVQ(operand.Mem{Base: at, Disp: pixel}, at)
		x.loadBF16(operand.Mem{Base: at, Index: d.off, Scale: 2}, t, false)
		x.VADDPS(t, v, v)
	})
	least, limit := d.least, d.limit
	if !x.wide() {
		least, limit = x.take(), u // which other results than bytes need for rounding
		x.VBROADCASTSS(x.addr("least"), least)
		if d.result == byteResult {
			x.VMOVUPS(x.limit, limit)
		}
	}
	x.MOVQ(x.addr("dst"), at)
	x.MOVQ(operand.Mem{Base: at, Disp: pixel}, at)
	s := &sweep{emitter: x.emitter}
	s.putResult(d.result, v, operand.Mem{Base: at, Index: d.off, Scale: uint8(d.result)}, false, least, limit, t, u)
	x.give(t)
	x.give(u)
	if !x.wide() {
		x.give(least)
	}
}

// exactSwitch returns the Go text that calls the transforms of an instruction set.
func exactSwitch(isa isa) string {
	var s strings.Builder
	write := func(name, doc, args, names string) {
		fmt.Fprintf(&s, "\n// %[1]s%[2]s calls the transform %[3]s.\nfunc %[1]s%[2]s(m int, %[4]s) {\n\tswitch m {\n", name, isa.suffix, doc, args)
		for _, w := range exactAlgorithms {
			fmt.Fprintf(&s, "\tcase %[1]d:\n\t\t%[2]s%[1]d%[3]s(%[4]s)\n", w.m, name, isa.suffix, names)
		}
		s.WriteString("\t}\n}\n")
	}
	write("exactInput", "of a tile", "dst *int16, apart int, src **uint8, spill *float32, steps int", "dst, apart, src, spill, steps")
	for _, r := range []result{byteResult, bf16Result, floatResult} {
		write("exactOutput"+r.name(), "of sums", "dst **"+r.element()+", res **uint8, halves **uint16, gap int, src *int32, apart int, scale, shift *float32, "+
			"resScale float32, least uint32, spill *float32, width, images, ny, nx int",
			"dst, res, halves, gap, src, apart, scale, shift, resScale, least, spill, width, images, ny, nx")
	}
	return s.String()
}
