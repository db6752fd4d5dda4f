package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// bytesFile writes the kernels on activations of 8 bits, except their products.
func bytesFile(e *emitter) {
	e.maskTable()
	s := &sweep{emitter: e, onBytes: true}
	for _, r := range []result{byteResult, bf16Result, floatResult} {
		finishSums(s, r, false)
	}
	finishSums(s, byteResult, true)
	roundRows(s)
	for _, r := range []result{bf16Result, floatResult} {
		narrowToBytes(s, r)
		widenBytes(s, r)
	}
	sumBytes(s)
	maxPoolBytes(e)
}

// result is the type of what a kernel makes of integers: its size in bytes.
type result int

const (
	byteResult  result = 1
	bf16Result  result = 2
	floatResult result = 4
)

// name is the part of a kernel's name that says it.
func (r result) name() string {
	return map[result]string{byteResult: "Bytes", bf16Result: "BF16", floatResult: "Float"}[r]
}

// element is the Go type.
func (r result) element() string {
	return map[result]string{byteResult: "uint8", bf16Result: "uint16", floatResult: "float32"}[r]
}

// result is vector v of that type whose activations are at offset at.
func (e *sweep) result(r result, base, at reg.GPVirtual, v int) operand.Mem {
	return operand.Mem{Base: base, Index: at, Scale: uint8(r), Disp: v * e.lanes * int(r)}
}

// loadBytes reads as many bytes as a vector has lanes and widens them to int32. Lanes
// outside the mask are not read from memory and are zero in the register.
func (e *emitter) loadBytes(m operand.Mem, v reg.VecPhysical, masked bool) {
	switch {
	case masked && e.wide():
		e.VPMOVZXBD_Z(m, reg.K1, v)
	case masked:
		e.VPXOR(v.AsX(), v.AsX(), v.AsX())
		e.eachLane(func(i int) { e.VPINSRB(operand.U8(uint8(i)), m.Offset(i), v.AsX(), v.AsX()) })
		e.VPMOVZXBD(v.AsX(), v)
	default:
		e.VPMOVZXBD(m, v)
	}
}

// storeBytes writes the lanes of v, from 0 to 255, as bytes. Lanes outside the mask are not
// written. AVX2 overwrites v and t.
func (e *emitter) storeBytes(v reg.VecPhysical, m operand.Mem, masked bool, t reg.VecPhysical) {
	switch {
	case masked && e.wide():
		e.VPMOVDB(v, reg.K1, m)
	case e.wide():
		e.VPMOVDB(v, m)
	default:
		e.packWords(v, t)
		e.VPACKUSWB(v.AsX(), v.AsX(), v.AsX())
		if !masked {
			e.VMOVQ(v.AsX(), m)
			return
		}
		e.eachLane(func(i int) { e.VPEXTRB(operand.U8(uint8(i)), v.AsX(), m.Offset(i)) })
	}
}

// putResult writes a vector of float32 as that type. least has the least result of 8 bits, and
// limit the largest; of other types least has the least number as float32. It overwrites v,
// t and K3.
func (e *emitter) putResult(r result, v reg.VecPhysical, m operand.Mem, masked bool, least, limit reg.VecPhysical, t ...reg.VecPhysical) {
	if r == byteResult {
		e.VMINPS(limit, v, v) // limit where v is NaN
		e.VCVTPS2DQ(v, v)
		e.VPMAXSD(least, v, v)
		e.storeBytes(v, m, masked, t[0])
		return
	}
	e.VMAXPS(v, least, v) // v where it is NaN
	if r == bf16Result {
		e.storeBF16(v, m, masked, t...)
		return
	}
	e.store(v, m, masked)
}

