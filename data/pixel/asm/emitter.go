package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// emitter is the context of avo with the vector registers and the data tables.
type emitter struct {
	*build.Context
	y      [16]reg.VecPhysical
	tables map[string]operand.Mem
}

// function starts a function with pointers and integers as parameters.
func (e *emitter) function(name, doc, args string) {
	e.Function(name)
	e.Attributes(attr.NOSPLIT)
	e.Pragma("noescape")
	e.SignatureExpr("func(" + args + ")")
	e.Doc(name + " " + doc)
}

func (e *emitter) done() {
	e.VZEROUPPER()
	e.RET()
}

// arg loads a parameter into a register.
func (e *emitter) arg(name string) reg.GPVirtual {
	r := e.GP64()
	e.Load(e.Param(name), r)
	return r
}

// words defines a table of 16-bit numbers, repeated to fill a vector.
func (e *emitter) words(name string, v ...int) {
	m := e.StaticGlobal(name)
	e.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 16 {
		e.AddDatum(2*i, operand.U16(uint16(int16(v[i%len(v)]))))
	}
	e.tables[name] = m
}

// longs defines a table of a 32-bit number, repeated to fill a vector.
func (e *emitter) longs(name string, v int) {
	m := e.StaticGlobal(name)
	e.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 8 {
		e.AddDatum(4*i, operand.U32(uint32(int32(v))))
	}
	e.tables[name] = m
}

func at(base reg.Register, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }
