package kernel

// mixPiece is the number of lanes that plain Go transforms at a time, so that the values
// between the passes stay in the first-level cache.
const mixPiece = 128

func mixPortable(kind Mix, dst, src []float32, dstStride, srcStride, n int) {
	m := &mixTable[kind]
	for i := range m.outs {
		m.row(i, dst[i*dstStride:][:n], src, srcStride, 0, m.ins)
	}
}

// row computes output i of the matrix from inputs k0 <= k < k1, the first of which is at
// the beginning of src. All other inputs are zero.
func (m *mixMatrix) row(i int, dst, src []float32, stride, k0, k1 int) {
	first := true
	for k := k0; k < k1; k++ {
		c := m.t[i][k]
		if c == 0 {
			continue
		}
		x := src[(k-k0)*stride:][:len(dst)]
		if first {
			for l, v := range x {
				dst[l] = c * v
			}
			first = false
			continue
		}
		for l, v := range x {
			dst[l] += float32(c * v)
		}
	}
	if first {
		clear(dst)
	}
}

// mix2Portable applies row i of the matrix to the columns of the tile, then all rows of
// the matrix to the result.
func mix2Portable(kind Mix, dst, src []float32, dstRow, dstCol, srcRow, srcCol, n, k0, k1, p0, p1, i1, j1 int, scratch []float32) {
	m := &mixTable[kind]
	for from := 0; from < n; from += mixPiece {
		piece := min(mixPiece, n-from)
		for i := range i1 {
			for p := p0; p < p1; p++ {
				between := scratch[(p-p0)*mixPiece:][:piece]
				if k0 >= k1 {
					clear(between)
					continue
				}
				m.row(i, between, src[(p-p0)*srcCol+from:], srcRow, k0, k1)
			}
			for j := range j1 {
				m.row(j, dst[i*dstRow+j*dstCol+from:][:piece], scratch, mixPiece, p0, p1)
			}
		}
	}
}
