package main

import (
	"fmt"
	"strings"
)

// productSwitch returns the Go functions that call the product kernels by row count. They
// have a switch because a call through a table would make every argument escape.
func productSwitch(isa isa, name string, k kind, strides string) string {
	var s strings.Builder
	element := k.element()
	scale, scaleArg := "", ""
	if k == int16Pairs {
		scale, scaleArg = ", scale *float32", ", scale"
	}
	for _, w := range widthsOf(k) {
		param, arg := scale, scaleArg
		if w.ahead {
			param, arg = param+", next *"+element+", pace int", arg+", next, pace"
		}
		if w.masked {
			mask := "uint16"
			if !isa.wide() {
				mask = "*int32"
			}
			param, arg = param+", mask "+mask, arg+", mask"
		}
		fmt.Fprintf(&s, "\n// %[1]s%[2]s%[3]s calls the kernel of p.rows rows.\nfunc %[1]s%[2]s%[3]s(p *block[%[4]s]%[5]s) {\n\tswitch p.rows {\n", name, w.name, isa.suffix, element, param)
		for rows := 1; rows <= isa.rows; rows++ {
			fmt.Fprintf(&s, "\tcase %d:\n\t\t%s%s%d%s(p.c, p.a, p.b, p.segs, p.nsegs, p.k, p.crs, p.ars%s, p.first, p.acc, p.blocks%s)\n", rows, name, w.name, rows, isa.suffix, strides, arg)
		}
		s.WriteString("\t}\n}\n")
	}
	return s.String()
}

// quadSwitch returns the Go functions that call the product kernels by row count.
func quadSwitch(isa isa) string {
	var s strings.Builder
	for _, d := range drainsOf(isa) {
		for _, w := range quadWidths(isa) {
			param, arg := "", ""
			if w.masked {
				param, arg = ", mask "+(&product{emitter: &emitter{isa: isa}}).maskType(), ", mask"
			}
			fmt.Fprintf(&s, "\n// %[1]s%[2]s%[3]s calls the kernel of p.rows rows.\nfunc %[1]s%[2]s%[3]s(p *quadBlock%[4]s) {\n\tswitch p.rows {\n", d.name(), w.name, isa.suffix, param)
			for rows := 1; rows <= quadRows(isa, w); rows++ {
				c, after := "p.sums", "p.acc, p.blocks"
				if d == toBytes {
					c, after = "p.bytes", "p.blocks, p.scale, p.shift, p.res, p.resScale, p.least"
				}
				fmt.Fprintf(&s, "\tcase %d:\n\t\t%s%s%d%s(%s, p.a, p.weights, p.segs, p.nsegs, p.k, p.crs, p.ars, p.first, %s, p.next, p.pace%s)\n",
					rows, d.name(), w.name, rows, isa.suffix, c, after, arg)
			}
			s.WriteString("\t}\n}\n")
		}
	}
	return s.String()
}
