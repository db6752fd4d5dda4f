package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// pairsFile writes the kernels that convert activations and weights to operands of
// products of bfloat16, and results back. Those that do not round are the same with and
// without AVX512_BF16.
func pairsFile(e *emitter) {
	e.maskTable()
	s := &sweep{emitter: e, onBF16: true}
	narrowFlat(s)
	narrowThree(e)
	finish(s)
	interleave(e, "interleaveFloats", "float32", 4, (*emitter).pairFloats)
	transposePairs(e, "transposeFloats", "row *float32, ld int", (*emitter).floatRows)
	if e.bf16 {
		return
	}
	widenFlat(s)
	interleave(e, "interleaveWords", "uint16", 2, (*emitter).pairWords)
	transposePairs(e, "transposeWords", "rows **uint16", (*emitter).wordRows)
	if !e.wide() {
		copyTaps(e)
	}
}

func narrowFlat(e *sweep) {
	const most = 4
	e.emitter.function("narrow", "rounds float32 to bfloat16.", "dst []uint16, src []float32")
	free := registers{e: e.emitter}
	x, t := free.take(most), free.take(2)
	dst, src, at := e.arg("dst"), e.arg("src"), e.GP64()
	e.chunks(most, e.length("src"), at, func(c chunk) {
		c.woven = false // src is not
		for v := range c.vectors {
			e.load(e.floats(src, at, v), x[v], c.masked)
		}
		e.writeAll(c, dst, at, x, t)
	})
}

func widenFlat(e *sweep) {
	const most = 4
	e.emitter.function("widen", "converts bfloat16 to float32.", "dst []float32, src []uint16")
	free := registers{e: e.emitter}
	x := free.take(most)
	dst, src, at := e.arg("dst"), e.arg("src"), e.GP64()
	e.chunks(most, e.length("src"), at, func(c chunk) {
		c.woven = false // dst is not
		e.readAll(c, src, at, x)
		for v := range c.vectors {
			e.store(x[v], e.floats(dst, at, v), c.masked)
		}
	})
}

// finish processes two vectors at a time, the width of a block of sums.
func finish(e *sweep) {
	e.emitter.function("finish", "computes y = x*scale + shift + res, then a ReLU, and rounds.",
		"y []uint16, ld int, x []float32, ldx int, scale, shift []float32, res []uint16, relu bool, rows, n int")
	row, ldx := e.GP64(), e.arg("ldx")
	e.SHLQ(operand.U8(2), ldx)
	begin := func(c *chunk) {
		c.woven = false // x is not
		e.MOVQ(e.addr("x"), row)
	}
	affine(e, &registers{e: e.emitter}, 2, begin, func(b *block, c chunk, to []reg.VecPhysical) {
		for v := range c.vectors {
			e.load(e.floats(row, b.col, v), to[v], c.masked)
		}
		e.ADDQ(ldx, row)
	})
}

// interleave writes the interleaving of pairs of rows. A panel is two vectors wide.
// AVX-512 reads a partial panel with a mask; AVX2 handles only full panels.
func interleave(e *emitter, name, element string, size int, load func(e *emitter, even, odd operand.Mem, mask operand.Op, v []reg.VecPhysical)) {
	args := "dst *uint16, src *" + element + ", pairs, ld int, mask uint32"
	e.function(name, "interleaves pairs of rows of src, ld elements apart.", args)
	if e.wide() {
		mask := e.GP32()
		e.MOVL(e.addr("mask"), mask)
		e.KMOVD(mask, reg.K1)
		e.KSHIFTRD(operand.U8(16), reg.K1, reg.K2)
	}
	dst, even, odd, ld, pairs := e.arg("dst"), e.arg("src"), e.GP64(), e.arg("ld"), e.arg("pairs")
	e.SHLQ(operand.U8(uint8(size/2)), ld)
	e.LEAQ(operand.Mem{Base: even, Index: ld, Scale: 1}, odd)
	e.Label("pair")
	for v := range 2 {
		regs := e.regs[4*v:][:4]
		disp := v * e.lanes * size
		load(e, operand.Mem{Base: even, Disp: disp}, operand.Mem{Base: odd, Disp: disp}, []operand.Op{reg.K1, reg.K2}[v], regs)
		e.VMOVUPS(regs[0], operand.Mem{Base: dst, Disp: v * e.bytes()})
	}
	e.LEAQ(operand.Mem{Base: even, Index: ld, Scale: 2}, even)
	e.LEAQ(operand.Mem{Base: odd, Index: ld, Scale: 2}, odd)
	e.ADDQ(operand.U32(uint32(2*e.bytes())), dst)
	e.DECQ(pairs)
	e.JNZ(operand.LabelRef("pair"))
	e.done()
}

