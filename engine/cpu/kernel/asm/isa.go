package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// isa has the parameters of an instruction set: the vector registers and the register
// block of the product kernel.
type isa struct {
	name   string // as in the files' names
	suffix string // of the functions' names
	lanes  int    // float32 in a vector
	regs   []reg.VecPhysical
	rows   int  // of the product kernel's block; it is two vectors wide
	quads  int  // vectors in a panel of 8-bit integers
	bf16   bool // AVX512_BF16 as well
	vnni   bool // AVX512_VNNI as well
}

var avx512 = isa{
	name: "avx512", suffix: "AVX512", lanes: 16, rows: 14, quads: 4,
	regs: []reg.VecPhysical{
		reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7,
		reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
		reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23,
		reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
	},
}

// avx512bf16 differs from avx512 only in the kernels on bfloat16.
var avx512bf16 = isa{name: "avx512bf16", suffix: "AVX512BF16", lanes: avx512.lanes, rows: avx512.rows, quads: avx512.quads, regs: avx512.regs, bf16: true}

// avx512vnni differs from avx512 only in the products of integers.
var avx512vnni = isa{name: "avx512vnni", suffix: "AVX512VNNI", lanes: avx512.lanes, rows: avx512.rows, quads: avx512.quads, regs: avx512.regs, vnni: true}

var avx2 = isa{
	name: "avx2", suffix: "AVX2", lanes: 8, rows: 6, quads: 2,
	regs: []reg.VecPhysical{
		reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7,
		reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15,
	},
}

// bytes returns the size of a vector.
func (i isa) bytes() int { return 4 * i.lanes }

// wide reports whether the vectors are those of AVX-512, which has mask registers.
func (i isa) wide() bool { return i.lanes == 16 }

// emitter adds to avo's context the operations that instruction sets write differently.
//
// The mask of a last, partial vector is K1 in AVX-512; in AVX2 it is the
// highest vector register.
type emitter struct {
	*build.Context
	isa
	lanesTable operand.Mem // AVX2: eight set lanes, then eight clear ones
	rounding   operand.Mem // numbers that rounding needs
	gather     operand.Mem // AVX-512: the order in which packed bytes are gathered
	labels     int         // made so far
}

// function starts a function without a frame of its own.
func (e *emitter) function(name, doc, args string) {
	e.Function(name + e.suffix)
	e.Attributes(attr.NOSPLIT)
	e.Pragma("noescape")
	e.SignatureExpr("func(" + args + ")")
	e.Doc(name + e.suffix + " " + doc)
}

func (e *emitter) done() {
	e.VZEROUPPER()
	e.RET()
}

// maskReg returns the vector register of AVX2's mask.
func (e *emitter) maskReg() reg.VecPhysical { return e.regs[len(e.regs)-1] }

// maskTable writes the table that AVX2 masks are read from.
func (e *emitter) maskTable() {
	if e.wide() {
		return
	}
	e.lanesTable = e.StaticGlobal("laneMasks")
	e.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 16 {
		lane := uint32(0)
		if i < 8 {
			lane = 0xffffffff
		}
		e.AddDatum(4*i, operand.U32(lane))
	}
}

// mask sets the mask to the lanes of n beyond a multiple of the vector length.
func (e *emitter) mask(n reg.GPVirtual) {
	count, bits := e.GP64(), e.GP64()
	e.MOVQ(n, count)
	e.ANDQ(operand.U32(uint32(e.lanes-1)), count)
	if e.wide() {
		e.MOVL(operand.U32(0xffffffff), bits.As32())
		e.BZHIL(count.As32(), bits.As32(), bits.As32())
		e.KMOVW(bits.As32(), reg.K1)
		return
	}
	e.NEGQ(count)
	e.LEAQ(e.lanesTable, bits)
	e.VMOVUPS(operand.Mem{Base: bits, Index: count, Scale: 4, Disp: 32}, e.maskReg())
}

// load reads a vector. If masked is set, lanes outside the mask are not read from memory
// and are zero in the register.
func (e *emitter) load(m operand.Mem, v reg.VecPhysical, masked bool) {
	switch {
	case !masked:
		e.VMOVUPS(m, v)
	case e.wide():
		e.VMOVUPS_Z(m, reg.K1, v)
	default:
		e.VMASKMOVPS(m, e.maskReg(), v)
	}
}

// store writes a vector. Lanes outside the mask are not written.
func (e *emitter) store(v reg.VecPhysical, m operand.Mem, masked bool) {
	switch {
	case !masked:
		e.VMOVUPS(v, m)
	case e.wide():
		e.VMOVUPS(v, reg.K1, m)
	default:
		e.VMASKMOVPS(v, e.maskReg(), m)
	}
}

// zero clears a vector.
func (e *emitter) zero(v reg.VecPhysical) {
	if e.wide() {
		e.VPXORD(v, v, v)
	} else {
		e.VXORPS(v, v, v)
	}
}

// arg loads a parameter into a general register; for a slice it loads the address.
func (e *emitter) arg(name string) reg.GPVirtual {
	r := e.GP64()
	e.MOVQ(e.addr(name), r)
	return r
}

// addr returns the memory of a parameter in the caller's frame; for a slice, that of its
// address.
func (e *emitter) addr(name string) operand.Mem {
	p := e.Param(name)
	b, err := p.Resolve()
	if err != nil {
		b, err = p.Base().Resolve()
	}
	if err != nil {
		panic(fmt.Sprintf("parameter %s: %v", name, err))
	}
	return b.Addr
}

// length loads the length of a slice parameter into a general register.
func (e *emitter) length(name string) reg.GPVirtual {
	r := e.GP64()
	e.Load(e.Param(name).Len(), r)
	return r
}
