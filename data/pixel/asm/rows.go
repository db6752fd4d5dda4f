package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// steps emits body as a loop over chunks of size bytes in a row of n >= size bytes; at is the
// first byte of a chunk. When n is not a multiple of size, the last chunk overlaps the one before
// it.
func (e *emitter) steps(label string, n reg.GPVirtual, size int, body func(at reg.GPVirtual)) {
	i, last := e.GP64(), e.GP64()
	e.XORQ(i, i)
	e.LEAQ(at(n, -size), last)
	e.Label(label)
	body(i)
	e.CMPQ(i, last)
	e.JGE(operand.LabelRef(label + "Done"))
	e.ADDQ(operand.Imm(uint64(size)), i)
	e.CMPQ(i, last)
	e.CMOVQGT(last, i)
	e.JMP(operand.LabelRef(label))
	e.Label(label + "Done")
}

func (e *emitter) upsample() {
	e.words("three", 3)
	e.function("upsampleAVX2", "is upsamplePortable; n is at least 16.", "dst, near, far *byte, n, even, odd int")
	dst, near, far, n := e.arg("dst"), e.arg("near"), e.arg("far"), e.arg("n")
	even, odd, three := e.y[12], e.y[13], e.y[14]
	e.VMOVQ(e.arg("even"), even.AsX())
	e.VPBROADCASTW(even.AsX(), even)
	e.VMOVQ(e.arg("odd"), odd.AsX())
	e.VPBROADCASTW(odd.AsX(), odd)
	e.VMOVDQU(e.tables["three"], three)
	e.steps("chroma", n, 16, func(i reg.GPVirtual) {
		for k := range 3 { // the left neighbours, the samples, the right neighbours
			e.VPMOVZXBW(operand.Mem{Base: near, Index: i, Scale: 1, Disp: k}, e.y[k])
			e.VPMOVZXBW(operand.Mem{Base: far, Index: i, Scale: 1, Disp: k}, e.y[4+k])
			e.VPMULLW(three, e.y[k], e.y[k])
			e.VPADDW(e.y[4+k], e.y[k], e.y[k])
		}
		e.VPMULLW(three, e.y[1], e.y[1])
		e.VPADDW(e.y[1], e.y[0], e.y[0])
		e.VPADDW(even, e.y[0], e.y[0])
		e.VPSRLW(operand.Imm(4), e.y[0], e.y[0])
		e.VPADDW(e.y[1], e.y[2], e.y[2])
		e.VPADDW(odd, e.y[2], e.y[2])
		e.VPSRLW(operand.Imm(4), e.y[2], e.y[2])
		e.VPSLLW(operand.Imm(8), e.y[2], e.y[2])
		e.VPOR(e.y[0], e.y[2], e.y[2])
		e.VMOVDQU(e.y[2], operand.Mem{Base: dst, Index: i, Scale: 2})
	})
	e.done()
}

func (e *emitter) ycc() {
	e.words("middle", 128)
	e.words("ones", 1)
	e.words("red", 26345)
	e.words("blue", -14942)
	e.words("green", -22554, 18734)
	e.longs("round16", 1<<15)
	e.function("yccAVX2", "is yccPortable; n is at least 32.", "red, green, blue, y, cb, cr *byte, n int")
	r, g, b := e.arg("red"), e.arg("green"), e.arg("blue")
	y, cb, cr, n := e.arg("y"), e.arg("cb"), e.arg("cr"), e.arg("n")
	v, t := e.y, e.tables
	e.steps("pixels", n, 32, func(i reg.GPVirtual) {
		out := [2][3]reg.VecPhysical{{v[0], v[1], v[2]}, {v[3], v[4], v[5]}}
		for half := range 2 {
			from := func(base reg.GPVirtual) operand.Mem {
				return operand.Mem{Base: base, Index: i, Scale: 1, Disp: 16 * half}
			}
			e.VPMOVZXBW(from(y), v[6])
			e.VPMOVZXBW(from(cb), v[7])
			e.VPMOVZXBW(from(cr), v[8])
			e.VPSUBW(t["middle"], v[7], v[7])
			e.VPSUBW(t["middle"], v[8], v[8])
			// Red: y + cr + (26345 cr + 2^15 >> 16). Rounding down twice gives the same as once.
			e.VPADDW(v[8], v[8], v[9])
			e.VPMULHW(t["red"], v[9], v[9])
			e.VPADDW(t["ones"], v[9], v[9])
			e.VPSRAW(operand.Imm(1), v[9], v[9])
			e.VPADDW(v[8], v[9], v[9])
			e.VPADDW(v[6], v[9], out[half][0])
			// Blue: y + 2 cb + (-14942 cb + 2^15 >> 16).
			e.VPADDW(v[7], v[7], v[9])
			e.VPMULHW(t["blue"], v[9], v[10])
			e.VPADDW(t["ones"], v[10], v[10])
			e.VPSRAW(operand.Imm(1), v[10], v[10])
			e.VPADDW(v[9], v[10], v[10])
			e.VPADDW(v[6], v[10], out[half][2])
			// Green: y - cr + (-22554 cb + 18734 cr + 2^15 >> 16).
			e.VPUNPCKLWD(v[8], v[7], v[9])
			e.VPUNPCKHWD(v[8], v[7], v[10])
			for _, x := range []reg.VecPhysical{v[9], v[10]} {
				e.VPMADDWD(t["green"], x, x)
				e.VPADDD(t["round16"], x, x)
				e.VPSRAD(operand.Imm(16), x, x)
			}
			e.VPACKSSDW(v[10], v[9], v[9])
			e.VPSUBW(v[8], v[9], v[9])
			e.VPADDW(v[6], v[9], out[half][1])
		}
		for c, base := range []reg.GPVirtual{r, g, b} {
			e.VPACKUSWB(out[1][c], out[0][c], v[6])
			e.VPERMQ(operand.Imm(0xd8), v[6], v[6])
			e.VMOVDQU(v[6], operand.Mem{Base: base, Index: i, Scale: 1})
		}
	})
	e.done()
}