// pairWords fills v[0] with pairs of words of two rows. It overwrites the other vectors.
// Without a mask, as always in AVX2, it reads a full vector.
func (e *emitter) pairWords(even, odd operand.Mem, mask operand.Op, v []reg.VecPhysical) {
	if e.wide() && mask != nil {
		e.VPMOVZXWD_Z(even, mask, v[0])
		e.VPMOVZXWD_Z(odd, mask, v[1])
	} else {
		e.VPMOVZXWD(even, v[0])
		e.VPMOVZXWD(odd, v[1])
	}
	e.joinPair(v)
}

// pairFloats is pairWords for float32, which it rounds.
func (e *emitter) pairFloats(even, odd operand.Mem, mask operand.Op, v []reg.VecPhysical) {
	if e.wide() {
		e.VMOVUPS_Z(even, mask, v[0])
		e.VMOVUPS_Z(odd, mask, v[1])
	} else {
		e.VMOVUPS(even, v[0])
		e.VMOVUPS(odd, v[1])
	}
	for _, x := range v[:2] {
		if e.bf16 {
			e.VCVTNEPS2BF16(x, x.AsY())
			e.VPMOVZXWD(x.AsY(), x)
			continue
		}
		e.roundBits(x, v[2:]...)
		e.VPSRLD(operand.U8(16), v[2], x)
	}
	e.joinPair(v)
}

// joinPair puts the lower half of the lanes of v[1] above those of v[0].
func (e *emitter) joinPair(v []reg.VecPhysical) {
	e.VPSLLD(operand.U8(16), v[1], v[1])
	if e.wide() {
		e.VPORD(v[1], v[0], v[0])
	} else {
		e.VPOR(v[1], v[0], v[0])
	}
}

// transposePairs writes the transposition of squares of pairs whose side is the number of
// lanes of a vector. The squares are neighbours in the rows of src and become neighbours in
// the columns of dst, whose rows are stride bytes apart.
func transposePairs(e *emitter, name, source string, load func(e *emitter, block reg.GPVirtual, r, t []reg.VecPhysical)) {
	e.function(name, "transposes squares of pairs; rows of dst are stride bytes apart.",
		"dst *uint16, "+source+", stride, blocks int")
	n := e.lanes
	r, t := e.regs[:n], e.regs[n:2*n]
	dst, stride, blocks := e.arg("dst"), e.arg("stride"), e.arg("blocks")
	block := e.GP64()
	e.XORQ(block, block)
	e.Label("block")
	load(e, block, r, t)
	for i, x := range e.transposed(r, t) {
		e.VMOVUPS(x, operand.Mem{Base: dst})
		if i < n-1 {
			e.ADDQ(stride, dst)
		}
	}
	e.ADDQ(stride, dst)
	e.DECQ(blocks)
	e.JNZ(operand.LabelRef("block"))
	e.done()
}

// wordRows fills r with the pairs of the rows in the table rows, from offset block on, and
// advances block.
func (e *emitter) wordRows(block reg.GPVirtual, r, t []reg.VecPhysical) {
	table, row := e.arg("rows"), [2]reg.GPVirtual{e.GP64(), e.GP64()}
	for i := range r {
		for j := range row {
			e.MOVQ(operand.Mem{Base: table, Disp: 8 * (2*i + j)}, row[j])
		}
		at := func(j int) operand.Mem { return operand.Mem{Base: row[j], Index: block, Scale: 1} }
		e.pairWords(at(0), at(1), nil, []reg.VecPhysical{r[i], t[i]})
	}
	e.ADDQ(operand.U8(uint8(2*e.lanes)), block)
}

// floatRows fills r with rows of twice as many float32, which it rounds, from offset block
// on, and advances block.
func (e *emitter) floatRows(block reg.GPVirtual, r, t []reg.VecPhysical) {
	row, ld := e.arg("row"), e.arg("ld")
	e.SHLQ(operand.U8(2), ld)
	for i := range r {
		low, high := r[i], t[0]
		at := operand.Mem{Base: row, Index: block, Scale: 1}
		e.VMOVUPS(at, low)
		e.VMOVUPS(at.Offset(e.bytes()), high)
		e.narrow(low, t[1], t[2])
		e.narrow(high, t[1], t[2])
		if e.wide() {
			e.VINSERTI64X4(operand.U8(1), high.AsY(), low, low)
		} else {
			e.VINSERTI128(operand.U8(1), high.AsX(), low, low)
		}
		e.ADDQ(ld, row)
	}
	e.ADDQ(operand.U32(uint32(2*e.bytes())), block)
}

