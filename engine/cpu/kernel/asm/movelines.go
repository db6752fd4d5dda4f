package main

import "github.com/mmcloughlin/avo/operand"

// moveLines writes the loops that gather pieces of memory far apart into one place, and that
// spread them again. Where many addresses are a power of two apart, their cache lines compete
// for the same places in the cache, so each should be visited once.
func moveLines(e *emitter, gather bool) {
	name, doc := "spreadLines", "copies rows of size bytes, a multiple of 16, to addresses in a table, offset bytes on, where rows lie ld bytes apart. "+
		"Those of one address begin step bytes behind those of the one before. An address of nil is left out."
	args := "far **uint8, near *uint8, step, offset, count, rows, ld, size int"
	if gather {
		name, doc = "gatherLines", "is the inverse of spreadLines."
	}
	e.function(name, doc, args)
	far, near, step, count := e.arg("far"), e.arg("near"), e.arg("step"), e.arg("count")
	at, to, rows, left, ld := e.GP64(), e.GP64(), e.GP64(), e.GP64(), e.arg("ld")
	a, b := e.GP64(), e.GP64()
	e.Label("address")
	e.MOVQ(operand.Mem{Base: far}, at)
	e.TESTQ(at, at)
	e.JZ(operand.LabelRef("none"))
	e.ADDQ(e.addr("offset"), at)
	e.MOVQ(near, to)
	e.MOVQ(e.addr("rows"), rows)
	e.Label("row")
	e.MOVQ(at, a)
	e.MOVQ(e.addr("size"), left)
	e.MOVQ(to, b)
	next := ""
	for bytes := e.bytes(); bytes >= 16; bytes /= 2 {
		label, done := next, "rowEnd"
		if bytes > 16 {
			done = map[int]string{64: "row32", 32: "row16"}[bytes]
		}
		if bytes == e.bytes() {
			label = "vector"
		}
		e.Label(label)
		e.CMPQ(left, operand.U8(uint8(bytes)))
		e.JLT(operand.LabelRef(done))
		from, target := operand.Mem{Base: b}, operand.Mem{Base: a}
		if gather {
			from, target = target, from
		}
		switch bytes {
		case 64:
			e.VMOVUPS(from, e.regs[0])
			e.VMOVUPS(e.regs[0], target)
		case 32:
			e.VMOVUPS(from, e.regs[0].AsY())
			e.VMOVUPS(e.regs[0].AsY(), target)
		case 16:
			e.VMOVUPS(from, e.regs[0].AsX())
			e.VMOVUPS(e.regs[0].AsX(), target)
		}
		e.ADDQ(operand.U8(uint8(bytes)), a)
		e.ADDQ(operand.U8(uint8(bytes)), b)
		e.SUBQ(operand.U8(uint8(bytes)), left)
		e.JMP(operand.LabelRef(label))
		next = done
	}
	e.Label("rowEnd")
	e.ADDQ(e.addr("size"), to)
	e.ADDQ(ld, at)
	e.DECQ(rows)
	e.JNZ(operand.LabelRef("row"))
	e.Label("none")
	e.ADDQ(operand.U8(8), far)
	e.ADDQ(step, near)
	e.DECQ(count)
	e.JNZ(operand.LabelRef("address"))
	e.done()
}
