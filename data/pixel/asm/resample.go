package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// horizontal computes eight outputs of each of four rows. For each tap, a shuffle takes the bytes
// to be multiplied from a window of 16 bytes, as numbers of 32 bits.
func (e *emitter) horizontal() {
	e.longs("half22", 1<<21)
	e.function("horizontalAVX2", "is Across.rows for four rows.", "dst *byte, dstStride int, src *byte, srcStride int, starts *int32, masks *byte, weights *uint32, groups, taps int, ats *int32")
	dst, ds, src, ss := e.arg("dst"), e.arg("dstStride"), e.arg("src"), e.arg("srcStride")
	starts, masks, weights, groups := e.arg("starts"), e.arg("masks"), e.arg("weights"), e.arg("groups")
	ats := e.arg("ats")
	window, sum, v := e.y[0:4], e.y[4:8], e.y[8:12]
	e.Label("group")
	lo, hi := e.GP64(), e.GP64()
	e.MOVLQSX(at(starts, 0), lo)
	e.MOVLQSX(at(starts, 4), hi)
	for r := range 4 {
		e.VMOVDQU(operand.Mem{Base: src, Index: lo, Scale: 1}, window[r].AsX())
		e.VINSERTI128(operand.Imm(1), operand.Mem{Base: src, Index: hi, Scale: 1}, window[r], window[r])
		if r < 3 {
			e.ADDQ(ss, lo)
			e.ADDQ(ss, hi)
		}
	}
	for r := range 4 {
		e.VMOVDQU(e.tables["half22"], sum[r])
	}
	tap := e.GP64()
	e.Load(e.Param("taps"), tap)
	e.Label("tap")
	e.VMOVDQU(at(masks, 0), e.y[12])
	e.VMOVDQU(at(weights, 0), e.y[13])
	for r := range 4 {
		e.VPSHUFB(e.y[12], window[r], v[r])
		e.VPMULLD(e.y[13], v[r], v[r])
		e.VPADDD(v[r], sum[r], sum[r])
	}
	e.ADDQ(operand.Imm(32), masks)
	e.ADDQ(operand.Imm(32), weights)
	e.DECQ(tap)
	e.JNZ(operand.LabelRef("tap"))
	for r := range 4 {
		e.VPSRAD(operand.Imm(22), sum[r], sum[r])
	}
	// Rows 0 and 1, rows 2 and 3, then all, four outputs of each row in each half.
	e.VPACKSSDW(sum[1], sum[0], sum[0])
	e.VPACKSSDW(sum[3], sum[2], sum[2])
	e.VPACKUSWB(sum[2], sum[0], sum[0])
	e.VEXTRACTI128(operand.Imm(1), sum[0], sum[1].AsX())
	e.VPUNPCKLDQ(sum[1].AsX(), sum[0].AsX(), sum[2].AsX()) // rows 0 and 1
	e.VPUNPCKHDQ(sum[1].AsX(), sum[0].AsX(), sum[3].AsX())
	out := e.GP64()
	e.MOVLQSX(at(ats, 0), out)
	e.ADDQ(dst, out)
	e.VMOVQ(sum[2].AsX(), at(out, 0))
	e.VMOVHPS(sum[2].AsX(), operand.Mem{Base: out, Index: ds, Scale: 1})
	e.LEAQ(operand.Mem{Base: out, Index: ds, Scale: 2}, out)
	e.VMOVQ(sum[3].AsX(), at(out, 0))
	e.VMOVHPS(sum[3].AsX(), operand.Mem{Base: out, Index: ds, Scale: 1})
	e.ADDQ(operand.Imm(8), starts)
	e.ADDQ(operand.Imm(4), ats)
	e.DECQ(groups)
	e.JNZ(operand.LabelRef("group"))
	e.done()
}

// vertical sums the taps of 32 columns at a time.
func (e *emitter) vertical() {
	order := e.StaticGlobal("order")
	e.DataAttributes(attr.RODATA | attr.NOPTR)
	for i, v := range []uint32{0, 4, 1, 5, 2, 6, 3, 7} {
		e.AddDatum(4*i, operand.U32(v))
	}
	e.tables["order"] = order
	e.function("verticalAVX2", "is verticalPortable for one row; n is at least 32.", "dst, src *byte, stride int, weights *uint32, taps, n int")
	dst, src, stride, weights, n := e.arg("dst"), e.arg("src"), e.arg("stride"), e.arg("weights"), e.arg("n")
	sum, v := e.y[0:4], e.y[4:8]
	e.steps("columns", n, 32, func(i reg.GPVirtual) {
		for k := range 4 {
			e.VMOVDQU(e.tables["half22"], sum[k])
		}
		p, w, tap := e.GP64(), e.GP64(), e.GP64()
		e.LEAQ(operand.Mem{Base: src, Index: i, Scale: 1}, p)
		e.MOVQ(weights, w)
		e.Load(e.Param("taps"), tap)
		e.Label("row")
		e.VPBROADCASTD(at(w, 0), e.y[8])
		for k := range 4 {
			e.VPMOVZXBD(at(p, 8*k), v[k])
			e.VPMULLD(e.y[8], v[k], v[k])
			e.VPADDD(v[k], sum[k], sum[k])
		}
		e.ADDQ(stride, p)
		e.ADDQ(operand.Imm(4), w)
		e.DECQ(tap)
		e.JNZ(operand.LabelRef("row"))
		for k := range 4 {
			e.VPSRAD(operand.Imm(22), sum[k], sum[k])
		}
		e.VPACKSSDW(sum[1], sum[0], sum[0])
		e.VPACKSSDW(sum[3], sum[2], sum[2])
		e.VPACKUSWB(sum[2], sum[0], sum[0])
		// Packing has interleaved groups of four columns; restore their order.
		e.VMOVDQU(e.tables["order"], v[0])
		e.VPERMD(sum[0], v[0], sum[0])
		e.VMOVDQU(sum[0], operand.Mem{Base: dst, Index: i, Scale: 1})
	})
	e.done()
}
