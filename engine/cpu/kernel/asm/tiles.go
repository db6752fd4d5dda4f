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
		tileMaxima(e, false)
		tileMaxima(e, true)
		tilePeaks(e)
		tileFetch(e)
		tileSizes(e, false)
		tileSizes(e, true)
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

// tileMaxima writes the largest word, or with signed the largest magnitude, at each place of
// some pixels.
func tileMaxima(e *emitter, signed bool) {
	name, doc := "tileWords", "finds the largest of the words at every place of count pixels."
	if signed {
		name, doc = "tileMagnitudes", "finds the largest magnitude at every place of count pixels."
	}
	var signs operand.Mem
	if signed {
		signs = e.constantTable("magnitudes", 0x7fff7fff)
	}
	e.function(name, doc+" A pixel has size bytes, in AVX2 a multiple of 32.", "dst *uint16, pixels **uint16, count, size int")
	dst, pixels, count, left := e.arg("dst"), e.arg("pixels"), e.arg("count"), e.arg("size")
	at, n, from := e.GP64(), e.GP64(), e.GP64()
	mask, word := e.regs[9], e.regs[8]
	e.tailWords(left)
	if signed {
		e.VMOVUPS(signs, mask)
	}
	e.XORQ(at, at)
	block := func(label, next string, vectors, bytes int, masked bool) {
		e.Label(label)
		e.CMPQ(left, operand.U32(uint32(bytes)))
		e.JLT(operand.LabelRef(next))
		for v := range vectors {
			e.zero(e.regs[v])
		}
		e.XORQ(n, n)
		e.Label(label + "Pixel")
		e.MOVQ(operand.Mem{Base: pixels, Index: n, Scale: 8}, from)
		for v := range vectors {
			m, most := e.vec(from, at, v), e.regs[v]
			switch {
			case masked:
				e.VMOVDQU16_Z(m, reg.K1, word)
				if signed {
					e.VPANDD(word, mask, word)
				}
				e.VPMAXUW(word, most, most)
			case !signed:
				e.VPMAXUW(m, most, most)
			default:
				e.and(m, mask, word)
				e.VPMAXUW(word, most, most)
			}
		}
		e.INCQ(n)
		e.CMPQ(n, count)
		e.JLT(operand.LabelRef(label + "Pixel"))
		for v := range vectors {
			m := e.vec(dst, at, v)
			if masked {
				e.VMOVDQU16(e.regs[v], reg.K1, m)
			} else {
				e.VMOVUPS(e.regs[v], m)
			}
		}
		if masked {
			return
		}
		e.ADDQ(operand.U32(uint32(bytes)), at)
		e.SUBQ(operand.U32(uint32(bytes)), left)
		e.JMP(operand.LabelRef(label))
	}
	block("many", "single", 8, 8*e.bytes(), false)
	if e.wide() {
		block("single", "tail", 1, e.bytes(), false)
		block("tail", "end", 1, 1, true)
	} else {
		block("single", "end", 1, e.bytes(), false)
	}
	e.Label("end")
	e.done()
}

// and computes the bits that are set in both m and mask.
func (e *emitter) and(m operand.Mem, mask, to reg.VecPhysical) {
	if e.wide() {
		e.VPANDD(m, mask, to)
	} else {
		e.VPAND(m, mask, to)
	}
}

// tailWords sets K1 to the words of size bytes beyond full vectors, in AVX-512.
func (e *emitter) tailWords(size reg.GPVirtual) {
	if !e.wide() {
		return
	}
	words, bits := e.GP64(), e.GP32()
	e.MOVQ(size, words)
	e.ANDQ(operand.U8(63), words)
	e.SHRQ(operand.U8(1), words)
	e.MOVL(operand.U32(0xffffffff), bits)
	e.BZHIL(words.As32(), bits, bits)
	e.KMOVD(bits, reg.K1)
}

// tilePeaks writes the search for the largest word of every image.
func tilePeaks(e *emitter) {
	e.function("tilePeaks", "finds the largest word of every image and writes it as the upper half of a float32. An image has size bytes, in AVX2 a multiple of 32.",
		"peaks *uint32, words *uint16, size, images int")
	peaks, words, images, left := e.arg("peaks"), e.arg("words"), e.arg("images"), e.arg("size")
	most, word, bits := e.regs[0], e.regs[1], e.GP32()
	e.tailWords(left)
	e.Label("image")
	e.zero(most)
	e.MOVQ(e.addr("size"), left)
	e.Label("vector")
	e.CMPQ(left, operand.U8(e.bytes()))
	e.JLT(operand.LabelRef("rest"))
	e.VPMAXUW(operand.Mem{Base: words}, most, most)
	e.ADDQ(operand.U8(e.bytes()), words)
	e.SUBQ(operand.U8(e.bytes()), left)
	e.JMP(operand.LabelRef("vector"))
	e.Label("rest")
	if e.wide() {
		e.TESTQ(left, left)
		e.JZ(operand.LabelRef("whole"))
		e.VMOVDQU16_Z(operand.Mem{Base: words}, reg.K1, word)
		e.VPMAXUW(word, most, most)
		e.ADDQ(left, words)
		e.Label("whole")
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
	e.MOVL(bits, operand.Mem{Base: peaks})
	e.ADDQ(operand.U8(4), peaks)
	e.DECQ(images)
	e.JNZ(operand.LabelRef("image"))
	e.done()
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

// tileSizes writes the sums and the maxima of the magnitudes of columns, or with squares the
// sums of the squares.
func tileSizes(e *emitter, squares bool) {
	name, what, table := "tileSizes", "sum", "withoutSign"
	if squares {
		name, what, table = "tileSquares", "sum of squares", "withoutSignOfSquares"
	}
	signs := e.constantTable(table, 0x7fffffff)
	e.function(name, "computes the "+what+" and the maximum of the magnitudes of every column of u, which is as wide as a panel.",
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
		e.and(m, mask, x)
		e.VMAXPS(most[v], x, most[v])
		if squares {
			e.VMULPS(x, x, x)
		}
		e.VADDPS(x, sum[v], sum[v])
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
	const args = "dst, res **uint16, gap int, src *float32, apart, pitch int, inverse, scale, shift *float32, floor float32, spill *float32, width, images, ny, nx int"
	const names = "dst, res, gap, src, apart, pitch, inverse, scale, shift, floor, spill, width, images, ny, nx"
	write("Output", "", "of products into bfloat16", args, names)
	write("Output", "Residual", "of products into bfloat16 with a residual", args, names)
	if isa.bf16 {
		return s.String()
	}
	write("Output", "Float", "of products into float32", "dst **float32, src *float32, apart int, inverse, spill *float32, width, images, ny, nx int",
		"dst, src, apart, inverse, spill, width, images, ny, nx")
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
			writeSequence(&s, newLinear(m))
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

// writeSequence writes the Go text of a mixSequence.
func writeSequence(s *bytes.Buffer, l *linear) {
	fmt.Fprintf(s, "{ins: %d, outs: []int{", l.ins)
	for _, o := range l.outs {
		fmt.Fprintf(s, "%d, ", o)
	}
	s.WriteString("}, ops: []mixOperation{\n")
	for _, op := range l.ops {
		c, _ := op.c.Float32()
		fmt.Fprintf(s, "{%d, %d, %v},\n", op.a, op.b, c)
	}
	s.WriteString("}},\n")
}
