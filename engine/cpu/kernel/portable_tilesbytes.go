package kernel

// portableByteTiles is the table of transforms of 8-bit integers in plain Go.
var portableByteTiles = ByteTiles{
	Cols:  portableCols,
	Input: exactInputPortable,
	Bytes: exactBytesPortable,
	BF16:  exactBF16Portable,
	Float: exactFloatPortable,
	Fetch: func([]uint8, int, int) {},
}

func exactInputPortable(m int, dst []int16, step int, src []uint8, srcRow, srcCol, channels, images, k0, k1, p0, p1 int, _ []float32) {
	t, sequence := m+2, &exactTilings[m-3].input
	for l := range images * channels {
		var tile integerTile
		for k := k0; k < k1; k++ {
			for p := p0; p < p1; p++ {
				tile[k*mixMost+p] = int32(src[(k-k0)*srcRow+(p-p0)*srcCol+l])
			}
		}
		sequence.square(&tile)
		for i := range t {
			for j := range t {
				dst[(i*t+j)*step+l] = int16(tile[i*mixMost+j])
			}
		}
	}
}

// exactOutput transforms sums back, for panels of a given width, and calls put with each and
// the offset of its pixel.
func exactOutput(width, m, dstRow, dstCol, ld int, src []int32, step, panel, images, i1, j1, cols int, put func(sum int32, c, at int)) {
	t, tiling := m+2, &exactTilings[m-3]
	for n := range images {
		for c := range cols {
			var tile integerTile
			for p := range t * t {
				tile[p/t*mixMost+p%t] = src[c/width*panel+p*step+n*width+c%width]
			}
			tiling.output.square(&tile)
			for i := range i1 {
				for j := range j1 {
					sum := int32(uint32(tile[i*mixMost+j])*tiling.undo) >> (tiling.shifts[i] + tiling.shifts[j])
					put(sum, c, i*dstRow+j*dstCol+n*ld+c)
				}
			}
		}
	}
}

func exactToBytes(width, m int, dst []uint8, dstRow, dstCol, ld int, src []int32, step, panel int, e Epilogue, images, i1, j1, cols int) {
	exactOutput(width, m, dstRow, dstCol, ld, src, step, panel, images, i1, j1, cols, func(sum int32, c, at int) { dst[at] = e.byte(float32(sum), c, at) })
}

func exactToBF16(width, m int, dst []uint16, dstRow, dstCol, ld int, src []int32, step, panel int, e Epilogue, images, i1, j1, cols int) {
	exactOutput(width, m, dstRow, dstCol, ld, src, step, panel, images, i1, j1, cols, func(sum int32, c, at int) { dst[at] = narrow(e.float(sum, c, at)) })
}

func exactToFloat(width, m int, dst []float32, dstRow, dstCol, ld int, src []int32, step, panel int, e Epilogue, images, i1, j1, cols int) {
	exactOutput(width, m, dstRow, dstCol, ld, src, step, panel, images, i1, j1, cols, func(sum int32, c, at int) { dst[at] = e.float(sum, c, at) })
}

func exactBytesPortable(m int, dst []uint8, dstRow, dstCol, ld int, src []int32, step, panel int, e Epilogue, images, i1, j1, cols int, _ []float32) {
	exactToBytes(portableCols, m, dst, dstRow, dstCol, ld, src, step, panel, e, images, i1, j1, cols)
}

func exactBF16Portable(m int, dst []uint16, dstRow, dstCol, ld int, src []int32, step, panel int, e Epilogue, images, i1, j1, cols int, _ []float32) {
	exactToBF16(portableCols, m, dst, dstRow, dstCol, ld, src, step, panel, e, images, i1, j1, cols)
}

func exactFloatPortable(m int, dst []float32, dstRow, dstCol, ld int, src []int32, step, panel int, e Epilogue, images, i1, j1, cols int, _ []float32) {
	exactToFloat(portableCols, m, dst, dstRow, dstCol, ld, src, step, panel, e, images, i1, j1, cols)
}
