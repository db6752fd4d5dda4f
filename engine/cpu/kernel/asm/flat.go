package main

import (
	"strings"

	"github.com/mmcloughlin/avo/reg"
)

// flat describes an elementwise kernel on vectors.
type flat struct {
	name, doc string
	operands  []string // parameters besides dst
	alpha     bool
	readsDst  bool
	// apply leaves the result in x[0]; x holds the operands, then dst if read.
	apply func(e *emitter, x []reg.VecPhysical, constant reg.VecPhysical)
}

var flats = []flat{
	{name: "add", doc: "computes dst = a + b.", operands: []string{"a", "b"},
		apply: func(e *emitter, x []reg.VecPhysical, _ reg.VecPhysical) { e.VADDPS(x[1], x[0], x[0]) }},
	{name: "mul", doc: "computes dst = a * b.", operands: []string{"a", "b"},
		apply: func(e *emitter, x []reg.VecPhysical, _ reg.VecPhysical) { e.VMULPS(x[1], x[0], x[0]) }},
	{name: "axpy", doc: "computes dst += alpha * x.", operands: []string{"x"}, alpha: true, readsDst: true,
		apply: func(e *emitter, x []reg.VecPhysical, alpha reg.VecPhysical) { e.VFMADD213PS(x[1], alpha, x[0]) }},
	{name: "scale", doc: "computes dst = alpha * x.", operands: []string{"x"}, alpha: true,
		apply: func(e *emitter, x []reg.VecPhysical, alpha reg.VecPhysical) { e.VMULPS(x[0], alpha, x[0]) }},
	// The maximum of a pair with a NaN is its second operand, here x.
	{name: "relu", doc: "computes dst = max(0, x).", operands: []string{"x"},
		apply: func(e *emitter, x []reg.VecPhysical, zero reg.VecPhysical) { e.VMAXPS(x[0], zero, x[0]) }},
	{name: "reluGrad", doc: "computes dst = dy, or 0 where y <= 0.", operands: []string{"dy", "y"},
		apply: func(e *emitter, x []reg.VecPhysical, zero reg.VecPhysical) { e.zeroAtMost(x[1], zero, x[0]) }},
}

func flatKernels(e *emitter) {
	for _, f := range flats {
		args := "dst, " + strings.Join(f.operands, ", ") + " []float32"
		if f.alpha {
			args = "dst []float32, alpha float32, x []float32"
		}
		e.function(f.name, f.doc, args)
		f.emit(&sweep{emitter: e})
	}
}

func (f flat) emit(e *sweep) {
	const most = 4
	free := registers{e: e.emitter}
	constant := free.one()
	if f.alpha {
		e.VBROADCASTSS(e.addr("alpha"), constant)
	} else {
		e.zero(constant)
	}
	dst, at := e.arg("dst"), e.GP64()
	var bases []reg.GPVirtual
	for _, o := range f.operands {
		bases = append(bases, e.arg(o))
	}
	if f.readsDst {
		bases = append(bases, dst)
	}
	regs := free.take(most * len(bases))
	e.chunks(most, e.length("dst"), at, func(c chunk) {
		for v := range c.vectors {
			x := regs[v*len(bases):][:len(bases)]
			for i, b := range bases {
				e.load(e.vec(b, at, v), x[i], c.masked)
			}
			f.apply(e.emitter, x, constant)
			e.store(x[0], e.vec(dst, at, v), c.masked)
		}
	})
}
