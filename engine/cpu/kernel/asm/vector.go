package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vectorFile writes the passes over activations.
func vectorFile(e *emitter) {
	e.maskTable()
	flatKernels(e)
	normKernels(e)
	poolKernels(e)
	if !e.wide() {
		transpose(e)
	}
}

// Predicates of VCMPPS.
const (
	equal      = operand.U8(0x00) // false on NaN
	unordered  = operand.U8(0x03)
	notAtMost  = operand.U8(0x16) // !(a <= b), true on NaN
	bitsOne    = 0x3f800000
	bitsNoSign = 0x80000000 // -0, which adds nothing even to a zero
	bitsNegInf = 0xff800000
)

// chunk is a stretch of columns that a body works on: the number of vectors,
// whether the last is masked, and the offset of the first in bytes.
type chunk struct {
	vectors int
	masked  bool
	prefix  string // of the labels within the body
}

// chunks walks n columns in chunks of up to most vectors, one vector, and the
// rest under a mask. at is the byte offset of the chunk, for the body to use
// and the walk to advance; left is n, and is used up.
func (e *emitter) chunks(most int, left, at reg.GPVirtual, body func(chunk)) {
	e.mask(left)
	e.XORQ(at, at)
	next := "single"
	for _, c := range []chunk{{most, false, "many"}, {1, false, "single"}} {
		e.Label(c.prefix)
		e.CMPQ(left, operand.U32(uint32(c.vectors*e.lanes)))
		e.JLT(operand.LabelRef(next))
		body(c)
		e.ADDQ(operand.U32(uint32(c.vectors*e.bytes())), at)
		e.SUBQ(operand.U32(uint32(c.vectors*e.lanes)), left)
		e.JMP(operand.LabelRef(c.prefix))
		next = "tail"
	}
	e.Label("tail")
	e.TESTQ(left, left)
	e.JLE(operand.LabelRef("end"))
	body(chunk{1, true, "tail"})
	e.Label("end")
	e.done()
}

// vec is vector v of a chunk at base + at.
func (e *emitter) vec(base, at reg.GPVirtual, v int) operand.Mem {
	return operand.Mem{Base: base, Index: at, Scale: 1, Disp: v * e.bytes()}
}

// loadAll reads the chunk's vectors at base + at into regs.
func (e *emitter) loadAll(c chunk, base, at reg.GPVirtual, regs []reg.VecPhysical) {
	for v := range c.vectors {
		e.load(e.vec(base, at, v), regs[v], c.masked)
	}
}

// storeAll writes the chunk's vectors to base + at.
func (e *emitter) storeAll(c chunk, base, at reg.GPVirtual, regs []reg.VecPhysical) {
	for v := range c.vectors {
		e.store(regs[v], e.vec(base, at, v), c.masked)
	}
}

// zeroAll clears the chunk's vectors.
func (e *emitter) zeroAll(c chunk, regs []reg.VecPhysical) {
	for v := range c.vectors {
		e.zero(regs[v])
	}
}

// unless skips body where the pointer is nil.
func (e *emitter) unless(label string, pointer reg.GPVirtual, body func()) {
	e.TESTQ(pointer, pointer)
	e.JZ(operand.LabelRef(label))
	body()
	e.Label(label)
}

// constant fills a vector with one float32 given by its bits.
func (e *emitter) constant(bits uint32, v reg.VecPhysical) {
	g := e.GP64()
	e.MOVL(operand.U32(bits), g.As32())
	e.VMOVD(g.As32(), v.AsX())
	e.VBROADCASTSS(v.AsX(), v)
}

// zeroAtMost clears g in the lanes where y <= 0, and spoils y.
func (e *emitter) zeroAtMost(y, zero, g reg.VecPhysical) {
	if e.wide() {
		e.VCMPPS(notAtMost, zero, y, reg.K2)
		e.VMOVAPS_Z(g, reg.K2, g)
		return
	}
	e.VCMPPS(notAtMost, zero, y, y)
	e.VANDPS(y, g, g)
}

// registers hands out vector registers from the lowest.
type registers struct {
	e    *emitter
	next int
}

func (r *registers) take(n int) []reg.VecPhysical {
	s := r.e.regs[r.next : r.next+n]
	if r.next += n; r.next > len(r.e.regs)-1 {
		panic("out of vector registers, of which the last is for the mask")
	}
	return s
}

func (r *registers) one() reg.VecPhysical { return r.take(1)[0] }
