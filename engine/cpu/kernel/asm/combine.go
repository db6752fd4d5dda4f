package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// combineMost is the largest number of terms of a sum.
const combineMost = 4

// combineFile writes the weighted sums of rows in bfloat16, one function for each number
// of terms.
func combineFile(e *emitter) {
	for terms := 1; terms <= combineMost; terms++ {
		combine(e, terms)
	}
}

func combine(e *emitter, terms int) {
	e.function(fmt.Sprintf("combine%d", terms), fmt.Sprintf("adds %d weighted blocks of bfloat16.", terms),
		"dst *float32, src **uint16, factors *float32, dld, sld, rows, n int")
	dst, table, factors := e.arg("dst"), e.arg("src"), e.arg("factors")
	var src []reg.GPVirtual
	for k := range terms {
		r := e.GP64()
		e.MOVQ(operand.Mem{Base: table, Disp: 8 * k}, r)
		src = append(src, r)
		e.VBROADCASTSS(operand.Mem{Base: factors, Disp: 4 * k}, e.regs[k])
	}
	sum, x := e.regs[combineMost], e.regs[combineMost+1]
	dld, sld, rows, n, at := e.arg("dld"), e.arg("sld"), e.arg("rows"), e.arg("n"), e.GP64()
	e.SHLQ(operand.U8(2), dld)
	e.SHLQ(operand.U8(1), sld)
	e.SHLQ(operand.U8(1), n)
	e.Label("row")
	e.XORQ(at, at)
	e.Label("step")
	for k := range terms {
		e.VPMOVZXWD(operand.Mem{Base: src[k], Index: at, Scale: 1}, x)
		e.VPSLLD(operand.U8(16), x, x)
		if k == 0 {
			e.VMULPS(x, e.regs[0], sum)
		} else {
			e.VFMADD231PS(x, e.regs[k], sum)
		}
	}
	e.store(sum, operand.Mem{Base: dst, Index: at, Scale: 2}, false)
	e.ADDQ(operand.U32(uint32(e.bytes()/2)), at)
	e.CMPQ(at, n)
	e.JNE(operand.LabelRef("step"))
	for _, r := range src {
		e.ADDQ(sld, r)
	}
	e.ADDQ(dld, dst)
	e.DECQ(rows)
	e.JNZ(operand.LabelRef("row"))
	e.done()
}