// finishSums writes the kernel that makes results of sums, integers or float32, as an Epilogue
// says.
func finishSums(e *sweep, r result, ofFloat bool) {
	most, name, element := e.most(), "finish"+r.name(), "int32"
	if ofFloat {
		name, element = name+"OfFloat", "float32"
	}
	e.emitter.function(name, "makes results of sums as an Epilogue says.",
		fmt.Sprintf("y []%s, ld int, x []%s, ldx int, scale, shift []float32, res []uint8, resScale float32, half []uint16, least uint32, rows, n int", r.element(), element))
	free := &registers{e: e.emitter}
	scale, shift, x, t := free.take(most), free.take(most), free.take(most), free.take(2)
	least, limit, resScale := free.one(), free.one(), free.one()
	e.VBROADCASTSS(e.addr("least"), least)
	e.VBROADCASTSS(e.addr("resScale"), resScale)
	e.constant(bits255, limit)
	b := newBlock(e)
	row, ldx, y := e.GP64(), e.arg("ldx"), e.arg("y")
	e.SHLQ(operand.U8(2), ldx)
	e.chunks(most, e.arg("n"), b.col, func(c chunk) {
		e.MOVQ(e.addr("x"), row)
		b.column(c, e.arg("scale"), scale, t[0])
		b.column(c, e.arg("shift"), shift, t[0])
		b.rows(c.prefix+"Rows", func() {
			for v := range c.vectors {
				e.load(e.floats(row, b.col, v), x[v], c.masked)
				if !ofFloat {
					e.VCVTDQ2PS(x[v], x[v])
				}
				e.VFMADD213PS(shift[v], scale[v], x[v])
			}
			e.ADDQ(ldx, row)
			res := e.arg("res")
			e.unless(c.prefix+"NoRes", res, func() {
				for v := range c.vectors {
					e.loadBytes(e.result(byteResult, res, b.at, v), t[0], c.masked)
					e.VCVTDQ2PS(t[0], t[0])
					e.VFMADD231PS(resScale, t[0], x[v])
				}
			})
			half := e.arg("half")
			e.unless(c.prefix+"NoHalf", half, func() {
				for v := range c.vectors {
					e.loadBF16(e.result(bf16Result, half, b.at, v), t[0], c.masked)
					e.VADDPS(t[0], x[v], x[v])
				}
			})
			for v := range c.vectors {
				e.putResult(r, x[v], e.result(r, y, b.at, v), c.masked, least, limit, t...)
			}
		})
	})
}

// roundRows writes the kernel that rounds rows of bfloat16 to 8 bits.
func roundRows(e *sweep) {
	most := e.most()
	e.emitter.function("roundRows", "rounds rows of bfloat16 to integers of 8 bits.", "y []uint8, ld int, x []uint16, ldx int, least uint32, rows, n int")
	free := &registers{e: e.emitter}
	x, t, least, limit := free.take(most), free.one(), free.one(), free.one()
	e.VBROADCASTSS(e.addr("least"), least)
	e.constant(bits255, limit)
	b := newBlock(e)
	row, ldx, y, later := e.GP64(), e.arg("ldx"), e.arg("y"), e.GP64()
	e.SHLQ(operand.U8(1), ldx)
	e.chunks(most, e.arg("n"), b.col, func(c chunk) {
		e.MOVQ(e.addr("x"), row)
		b.rows(c.prefix+"Rows", func() {
			// Rows of y may lie far apart, where processors prefetch nothing.
			e.LEAQ(operand.Mem{Base: b.at, Index: b.ld, Scale: 8}, later)
			e.PREFETCHT0(operand.Mem{Base: y, Index: later, Scale: 1})
			for v := range c.vectors {
				e.loadBF16(e.result(bf16Result, row, b.col, v), x[v], c.masked)
			}
			e.ADDQ(ldx, row)
			for v := range c.vectors {
				e.putResult(byteResult, x[v], e.result(byteResult, y, b.at, v), c.masked, least, limit, t)
			}
		})
	})
}

// narrowToBytes writes the conversion to 8 bits.
func narrowToBytes(e *sweep, r result) {
	const most = 2
	e.emitter.function("narrow"+r.name()+"ToBytes", "computes dst = src*inverse + zero, rounded to 8 bits.",
		"dst []uint8, src []"+r.element()+", inverse, zero float32")
	free := &registers{e: e.emitter}
	x, t, inverse, zero, least, limit := free.take(most), free.one(), free.one(), free.one(), free.one(), free.one()
	e.VBROADCASTSS(e.addr("inverse"), inverse)
	e.VBROADCASTSS(e.addr("zero"), zero)
	e.zero(least)
	e.constant(bits255, limit)
	dst, src, at := e.arg("dst"), e.arg("src"), e.GP64()
	e.chunks(most, e.length("src"), at, func(c chunk) {
		for v := range c.vectors {
			if m := e.result(r, src, at, v); r == bf16Result {
				e.loadBF16(m, x[v], c.masked)
			} else {
				e.load(m, x[v], c.masked)
			}
			e.VMULPS(inverse, x[v], x[v])
			e.VADDPS(zero, x[v], x[v])
			e.putResult(byteResult, x[v], e.result(byteResult, dst, at, v), c.masked, least, limit, t)
		}
	})
}

