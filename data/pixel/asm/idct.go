package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// These are the constants of libjpeg's jidctint.c, multiplied by 2^13.
const (
	f0298, f0390, f0541, f0765, f0899, f1175 = 2446, 3196, 4433, 6270, 7373, 9633
	f1501, f1847, f1961, f2053, f2562, f3072 = 12299, 15137, 16069, 16819, 20995, 25172
)

// idctTables defines the factors of pairs of inputs. Each odd part is a single sum over the four
// odd inputs, which equals libjpeg's sequence of steps because they are linear.
func (e *emitter) idctTables() {
	e.words("sum04", 1<<13, 1<<13)
	e.words("diff04", 1<<13, -1<<13)
	e.words("lo26", f0541, f0541-f1847)
	e.words("hi26", f0541+f0765, f0541)
	odd := [4][4]int{ // of inputs 1, 3, 5 and 7
		{f1175 - f0899, f1175 - f1961, f1175, f0298 - f0899 - f1961 + f1175},
		{f1175 - f0390, f1175 - f2562, f2053 - f2562 - f0390 + f1175, f1175},
		{f1175, f3072 - f2562 - f1961 + f1175, f1175 - f2562, f1175 - f1961},
		{f1501 - f0899 - f0390 + f1175, f1175, f1175 - f0390, f1175 - f0899},
	}
	for i, c := range odd {
		e.words(fmt.Sprintf("odd13x%d", i), c[0], c[1])
		e.words(fmt.Sprintf("odd57x%d", i), c[2], c[3])
	}
	e.longs("round11", 1<<10)
	e.longs("round18", 1<<17)
	e.words("bias", 0x8080-1<<16)
}

// idct transforms two blocks at once, with one in each half of every vector.
func (e *emitter) idct() {
	e.function("idct2AVX2", "is idct2Portable.", "a, b *byte, stride int, coefs, quant *int16")
	a, b, stride := e.arg("a"), e.arg("b"), e.arg("stride")
	coefs, quant := e.arg("coefs"), e.arg("quant")
	spill := e.AllocLocal(8 * 32)
	for i := range 8 {
		e.VBROADCASTI128(at(quant, 16*i), e.y[i])
	}
	for i := range 8 {
		e.VPMULLW(at(coefs, 32*i), e.y[i], e.y[i])
	}
	e.pass(spill, "round11", 11)
	e.transpose()
	e.pass(spill, "round18", 18)
	e.transpose()
	for i := 0; i < 8; i += 2 {
		e.VPACKSSWB(e.y[i+1], e.y[i], e.y[i])
		e.VPADDB(e.tables["bias"], e.y[i], e.y[i])
		lo, hi := e.y[i].AsX(), e.y[i+1].AsX()
		e.VEXTRACTI128(operand.Imm(1), e.y[i], hi)
		e.VMOVQ(lo, at(a, 0))
		e.VMOVHPS(lo, operand.Mem{Base: a, Index: stride, Scale: 1})
		e.VMOVQ(hi, at(b, 0))
		e.VMOVHPS(hi, operand.Mem{Base: b, Index: stride, Scale: 1})
		if i < 6 {
			e.LEAQ(operand.Mem{Base: a, Index: stride, Scale: 2}, a)
			e.LEAQ(operand.Mem{Base: b, Index: stride, Scale: 2}, b)
		}
	}
	e.done()
}

// pass is a one-dimensional transform along the columns of the rows y[0..7], rounded and shifted.
func (e *emitter) pass(spill operand.Mem, round string, shift int) {
	y := e.y
	t := e.tables
	// Pairs of inputs side by side: the low halves to y[8..11], the high ones to y[12..15].
	for i, p := range [4][2]int{{0, 4}, {2, 6}, {1, 3}, {5, 7}} {
		e.VPUNPCKLWD(y[p[1]], y[p[0]], y[8+i])
		e.VPUNPCKHWD(y[p[1]], y[p[0]], y[12+i])
	}
	// half computes the outputs of one half, as shifted sums of 32 bits, and passes them to put.
	// It overwrites y[0..7].
	half := func(in []reg.VecPhysical, put func(k int, v reg.VecPhysical)) {
		e.VPMADDWD(t["sum04"], in[0], y[0])
		e.VPMADDWD(t["diff04"], in[0], y[1])
		e.VPMADDWD(t["hi26"], in[1], y[2])
		e.VPMADDWD(t["lo26"], in[1], y[3])
		e.VPADDD(t[round], y[0], y[0])
		e.VPADDD(t[round], y[1], y[1])
		e.VPSUBD(y[2], y[0], in[0]) // tmp13
		e.VPADDD(y[2], y[0], y[0])  // tmp10
		e.VPSUBD(y[3], y[1], in[1]) // tmp12
		e.VPADDD(y[3], y[1], y[1])  // tmp11
		for k, even := range []reg.VecPhysical{y[0], y[1], in[1], in[0]} {
			e.VPMADDWD(t[fmt.Sprintf("odd13x%d", 3-k)], in[2], y[2])
			e.VPMADDWD(t[fmt.Sprintf("odd57x%d", 3-k)], in[3], y[3])
			e.VPADDD(y[3], y[2], y[2])
			e.VPSUBD(y[2], even, y[3])
			e.VPADDD(y[2], even, y[2])
			e.VPSRAD(operand.Imm(uint64(shift)), y[2], y[2])
			e.VPSRAD(operand.Imm(uint64(shift)), y[3], y[3])
			put(k, y[2])
			put(7-k, y[3])
		}
	}
	half(y[12:16], func(k int, v reg.VecPhysical) { e.VMOVDQU(v, spill.Offset(32*k)) })
	// The results go to y[4..7] and y[12..15], which the low half does not use.
	free := [8]reg.VecPhysical{y[4], y[5], y[6], y[7], y[12], y[13], y[14], y[15]}
	half(y[8:12], func(k int, v reg.VecPhysical) { e.VPACKSSDW(spill.Offset(32*k), v, free[k]) })
	for k := range 4 {
		e.VMOVDQA(free[k], y[k])
	}
	for k := range 4 {
		e.VMOVDQA(free[4+k], y[4+k])
	}
}

// transpose transposes the 8x8 words in each half of y[0..7].
func (e *emitter) transpose() {
	y := e.y
	for i := range 4 {
		e.VPUNPCKLWD(y[2*i+1], y[2*i], y[8+2*i])
		e.VPUNPCKHWD(y[2*i+1], y[2*i], y[9+2*i])
	}
	for i := range 2 { // rows 0-3 in y[8..11], 4-7 in y[12..15]
		b := 8 + 4*i
		e.VPUNPCKLDQ(y[b+2], y[b], y[4*i])
		e.VPUNPCKHDQ(y[b+2], y[b], y[4*i+1])
		e.VPUNPCKLDQ(y[b+3], y[b+1], y[4*i+2])
		e.VPUNPCKHDQ(y[b+3], y[b+1], y[4*i+3])
	}
	for i := range 4 {
		e.VPUNPCKLQDQ(y[4+i], y[i], y[8+2*i])
		e.VPUNPCKHQDQ(y[4+i], y[i], y[9+2*i])
	}
	for i := range 8 {
		e.VMOVDQA(y[8+i], y[i])
	}
}
