package main

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/operand"
)

// dotSumsFile writes the product kernels of 16-bit integers that write their sums as int32.
func dotSumsFile(e *emitter) {
	for _, w := range widthsOf(int16Pairs) {
		for rows := 1; rows <= e.rows; rows++ {
			(&product{emitter: e, width: w, kind: int16Pairs, rows: rows, drain: asSums}).writeSums()
		}
	}
}

// writeSums writes the kernel.
func (p *product) writeSums() {
	args := "c *int32, a, b *int16, segs *int, nsegs, k, crs, ars, first, blocks int, next *int16, pace int"
	if p.masked {
		args += ", mask " + p.maskType()
	}
	p.function(fmt.Sprintf("dotSums%s%d", p.name, p.rows),
		fmt.Sprintf("computes blocks of %d rows of sums of products, %d vectors wide.", p.rows, p.vectors), args)
	p.strides()
	p.Label("block")
	if p.masked {
		p.maskParam()
	}
	p.begin()
	p.sum()
	if p.masked && !p.wide() {
		p.maskParam() // the sums needed its register
	}
	p.walkC(func(m operand.Mem, r, v int) { p.store(p.acc(r, v), m, p.last(v)) })
	p.again("block")
	p.done()
}

// dotSumsSwitch returns the Go functions that call these kernels by row count.
func dotSumsSwitch(isa isa) string {
	var s strings.Builder
	for _, w := range widthsOf(int16Pairs) {
		param, arg := "", ""
		if w.masked {
			param, arg = ", mask "+(&product{emitter: &emitter{isa: isa}}).maskType(), ", mask"
		}
		fmt.Fprintf(&s, "\n// dotSums%[1]s%[2]s calls the kernel of p.rows rows.\nfunc dotSums%[1]s%[2]s(p *block[int16], c *int32, next *int16, pace int%[3]s) {\n\tswitch p.rows {\n", w.name, isa.suffix, param)
		for rows := 1; rows <= isa.rows; rows++ {
			fmt.Fprintf(&s, "\tcase %d:\n\t\tdotSums%s%d%s(c, p.a, p.b, p.segs, p.nsegs, p.k, p.crs, p.ars, p.first, p.blocks, next, pace%s)\n",
				rows, w.name, rows, isa.suffix, arg)
		}
		s.WriteString("\t}\n}\n")
	}
	return s.String()
}
