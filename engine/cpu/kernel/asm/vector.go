package main

import (
	"strings"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// sweep is a kernel that passes over activations in float32, in bfloat16 if onBF16 is set,
// or in 8 bits if onBytes is. Vectors with one value a column, sums and arithmetic are float32 in both.
type sweep struct {
	*emitter
	onBF16  bool
	onBytes bool
	weaving weaving
}

// size returns the size of an element of the activations in bytes.
func (e *sweep) size() int {
	switch {
	case e.onBytes:
		return 1
	case e.onBF16:
		return 2
	}
	return 4
}

// element returns the Go type of an element of the activations.
func (e *sweep) element() string {
	if e.onBF16 {
		return "uint16"
	}
	return "float32"
}

// function starts a function with these arguments, in which []T is a slice of elements.
func (e *sweep) function(name, doc, args string) {
	if e.onBF16 {
		name += "BF16"
	}
	e.emitter.function(name, doc, strings.ReplaceAll(args, "[]T", "[]"+e.element()))
}

// chunk is a stretch of columns that is processed together: the number of vectors, whether
// the last is masked, and whether they are woven (see weaving).
type chunk struct {
	vectors int
	masked  bool
	woven   bool
	prefix  string // of the labels within the body
}

// chunks runs body for chunks of columns: as long as possible for chunks of most vectors,
// then for chunks of one vector, then for the remaining columns with a mask. at is the
// byte offset of the chunk in the activations, which chunks advances. left is the number
// of columns, which chunks counts down.
func (e *sweep) chunks(most int, left, at reg.GPVirtual, body func(chunk)) {
	e.mask(left)
	e.XORQ(at, at)
	next := "single"
	for _, c := range []chunk{{most, false, e.onBF16, "many"}, {1, false, false, "single"}} {
		e.Label(c.prefix)
		e.CMPQ(left, operand.U32(uint32(c.vectors*e.lanes)))
		e.JLT(operand.LabelRef(next))
		body(c)
		e.ADDQ(operand.U32(uint32(c.vectors*e.lanes*e.size())), at)
		e.SUBQ(operand.U32(uint32(c.vectors*e.lanes)), left)
		e.JMP(operand.LabelRef(c.prefix))
		next = "tail"
	}
	e.Label("tail")
	e.TESTQ(left, left)
	e.JLE(operand.LabelRef("end"))
	body(chunk{1, true, false, "tail"})
	e.Label("end")
	e.done()
}

// vec is vector v of a chunk of float32 at base + at.
func (e *emitter) vec(base, at reg.GPVirtual, v int) operand.Mem {
	return operand.Mem{Base: base, Index: at, Scale: 1, Disp: v * e.bytes()}
}

// activations is vector v of a chunk of activations at base + at, or both
// vectors of a woven pair.
func (e *sweep) activations(c chunk, base, at reg.GPVirtual, v int) operand.Mem {
	if c.woven {
		v &^= 1
	}
	return operand.Mem{Base: base, Index: at, Scale: 1, Disp: v * e.lanes * e.size()}
}

// floats is vector v of a chunk of float32 whose activations are at offset at.
func (e *sweep) floats(base, at reg.GPVirtual, v int) operand.Mem {
	return operand.Mem{Base: base, Index: at, Scale: uint8(4 / e.size()), Disp: v * e.bytes()}
}

// read loads vector v of a chunk of activations at base + at.
func (e *sweep) read(c chunk, base, at reg.GPVirtual, v int, to reg.VecPhysical) {
	switch m := e.activations(c, base, at, v); {
	case c.woven:
		e.loadWoven(m, v%2 == 1, to)
	case e.onBF16:
		e.loadBF16(m, to, c.masked)
	default:
		e.load(m, to, c.masked)
	}
}

// readAll loads the chunk's activations at base + at into regs.
func (e *sweep) readAll(c chunk, base, at reg.GPVirtual, regs []reg.VecPhysical) {
	for v := range c.vectors {
		e.read(c, base, at, v, regs[v])
	}
}

// spare adds vectors to the idle ones until there are as many as writing needs: two for
// bfloat16.
func (e *sweep) spare(free *registers, idle ...reg.VecPhysical) []reg.VecPhysical {
	for e.onBF16 && len(idle) < 2 {
		idle = append(idle, free.one())
	}
	return idle
}

// writeAll stores the chunk's activations at base + at. For bfloat16 it rounds, and
// overwrites regs, t and K3.
func (e *sweep) writeAll(c chunk, base, at reg.GPVirtual, regs, t []reg.VecPhysical) {
	for v := 0; v < c.vectors; v++ {
		switch m := e.activations(c, base, at, v); {
		case c.woven:
			e.storeWoven(regs[v], regs[v+1], m, t...)
			v++
		case e.onBF16:
			e.storeBF16(regs[v], m, c.masked, t...)
		default:
			e.store(regs[v], m, c.masked)
		}
	}
}

// writeExact is writeAll for numbers that were read from activations. It does not round, so
// even a NaN and a number below the smallest normal one are unchanged. It overwrites only
// t.
func (e *sweep) writeExact(c chunk, base, at reg.GPVirtual, regs, t []reg.VecPhysical) {
	for v := 0; v < c.vectors; v++ {
		m := e.activations(c, base, at, v)
		if !e.onBF16 {
			e.store(regs[v], m, c.masked)
			continue
		}
		e.VPSRLD(operand.U8(16), regs[v], t[0])
		if c.woven {
			v++
			e.VORPS(regs[v], t[0], t[0])
			e.VMOVUPS(t[0], m)
			continue
		}
		e.packWords(t[0], t[1])
		e.storeNarrow(t[0], m, c.masked)
	}
}

// zeroAll clears the chunk's vectors.
func (e *emitter) zeroAll(c chunk, regs []reg.VecPhysical) {
	for v := range c.vectors {
		e.zero(regs[v])
	}
}

// unless emits body, which is skipped if the pointer is nil.
func (e *emitter) unless(label string, pointer reg.GPVirtual, body func()) {
	e.TESTQ(pointer, pointer)
	e.JZ(operand.LabelRef(label))
	body()
	e.Label(label)
}

// zeroAtMost clears g in the lanes where y <= 0. It overwrites y.
func (e *emitter) zeroAtMost(y, zero, g reg.VecPhysical) {
	if e.wide() {
		e.VCMPPS(notAtMost, zero, y, reg.K2)
		e.VMOVAPS_Z(g, reg.K2, g)
		return
	}
	e.VCMPPS(notAtMost, zero, y, y)
	e.VANDPS(y, g, g)
}
