package kernel

// portableBF16 is the table of kernels on bfloat16 in plain Go.
var portableBF16 = BF16{
	Unit: "plain Go", Rows: 4, Cols: 16, Depth: 2,
	Dot:                 dotPortable,
	DotFetch:            dotFetchPortable,
	DotRound:            dotRoundPortable,
	DotRows:             dotRowsPortable,
	DotStats:            dotStatsPortable,
	DotReduce:           dotReducePortable,
	RoundNarrow:         15,
	PackPairs:           packPairsPortable[uint16],
	PackPairsFloat:      packPairsFloatPortable,
	PackPairsTransposed: packPairsTransposedPortable,
	Transpose:           transposePortable,
	Patches:             patchesPortable,
	Narrow:              narrowPortable,
	NarrowThree:         narrowThreePortable,
	Widen:               widenPortable,
	Combine:             combinePortable,
	Finish:              finishPortable,
	MeanM2:              meanM2Portable[uint16],
	ScaleShift:          scaleShiftPortable[uint16],
	BNReduce:            bnReducePortable[uint16],
	BNGrad:              bnGradPortable[uint16],
	SumRows:             sumRowsPortable[uint16],
	MaxPool:             maxPoolBF16Portable,
	MaxPoolGrad:         maxPoolGradBF16Portable,
	PeakDot:             peakPortable,
}

func narrowPortable(dst []uint16, src []float32) {
	dst = dst[:len(src)]
	for i, v := range src {
		dst[i] = narrow(v)
	}
}

func narrowThreePortable(dst []uint16, src []float32, ld, n int) {
	for i := range n {
		for c := range 3 {
			dst[3*i+c] = narrow(src[c*ld+i])
		}
	}
}

func widenPortable(dst []float32, src []uint16) {
	dst = dst[:len(src)]
	for i, h := range src {
		dst[i] = widen(h)
	}
}

// dotPortable computes 4 columns at a time, whose sums stay in registers.
func dotPortable(c []float32, crs int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, accumulate bool) {
	if k == 0 {
		segs = nil
	}
	for r := range rows {
		for j := 0; j < cols; j += 4 {
			var sum [4]float32
			n := min(4, cols-j)
			out := c[r*crs+j:][:n]
			if accumulate {
				copy(sum[:], out)
			}
			for _, s := range segs {
				dot4(&sum, a[s.A+r*ars:][:k], b[s.B+2*j:])
			}
			copy(out, sum[:n])
		}
	}
}

// dotFetchPortable is dotPortable; it leaves prefetching to the processor.
func dotFetchPortable(c []float32, crs int, a []uint16, ars int, b []uint16, segs []Seg, k, rows, cols int, accumulate bool, _ []uint16, _ int) {
	dotPortable(c, crs, a, ars, b, segs, k, rows, cols, accumulate)
}

func packPairsPortable[T uint16 | int16](dst, src []T, rows, n, ld, cols int) {
	for k := 0; k < rows; k += 2 {
		pair := dst[k*cols:][:2*cols]
		clear(pair)
		for i := k; i < min(k+2, rows); i++ {
			for j, v := range src[i*ld:][:n] {
				pair[2*j+i-k] = v
			}
		}
	}
}

func packPairsFloatPortable(dst []uint16, src []float32, rows, n, ld, cols int) {
	for k := 0; k < rows; k += 2 {
		pair := dst[k*cols:][:2*cols]
		clear(pair)
		for i := k; i < min(k+2, rows); i++ {
			for j, v := range src[i*ld:][:n] {
				pair[2*j+i-k] = narrow(v)
			}
		}
	}
}

func packPairsTransposedPortable(dst []uint16, src []float32, rows, n, ld, cols int) {
	clear(dst[:(n+1)/2*2*cols])
	for j := range rows {
		for k, v := range src[j*ld:][:n] {
			dst[k/2*2*cols+2*j+k%2] = narrow(v)
		}
	}
}

func transposePortable(dst, src []uint16, offs []int, n, dld int) {
	for i, o := range offs {
		for j := range n {
			v := uint16(0)
			if o >= 0 {
				v = src[o+j]
			}
			dst[j*dld+i] = v
		}
	}
}

func patchesPortable(dst, src []uint16, offs []int, rows, c, ld, dld int) {
	if c == 1 {
		patchesOfOne(dst, src, offs, rows, ld, dld)
		return
	}
	for i := range rows {
		out := dst[i*dld:][:dld]
		for t, o := range offs {
			if o < 0 {
				clear(out[t*c:][:c])
				continue
			}
			copy(out[t*c:], src[o+i*ld:][:c])
		}
		clear(out[len(offs)*c:])
	}
}

// patchesOfOne is Patches for a single channel, tap by tap.
func patchesOfOne(dst, src []uint16, offs []int, rows, ld, dld int) {
	for t, o := range offs {
		at := t
		for i := range rows {
			v := uint16(0)
			if o >= 0 {
				v = src[o+i*ld]
			}
			dst[at] = v
			at += dld
		}
	}
	for i := range rows {
		clear(dst[i*dld+len(offs) : (i+1)*dld])
	}
}

func maxPoolGradBF16Portable(dx []float32, dy, x, y []uint16, dxOffs, xOffs []int, n int) {
	for i := range n {
		for t, o := range xOffs {
			if v := widen(x[o+i]); v == widen(y[i]) || v != v {
				dx[dxOffs[t]+i] += widen(dy[i])
				break
			}
		}
	}
}