// widenBytes writes the conversion from 8 bits.
func widenBytes(e *sweep, r result) {
	const most = 2
	e.emitter.function("widenBytesTo"+r.name(), "computes dst = (src - zero) * scale.",
		"dst []"+r.element()+", src []uint8, scale, zero float32")
	free := &registers{e: e.emitter}
	x, t, scale, zero := free.take(most), free.take(2), free.one(), free.one()
	e.VBROADCASTSS(e.addr("scale"), scale)
	e.VBROADCASTSS(e.addr("zero"), zero)
	dst, src, at := e.arg("dst"), e.arg("src"), e.GP64()
	e.chunks(most, e.length("src"), at, func(c chunk) {
		for v := range c.vectors {
			e.loadBytes(e.result(byteResult, src, at, v), x[v], c.masked)
			e.VCVTDQ2PS(x[v], x[v])
			e.VSUBPS(zero, x[v], x[v])
			e.VMULPS(scale, x[v], x[v])
			if m := e.result(r, dst, at, v); r == bf16Result {
				e.storeBF16(x[v], m, c.masked, t...)
			} else {
				e.store(x[v], m, c.masked)
			}
		}
	})
}

// sumBytes writes the sums of columns.
func sumBytes(e *sweep) {
	const most = 4
	e.emitter.function("sumBytes", "sums the rows of a block.", "sum []int32, x []uint8, rows, n, ld int")
	free := &registers{e: e.emitter}
	sum, t := free.take(most), free.one()
	b := newBlock(e)
	x := e.arg("x")
	e.chunks(most, e.arg("n"), b.col, func(c chunk) {
		b.zeroAll(c, sum)
		b.rows(c.prefix+"Rows", func() {
			for v := range c.vectors {
				e.loadBytes(e.result(byteResult, x, b.at, v), t, c.masked)
				e.VPADDD(t, sum[v], sum[v])
			}
		})
		b.put(c, b.arg("sum"), sum, t)
	})
}

// maxPoolBytes writes the maximum over a window for a number of full vectors.
func maxPoolBytes(e *emitter) {
	const most = 4
	e.function("maxPoolBytes", "takes the maximum over a window of count offsets, in full vectors.",
		"dst, x *uint8, offs *int, count, vectors int")
	best := e.regs[:most]
	dst, x, vectors, offs, count, at := e.arg("dst"), e.arg("x"), e.arg("vectors"), e.GP64(), e.GP64(), e.GP64()
	for _, n := range []int{most, 1} {
		again, done, window := fmt.Sprintf("chunk%d", n), fmt.Sprintf("done%d", n), fmt.Sprintf("window%d", n)
		e.Label(again)
		e.CMPQ(vectors, operand.U8(uint8(n)))
		e.JLT(operand.LabelRef(done))
		for _, v := range best[:n] {
			e.zero(v)
		}
		e.MOVQ(e.addr("offs"), offs)
		e.MOVQ(e.addr("count"), count)
		e.Label(window)
		e.MOVQ(operand.Mem{Base: offs}, at)
		for i, v := range best[:n] {
			e.VPMAXUB(operand.Mem{Base: x, Index: at, Scale: 1, Disp: i * e.bytes()}, v, v)
		}
		e.ADDQ(operand.U8(8), offs)
		e.DECQ(count)
		e.JNZ(operand.LabelRef(window))
		for i, v := range best[:n] {
			e.VMOVUPS(v, operand.Mem{Base: dst, Disp: i * e.bytes()})
		}
		e.ADDQ(operand.U32(uint32(n*e.bytes())), dst)
		e.ADDQ(operand.U32(uint32(n*e.bytes())), x)
		e.SUBQ(operand.U8(uint8(n)), vectors)
		e.JMP(operand.LabelRef(again))
		e.Label(done)
	}
	e.done()
}
