package main

import (
	"bytes"
	"fmt"
	"go/format"
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// lineTaps is the number of taps of lineTiling.
const lineTaps = 4

// lineTiling is the algorithm F(4,4) in one dimension: four results of four taps from seven
// values.
var lineTiling = winograd{4, points("1/4", "-1/4", "1", "-1", "2", "-2")}

// linesFile writes the transforms of tiles of lines. The file of AVX512_BF16 has only the one
// that rounds to bfloat16.
func linesFile(e *emitter) {
	in, out := mixKind{"LineInput", lineTiling.input()}, mixKind{"LineOutput", lineTiling.output()}
	constants := mixConstants(e, []mixKind{in, out})
	if !e.bf16 {
		(&tiler{mixer: mixer{emitter: e, linear: newLinear(in.m), constants: constants}}).lineInput()
	}
	(&tiler{mixer: mixer{emitter: e, linear: newLinear(out.m), constants: constants}}).lineOutput()
}

// lineInput writes the transform of the tiles of a line into integers. A tile has eight lanes;
// AVX-512 transforms two tiles at a time.
func (x *tiler) lineInput() {
	near := x.constantTable("nearestWords", math.Float32bits(magic))
	x.function("lineInput", "transforms tiles of a line of bfloat16, whose values lie size bytes apart, a tile four of them behind the one before. It rounds the results times "+
		"factors of the points to eight integers of each tile; those of the points lie apart bytes from one another.",
		"dst *int16, apart int, src *uint16, size int, factors *float32, steps int")
	x.begin()
	round := x.take()
	x.VMOVUPS(near, round)
	dst, src, factors, steps := x.arg("dst"), x.arg("src"), x.arg("factors"), x.arg("steps")
	apart, size, second := x.strides(x.arg("apart")), x.strides(x.arg("size")), x.GP64()
	x.Label("step")
	tiles := 1
	if x.wide() {
		tiles = 2
		x.LEAQ(size.times(src, 4), second)
	}
	x.transform(func(k int) reg.VecPhysical {
		r := x.take()
		if !x.wide() {
			x.VPMOVZXWD(size.upTo6(src, k), r)
		} else {
			x.VMOVDQU16(size.upTo6(src, k), r.AsX())
			x.VINSERTI32X4(operand.U8(1), size.upTo6(second, k), r.AsY(), r.AsY())
			x.VPMOVZXWD(r.AsY(), r)
		}
		x.VPSLLD(operand.U8(16), r, r)
		return r
	}, func(i int, v reg.VecPhysical) {
		factor, z := operand.Mem{Base: factors, Disp: 4 * i}, x.take()
		x.VBROADCASTSS(factor, z)
		x.VFMADD213PS(round, v, z)
		x.storeWords(z, apart.upTo6(dst, i))
		x.give(z)
	})
	x.ADDQ(operand.U8(16*tiles), dst)
	x.LEAQ(size.times(src, 4), src)
	if tiles == 2 {
		x.LEAQ(size.times(src, 4), src)
	}
	x.DECQ(steps)
	x.JNZ(operand.LabelRef("step"))
	x.done()
}

// upTo6 is times for up to six distances.
func (s strides) upTo6(base reg.GPVirtual, n int) operand.Mem {
	if n == 6 {
		return operand.Mem{Base: base, Index: s.three, Scale: 2}
	}
	return s.times(base, n)
}

// storeWords writes the lower words of all lanes. It overwrites v.
func (e *emitter) storeWords(v reg.VecPhysical, m operand.Mem) {
	if e.wide() {
		e.VPMOVDW(v, m)
		return
	}
	e.VPSLLD(operand.U8(16), v, v)
	e.VPSRAD(operand.U8(16), v, v)
	e.VPACKSSDW(v, v, v)
	e.VPERMQ(operand.U8(0x08), v, v)
	e.VMOVDQU(v.AsX(), m)
}

// lineOutput writes the transform of products back into pixels of a line.
func (x *tiler) lineOutput() {
	x.function("lineOutput", "transforms the products of tiles of a line, whose points lie apart bytes from one another, into four pixels of each, which lie pixel bytes apart. "+
		"Each gets a scale and a shift of its column and is at least floor. A tile has two vectors of columns in src, of which the first width bytes are used.",
		"dst *uint16, pixel int, src *float32, apart int, scale, shift *float32, floor float32, width, tiles int")
	x.begin()
	scale, shift, floor := x.take(), x.take(), x.take()
	x.VBROADCASTSS(x.addr("floor"), floor)
	apart, pixel := x.strides(x.arg("apart")), x.strides(x.arg("pixel"))
	half, src, dst, tiles, from := x.GP64(), x.GP64(), x.GP64(), x.GP64(), x.GP64()
	x.XORQ(half, half)
	x.Label("half")
	x.MOVQ(x.addr("scale"), from)
	x.VMOVUPS(operand.Mem{Base: from, Index: half, Scale: 1}, scale)
	x.MOVQ(x.addr("shift"), from)
	x.VMOVUPS(operand.Mem{Base: from, Index: half, Scale: 1}, shift)
	x.MOVQ(x.addr("src"), src)
	x.ADDQ(half, src)
	x.MOVQ(half, dst)
	x.SHRQ(operand.U8(1), dst)
	x.ADDQ(x.addr("dst"), dst)
	x.MOVQ(x.addr("tiles"), tiles)
	x.Label("tile")
	x.transform(x.loads(func(k int) operand.Mem { return apart.upTo6(src, k) }), func(i int, v reg.VecPhysical) {
		y, t, u := x.take(), x.take(), x.take()
		x.VMOVAPS(v, y)
		x.VFMADD213PS(shift, scale, y)
		x.VMAXPS(y, floor, y) // y where it is NaN
		x.storeBF16(y, pixel.times(dst, i), false, t, u)
		x.give(y)
		x.give(t)
		x.give(u)
	})
	x.LEAQ(pixel.times(dst, 4), dst)
	x.ADDQ(operand.U32(uint32(2*x.bytes())), src)
	x.DECQ(tiles)
	x.JNZ(operand.LabelRef("tile"))
	x.ADDQ(operand.U8(x.bytes()), half)
	x.CMPQ(half, x.addr("width"))
	x.JLT(operand.LabelRef("half"))
	x.done()
}

// linesText returns the Go text of the operations of the transforms of lines, in their order,
// and of the matrix of the filter.
func linesText() []byte {
	var s bytes.Buffer
	s.WriteString("// Code generated by engine/cpu/kernel/asm. DO NOT EDIT.\n\npackage kernel\n\n" +
		"// lineSteps holds the operations by which the assembly computes the transforms of tiles of\n// lines: of the input and of the output.\nvar lineSteps = [2]mixSequence{\n")
	for _, m := range []matrix{lineTiling.input(), lineTiling.output()} {
		writeSequence(&s, newLinear(m))
	}
	s.WriteString("}\n\n// lineInputs and lineFilter are the matrices of the input and of the filter.\nvar (\nlineInputs = [][]float64{\n")
	for i, m := range []matrix{lineTiling.input(), lineTiling.filterOf(lineTaps)} {
		if i == 1 {
			s.WriteString("}\nlineFilter = [][]float64{\n")
		}
		for _, row := range m {
			s.WriteString("{")
			for _, c := range row {
				fmt.Fprintf(&s, "%v.0 / %v, ", c.Num(), c.Denom())
			}
			s.WriteString("},\n")
		}
	}
	s.WriteString("}\n)\n")
	text, err := format.Source(s.Bytes())
	if err != nil {
		panic(err)
	}
	return text
}