// transposed transposes a square of lanes of 32 bits. It overwrites r and t, and returns
// the one that has the result.
func (e *emitter) transposed(r, t []reg.VecPhysical) []reg.VecPhysical {
	if !e.wide() {
		e.transpose8(r, t)
		return t
	}
	for i := 0; i < 16; i += 2 {
		e.VPUNPCKLDQ(r[i+1], r[i], t[i])
		e.VPUNPCKHDQ(r[i+1], r[i], t[i+1])
	}
	// r[i+m] gets, in lane l of 128 bits, column 4*l+m of rows i to i+3.
	for i := 0; i < 16; i += 4 {
		e.VPUNPCKLQDQ(t[i+2], t[i], r[i])
		e.VPUNPCKHQDQ(t[i+2], t[i], r[i+1])
		e.VPUNPCKLQDQ(t[i+3], t[i+1], r[i+2])
		e.VPUNPCKHQDQ(t[i+3], t[i+1], r[i+3])
	}
	const evenLanes, oddLanes = operand.U8(0x88), operand.U8(0xdd)
	for i := 0; i < 16; i += 8 {
		for m := range 4 {
			e.VSHUFI32X4(evenLanes, r[i+4+m], r[i+m], t[i+m])
			e.VSHUFI32X4(oddLanes, r[i+4+m], r[i+m], t[i+4+m])
		}
	}
	for m := range 4 {
		e.VSHUFI32X4(evenLanes, t[8+m], t[m], r[m])
		e.VSHUFI32X4(oddLanes, t[8+m], t[m], r[8+m])
		e.VSHUFI32X4(evenLanes, t[12+m], t[4+m], r[4+m])
		e.VSHUFI32X4(oddLanes, t[12+m], t[4+m], r[12+m])
	}
	return r
}

// copyTaps writes the kernel that copies four words from each tap to each row. Taps are
// written step bytes apart, which is less than four words, so each tap overwrites the
// last words of the one before.
func copyTaps(e *emitter) {
	e.function("copyTaps", "copies 8 bytes from each tap to each row; distances in bytes.",
		"dst *uint16, taps **uint16, ntaps, step, rows, srcStride, dstStride int")
	dst, step, rows := e.arg("dst"), e.arg("step"), e.arg("rows")
	row, at, table, left, triple := e.GP64(), e.GP64(), e.GP64(), e.GP64(), e.GP64()
	copyTap := func(i int, to operand.Mem) {
		tap := e.GP64()
		e.MOVQ(operand.Mem{Base: table, Disp: 8 * i}, tap)
		e.MOVQ(operand.Mem{Base: tap, Index: row, Scale: 1}, tap)
		e.MOVQ(tap, to)
	}
	e.LEAQ(operand.Mem{Base: step, Index: step, Scale: 2}, triple)
	e.XORQ(row, row)
	e.Label("row")
	e.MOVQ(dst, at)
	e.MOVQ(e.addr("taps"), table)
	e.MOVQ(e.addr("ntaps"), left)
	e.Label("four")
	e.SUBQ(operand.U8(4), left)
	e.JLT(operand.LabelRef("rest"))
	for i, m := range []operand.Mem{{Base: at}, {Base: at, Index: step, Scale: 1}, {Base: at, Index: step, Scale: 2}, {Base: at, Index: triple, Scale: 1}} {
		copyTap(i, m)
	}
	e.ADDQ(operand.U8(32), table)
	e.LEAQ(operand.Mem{Base: at, Index: step, Scale: 4}, at)
	e.JMP(operand.LabelRef("four"))
	e.Label("rest")
	e.ADDQ(operand.U8(4), left)
	e.JZ(operand.LabelRef("next"))
	e.Label("tap")
	copyTap(0, operand.Mem{Base: at})
	e.ADDQ(operand.U8(8), table)
	e.ADDQ(step, at)
	e.DECQ(left)
	e.JNZ(operand.LabelRef("tap"))
	e.Label("next")
	e.ADDQ(e.addr("srcStride"), row)
	e.ADDQ(e.addr("dstStride"), dst)
	e.DECQ(rows)
	e.JNZ(operand.LabelRef("row"))
	e.RET()
}
