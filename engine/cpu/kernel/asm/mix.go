package main

import (
	"fmt"
	"math"
	"math/big"
	"strings"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// mixStep is how many lanes a round of a transform takes, a line of the cache
// in every instruction set: half a line at a time would find the first half
// pushed out where pixels lie a power of two apart.
const mixStep = 16

// mixKind is one matrix with the name of its constant.
type mixKind struct {
	name string
	m    matrix
}

func mixKinds() (kinds []mixKind) {
	for _, w := range algorithms {
		for _, k := range []mixKind{
			{"Input", w.input()}, {"Output", w.output()}, {"Filter", w.filter()},
			{"OutputGrad", w.output().transpose()}, {"FilterGrad", w.filter().transpose()},
		} {
			kinds = append(kinds, mixKind{fmt.Sprintf("%s%d", k.name, w.m), k.m})
		}
	}
	return kinds
}

// mixFile writes the transforms of Winograd's convolution.
func mixFile(e *emitter) {
	kinds := mixKinds()
	constants := mixConstants(e, kinds)
	for _, k := range kinds {
		x := &mixer{emitter: e, linear: newLinear(k.m), constants: constants}
		x.line(k.name)
		x.square(k.name)
	}
}

// mixConstants writes all factors but 1 and -1 into a table: as one value where
// instructions can broadcast it, as a whole vector elsewhere.
func mixConstants(e *emitter, kinds []mixKind) map[string]operand.Mem {
	table := e.StaticGlobal("mixConstants")
	e.DataAttributes(attr.RODATA | attr.NOPTR)
	at, size := map[string]operand.Mem{}, 0
	for _, k := range kinds {
		for _, op := range newLinear(k.m).ops {
			key := op.c.RatString()
			if _, ok := at[key]; ok || op.a != none && isUnit(op.c) {
				continue
			}
			at[key] = table.Offset(size)
			v, _ := op.c.Float32()
			copies := 1
			if !e.wide() {
				copies = e.lanes
			}
			for range copies {
				e.AddDatum(size, operand.U32(math.Float32bits(v)))
				size += 4
			}
		}
	}
	return at
}

// mixer emits one transform. It hands out vector registers itself, because a
// transform in two dimensions keeps as many values between its two passes as
// there is room for.
type mixer struct {
	*emitter
	*linear
	constants map[string]operand.Mem
	free      []reg.VecPhysical
	dry       bool // only to see whether the registers suffice
	short     bool // they did not
}

func (x *mixer) take() reg.VecPhysical {
	if len(x.free) == 0 {
		x.short = true
		return x.regs[0]
	}
	r := x.free[len(x.free)-1]
	x.free = x.free[:len(x.free)-1]
	return r
}

func (x *mixer) release(r reg.VecPhysical) { x.free = append(x.free, r) }

// emit runs an instruction unless this is a trial.
func (x *mixer) emit(f func()) {
	if !x.dry {
		f()
	}
}

// transform emits the operations of the matrix once. source yields the register
// of an input and gives it away; sink takes the register of an output, and says
// whether it keeps it.
func (x *mixer) transform(source func(k int) reg.VecPhysical, sink func(i int, r reg.VecPhysical) (keeps bool)) {
	at, uses := make([]reg.VecPhysical, x.ins+len(x.ops)), x.uses()
	get := func(v int) reg.VecPhysical {
		if at[v] == nil {
			at[v] = source(v)
		}
		return at[v]
	}
	drop := func(v int) {
		if uses[v]--; uses[v] == 0 && at[v] != nil {
			x.release(at[v])
		}
	}
	deliver := func(v int) {
		for i, o := range x.outs {
			if o == v && !sink(i, get(v)) {
				drop(v)
			}
		}
	}
	for v := range x.ins {
		deliver(v)
	}
	for n, op := range x.ops {
		v := x.ins + n
		var a reg.VecPhysical
		if op.a != none {
			a = get(op.a)
		}
		b := get(op.b)
		// The result takes the place of an operand that nothing else needs.
		switch {
		case op.a != none && uses[op.a] == 1:
			at[v], at[op.a] = a, nil
		case uses[op.b] == 1:
			at[v], at[op.b] = b, nil
		default:
			at[v] = x.take()
		}
		x.emit(func() { x.operate(a, b, at[v], op.c) })
		if op.a != none {
			drop(op.a)
		}
		drop(op.b)
		deliver(v)
	}
}

// operate computes dst = a + c*b, or c*b without a.
func (x *mixer) operate(a, b, dst reg.VecPhysical, c *big.Rat) {
	constant := x.constants[c.RatString()]
	switch {
	case a == nil && x.wide():
		x.VMULPS_BCST(constant, b, dst)
	case a == nil:
		x.VMULPS(constant, b, dst)
	case isUnit(c) && c.Sign() < 0:
		x.VSUBPS(b, a, dst)
	case isUnit(c):
		x.VADDPS(b, a, dst)
	case dst == b && x.wide():
		x.VFMADD132PS_BCST(constant, a, dst)
	case dst == b:
		x.VFMADD132PS(constant, a, dst)
	default:
		if dst != a {
			x.VMOVAPS(a, dst)
		}
		if x.wide() {
			x.VFMADD231PS_BCST(constant, b, dst)
		} else {
			x.VFMADD231PS(constant, b, dst)
		}
	}
}

// vectors is how many vectors a step has.
func (x *mixer) vectors() int { return mixStep / x.lanes }

// steps emits the loop over steps of lanes; at is the offset of a step in bytes.
func (x *mixer) steps(body func(at reg.GPVirtual)) {
	at, count := x.GP64(), x.arg("steps")
	x.XORQ(at, at)
	x.Label("step")
	body(at)
	x.ADDQ(operand.U32(4*mixStep), at)
	x.DECQ(count)
	x.JNZ(operand.LabelRef("step"))
	x.done()
}

// pixels loads pointers from a table: count of them, from the first, apart.
func (x *mixer) pixels(table reg.GPVirtual, to []reg.GPVirtual, first, apart int) {
	for i, r := range to {
		x.emit(func() { x.MOVQ(operand.Mem{Base: table, Disp: 8 * (first + i*apart)}, r) })
	}
}

func (x *mixer) pointers(n int) (p []reg.GPVirtual) {
	for range n {
		p = append(p, x.GP64())
	}
	return p
}

// line writes the transform of one row or column of pixels.
func (x *mixer) line(name string) {
	x.function("mixLine"+name, fmt.Sprintf("computes %d pixels from %d, in steps of %d lanes.", len(x.outs), x.ins, mixStep),
		"dst, src **float32, steps int")
	dst, src, pixel := x.arg("dst"), x.arg("src"), x.pointers(max(x.ins, len(x.outs)))
	x.free = append(x.free[:0], x.regs...)
	x.steps(func(at reg.GPVirtual) {
		for v := range x.vectors() {
			x.transform(func(k int) reg.VecPhysical {
				r := x.take()
				x.pixels(src, pixel[:1], k, 0)
				x.load(x.vec(pixel[0], at, v), r, false)
				return r
			}, func(i int, r reg.VecPhysical) bool {
				x.pixels(dst, pixel[1:2], i, 0)
				x.store(r, x.vec(pixel[1], at, v), false)
				return false
			})
		}
	})
}

// square writes the transform of a tile: down its columns, then along the rows
// of what that gives.
func (x *mixer) square(name string) {
	x.function("mixSquare"+name, fmt.Sprintf("computes a tile of %d x %d pixels from %d x %d, in steps of %d lanes.",
		len(x.outs), len(x.outs), x.ins, x.ins, mixStep), "dst, src **float32, spill *float32, steps int")
	s := square{mixer: x, dst: x.arg("dst"), src: x.arg("src"), spill: x.arg("spill"), pixel: x.pointers(max(x.ins, len(x.outs)))}
	if x.vectors() == 1 {
		s.keep = len(x.outs) * x.ins
	}
	for x.dry = true; x.dry; {
		x.short = false
		s.step(nil)
		if x.dry = x.short; x.dry {
			s.keep--
		}
	}
	x.steps(s.step)
}

// square is the state of one transform of a tile.
type square struct {
	*mixer
	dst, src, spill reg.GPVirtual
	pixel           []reg.GPVirtual
	keep            int // how many values between the passes stay in registers
}

// step emits both passes over one step of lanes.
func (s *square) step(at reg.GPVirtual) {
	s.free = append(s.free[:0], s.regs...)
	kept := make([]reg.VecPhysical, s.keep)
	outs := len(s.outs)
	for p := range s.ins {
		s.pixels(s.src, s.pixel[:s.ins], p, s.ins)
		for v := range s.vectors() {
			s.transform(func(k int) reg.VecPhysical {
				r := s.take()
				s.emit(func() { s.load(s.vec(s.pixel[k], at, v), r, false) })
				return r
			}, func(i int, r reg.VecPhysical) bool {
				if n := i*s.ins + p; n < s.keep {
					kept[n] = r
					return true
				}
				s.emit(func() { s.store(r, s.between(i, p, v), false) })
				return false
			})
		}
	}
	for i := range outs {
		s.pixels(s.dst, s.pixel[:outs], i*outs, 1)
		for v := range s.vectors() {
			s.transform(func(p int) reg.VecPhysical {
				if n := i*s.ins + p; n < s.keep {
					return kept[n]
				}
				r := s.take()
				s.emit(func() { s.load(s.between(i, p, v), r, false) })
				return r
			}, func(j int, r reg.VecPhysical) bool {
				s.emit(func() { s.store(r, s.vec(s.pixel[j], at, v), false) })
				return false
			})
		}
	}
}

// between is where a value between the passes is put.
func (s *square) between(i, p, v int) operand.Mem {
	return operand.Mem{Base: s.spill, Disp: ((i*s.ins+p)*s.vectors() + v) * s.bytes()}
}

// mixSwitch is the Go text that calls the transforms of an instruction set.
func mixSwitch(isa isa) string {
	var s strings.Builder
	for _, f := range []struct{ name, doc, extra, args string }{
		{"mixLine", "of one row or column", "", ""},
		{"mixSquare", "of a tile", ", spill *float32", ", spill"},
	} {
		fmt.Fprintf(&s, "\n// %[1]s%[2]s calls the transform %[3]s.\nfunc %[1]s%[2]s(kind Mix, dst, src **float32%[4]s, steps int) {\n\tswitch kind {\n",
			f.name, isa.suffix, f.doc, f.extra)
		for _, k := range mixKinds() {
			also := ""
			if strings.HasPrefix(k.name, "Filter") && !strings.Contains(k.name, "Grad") {
				also = ", " + strings.Replace(k.name, "Filter", "FilterFlip", 1)
			}
			fmt.Fprintf(&s, "\tcase %s%s:\n\t\t%s%s%s(dst, src%s, steps)\n", k.name, also, f.name, k.name, isa.suffix, f.args)
		}
		s.WriteString("\t}\n}\n")
	}
	return s.String()
}
