package kernel

// gemmPortable computes blocks of 2 rows by 4 columns, whose sums stay in registers.
func gemmPortable(c []float32, crs int, a []float32, ars, aks int, b []float32, bks int, segs []Seg, k, rows, cols int, accumulate bool) {
	r := 0
	for ; r+2 <= rows; r += 2 {
		j := 0
		for ; j+4 <= cols; j += 4 {
			gemm2x4(c[r*crs+j:], crs, a, r*ars, ars, aks, b, j, bks, segs, k, accumulate)
		}
		for ; j < cols; j++ {
			gemm1x1(&c[r*crs+j], a, r*ars, aks, b, j, bks, segs, k, accumulate)
			gemm1x1(&c[(r+1)*crs+j], a, (r+1)*ars, aks, b, j, bks, segs, k, accumulate)
		}
	}
	for ; r < rows; r++ {
		for j := range cols {
			gemm1x1(&c[r*crs+j], a, r*ars, aks, b, j, bks, segs, k, accumulate)
		}
	}
}

// gemmFetchPortable is gemmPortable; it leaves prefetching to the processor.
func gemmFetchPortable(c []float32, crs int, a []float32, ars, aks int, b []float32, bks int, segs []Seg, k, rows int, accumulate bool, _ []float32, _ int) {
	gemmPortable(c, crs, a, ars, aks, b, bks, segs, k, rows, portableCols, accumulate)
}

// gemm1x1 defines the product: it computes one element of c, whose row begins at ra in a
// and whose column begins at jb in b.
func gemm1x1(c *float32, a []float32, ra, aks int, b []float32, jb, bks int, segs []Seg, k int, accumulate bool) {
	var sum float32
	if accumulate {
		sum = *c
	}
	for _, s := range segs {
		ia, ib := s.A+ra, s.B+jb
		for range k {
			sum = float32(a[ia]*b[ib]) + sum
			ia += aks
			ib += bks
		}
	}
	*c = sum
}

func gemm2x4(c []float32, crs int, a []float32, ra, ars, aks int, b []float32, jb, bks int, segs []Seg, k int, accumulate bool) {
	c0, c1 := (*[4]float32)(c), (*[4]float32)(c[crs:])
	var s00, s01, s02, s03, s10, s11, s12, s13 float32
	if accumulate {
		s00, s01, s02, s03 = c0[0], c0[1], c0[2], c0[3]
		s10, s11, s12, s13 = c1[0], c1[1], c1[2], c1[3]
	}
	for _, s := range segs {
		ia, ib := s.A+ra, s.B+jb
		for range k {
			x, y := a[ia], a[ia+ars]
			w := (*[4]float32)(b[ib : ib+4])
			s00 = float32(x*w[0]) + s00
			s01 = float32(x*w[1]) + s01
			s02 = float32(x*w[2]) + s02
			s03 = float32(x*w[3]) + s03
			s10 = float32(y*w[0]) + s10
			s11 = float32(y*w[1]) + s11
			s12 = float32(y*w[2]) + s12
			s13 = float32(y*w[3]) + s13
			ia += aks
			ib += bks
		}
	}
	c0[0], c0[1], c0[2], c0[3] = s00, s01, s02, s03
	c1[0], c1[1], c1[2], c1[3] = s10, s11, s12, s13
}

// peakPortable multiplies and adds on eight independent sums.
func peakPortable(iterations int) float64 {
	iterations = max(iterations, 1)
	var s0, s1, s2, s3, s4, s5, s6, s7 float32
	x := float32(iterations & 1)
	for range iterations {
		s0 = float32(x*s0) + x
		s1 = float32(x*s1) + x
		s2 = float32(x*s2) + x
		s3 = float32(x*s3) + x
		s4 = float32(x*s4) + x
		s5 = float32(x*s5) + x
		s6 = float32(x*s6) + x
		s7 = float32(x*s7) + x
	}
	if s0+s1+s2+s3+s4+s5+s6+s7 != s0+s1+s2+s3+s4+s5+s6+s7 {
		return 0 // never: the sums are finite, and the compiler must keep them
	}
	return float64(iterations) * 16
}

const portableCols = 16
