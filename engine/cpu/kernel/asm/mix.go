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

// mixStep is the number of lanes of a step of a transform, one cache line, in every
// instruction set. mixBlock is the number of steps of a block.
const (
	mixStep  = 16
	mixBlock = 8
)

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

// mixConstants writes all factors except 1 and -1 to a table: as a single value where
// instructions can broadcast it, and as a full vector otherwise.
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

// mixer emits the transforms of one matrix. It allocates vector registers itself.
type mixer struct {
	*emitter
	*linear
	integers  int  // the bits of the integers that it transforms, or 0 for float32
	claims    bool // sinks take the registers of outputs
	constants map[string]operand.Mem
	factors   map[string]operand.Op // the operands that hold them
	free      []reg.VecPhysical
}

func (x *mixer) take() reg.VecPhysical {
	r := x.free[len(x.free)-1]
	x.free = x.free[:len(x.free)-1]
	return r
}

// transform emits the operations of the matrix once. source returns a register from take
// with an input; sink stores an output and frees its register.
func (x *mixer) transform(source func(k int) reg.VecPhysical, sink func(i int, r reg.VecPhysical)) {
	at, uses := make([]reg.VecPhysical, x.ins+len(x.ops)), x.uses()
	get := func(v int) reg.VecPhysical {
		if at[v] == nil {
			at[v] = source(v)
		}
		return at[v]
	}
	drop := func(v int) {
		if uses[v]--; uses[v] == 0 && at[v] != nil {
			x.free = append(x.free, at[v])
		}
	}
	deliver := func(v int) {
		for i, o := range x.outs {
			if o == v {
				r := get(v)
				if x.claims {
					r = x.claim(r, uses[v] == 1)
					if uses[v] == 1 {
						at[v] = nil
					}
				}
				sink(i, r)
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
		// The result overwrites an operand that nothing else reads.
		switch {
		case op.a != none && uses[op.a] == 1:
			at[v], at[op.a] = a, nil
		case uses[op.b] == 1:
			at[v], at[op.b] = b, nil
		default:
			at[v] = x.take()
		}
		x.operate(a, b, at[v], op.c)
		if op.a != none {
			drop(op.a)
		}
		drop(op.b)
		deliver(v)
	}
}

// claim returns a register for an output that the transform does not use afterwards: that of
// the output if nothing else reads it.
func (x *mixer) claim(r reg.VecPhysical, last bool) reg.VecPhysical {
	if last {
		return r
	}
	own := x.take()
	x.VMOVAPS(r, own)
	return own
}

// operate computes dst = a + c*b, or c*b without a.
func (x *mixer) operate(a, b, dst reg.VecPhysical, c *big.Rat) {
	if x.integers > 0 {
		x.operateIntegers(a, b, dst, c)
		return
	}
	constant := x.factors[c.RatString()]
	switch {
	case a == nil:
		x.VMULPS(constant, b, dst)
	case isUnit(c) && c.Sign() < 0:
		x.VSUBPS(b, a, dst)
	case isUnit(c):
		x.VADDPS(b, a, dst)
	case dst == b:
		x.VFMADD132PS(constant, a, dst)
	default:
		if dst != a {
			x.VMOVAPS(a, dst)
		}
		x.VFMADD231PS(constant, b, dst)
	}
}

// begin frees all registers at the start of a function, except those in which AVX-512
// keeps factors; AVX2 reads factors from the table.
func (x *mixer) begin() {
	x.factors = map[string]operand.Op{}
	x.free = append(x.free[:0], x.regs...)
	for _, op := range x.ops {
		key := op.c.RatString()
		m, ok := x.constants[key]
		if _, again := x.factors[key]; again || !ok {
			continue
		}
		x.factors[key] = m
		if x.wide() {
			r := x.take()
			x.VBROADCASTSS(m, r)
			x.factors[key] = r
		}
	}
}

// pixels loads pointers from a table, beginning with first and at the given distance.
func (x *mixer) pixels(table reg.GPVirtual, to []reg.GPVirtual, first, apart int) {
	for i, r := range to {
		x.MOVQ(operand.Mem{Base: table, Disp: 8 * (first + i*apart)}, r)
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
	x.begin()
	dst, src, from, to := x.arg("dst"), x.arg("src"), x.pointers(x.ins), x.GP64()
	x.pixels(src, from, 0, 1)
	at, blockBytes := x.GP64(), x.arg("steps")
	x.SHLQ(operand.U8(6), blockBytes)
	x.XORQ(at, at)
	x.along("step", at, blockBytes, func() {
		x.transform(x.loads(func(k int) operand.Mem { return x.vec(from[k], at, 0) }),
			x.stores(func(i int) operand.Mem {
				x.MOVQ(operand.Mem{Base: dst, Disp: 8 * i}, to)
				return x.vec(to, at, 0)
			}))
	})
	x.done()
}

// square writes the transform of a tile, block by block: it transforms the columns, then
// the rows of the result.
//
// Pixels usually lie a power of two apart, so their cache lines compete for the same
// eight ways of a set of the first-level cache. Therefore one column or row, at most six
// pixels, is transformed for all steps of a block before the next. Keeping as many values
// as possible between the passes of a step in registers was 2.1 times slower on such
// pixels and 1.2 times faster on others. A block of four steps was 1.3 times slower on the
// former.
func (x *mixer) square(name string) {
	outs := len(x.outs)
	x.function("mixSquare"+name, fmt.Sprintf("computes a tile of %d x %d pixels from %d x %d, in steps of %d lanes.",
		outs, outs, x.ins, x.ins, mixStep), "dst, src **float32, spill *float32, steps int")
	x.begin()
	dst, src, between := x.arg("dst"), x.arg("src"), x.arg("spill")
	pixel := x.pointers(max(x.ins, outs))
	at, left, blockBytes := x.GP64(), x.arg("steps"), x.GP64()
	x.SHLQ(operand.U8(6), left)
	x.XORQ(at, at)
	x.Label("block")
	x.MOVQ(operand.U32(mixBlock*4*mixStep), blockBytes)
	x.CMPQ(left, blockBytes)
	x.CMOVQLT(left, blockBytes)
	for p := range x.ins {
		x.pixels(src, pixel[:x.ins], p, x.ins)
		x.along(fmt.Sprintf("column%d", p), at, blockBytes, func() {
			x.transform(x.loads(func(k int) operand.Mem { return x.vec(pixel[k], at, 0) }),
				x.stores(func(i int) operand.Mem { return x.between(between, at, i*x.ins+p) }))
		})
	}
	for i := range outs {
		x.pixels(dst, pixel[:outs], i*outs, 1)
		x.along(fmt.Sprintf("row%d", i), at, blockBytes, func() {
			x.transform(x.loads(func(p int) operand.Mem { return x.between(between, at, i*x.ins+p) }),
				x.stores(func(j int) operand.Mem { return x.vec(pixel[j], at, 0) }))
		})
	}
	x.ADDQ(blockBytes, at)
	x.SUBQ(blockBytes, between) // which counts from at, too
	x.SUBQ(blockBytes, left)
	x.JNZ(operand.LabelRef("block"))
	x.done()
}

// along runs body for every vector of a block of blockBytes bytes and leaves at where
// it was.
func (x *mixer) along(label string, at, blockBytes reg.GPVirtual, body func()) {
	end := x.GP64()
	x.LEAQ(operand.Mem{Base: at, Index: blockBytes, Scale: 1}, end)
	x.Label(label)
	body()
	x.ADDQ(operand.U32(uint32(x.bytes())), at)
	x.CMPQ(at, end)
	x.JNE(operand.LabelRef(label))
	x.SUBQ(blockBytes, at)
}

// between returns the memory of value n between the passes.
func (x *mixer) between(base, at reg.GPVirtual, n int) operand.Mem {
	return operand.Mem{Base: base, Index: at, Scale: 1, Disp: n * mixBlock * 4 * mixStep}
}

// loads is a source of inputs in memory.
func (x *mixer) loads(where func(k int) operand.Mem) func(k int) reg.VecPhysical {
	return func(k int) reg.VecPhysical {
		r := x.take()
		x.load(where(k), r, false)
		return r
	}
}

// stores is a sink of outputs in memory.
func (x *mixer) stores(where func(i int) operand.Mem) func(i int, r reg.VecPhysical) {
	return func(i int, r reg.VecPhysical) { x.store(r, where(i), false) }
}

// mixSwitch returns the Go text that calls the transforms of an instruction set.
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
